from __future__ import annotations

import math

import numpy as np
import pytest
from framestate.errors import FrameError, OptionError
from framestate.vision import Box, Image, Mark, contact_sheet, draw_track, draw_tracks
from framestate.vision.draw import Status, target_colour
from hypothesis import given
from hypothesis import strategies as st

GREY = np.full((240, 320, 3), 120, np.uint8)


def share_of(image: Image, colour: tuple[int, int, int]) -> int:
    return int((abs(image.astype(int) - colour).max(2) < 12).sum())


def test_drawing_leaves_the_image_alone() -> None:
    before = GREY.copy()
    drawn = draw_track(GREY, Box(100, 80, 90, 60), "1  0.87")
    np.testing.assert_array_equal(GREY, before)
    assert drawn.shape == GREY.shape
    assert share_of(drawn, target_colour(1)) > 250


def test_the_line_tells_the_status() -> None:
    image, box = GREY.repeat(3, axis=0).repeat(3, axis=1), Box(300, 240, 360, 270)
    statuses: tuple[Status, ...] = ("tracking", "uncertain", "lost")
    drawn = {status: draw_track(image, box, "1", status) for status in statuses}
    whole, dashed = (share_of(drawn[status], target_colour(1)) for status in ("tracking", "uncertain"))
    assert whole > 1.2 * dashed > 0
    assert share_of(drawn["lost"], target_colour(1)) == 0  # dimmed
    changed = [(picture != image).any(2).sum() for picture in drawn.values()]
    assert changed[0] > changed[2] > 500


def test_targets_have_distinct_hues() -> None:
    colours = np.array([target_colour(target) for target in range(1, 9)])
    distances = abs(colours[:, None] - colours[None]).sum(2) + 1000 * np.eye(8, dtype=int)
    assert distances.min() > 60


def test_plates_avoid_one_another() -> None:
    box = Box(100, 80, 90, 60)
    one = (draw_tracks(GREY, [Mark(box, 1, 0.9)]) != GREY).any(2)
    two = (draw_tracks(GREY, [Mark(box, 1, 0.9), Mark(box, 2, 0.4, "uncertain")]) != GREY).any(2)
    assert two.sum() > 1.3 * one.sum()


def test_marks_name_themselves() -> None:
    assert Mark(Box(0, 0, 1, 1), 3, 0.456).label == "3  0.46"
    assert Mark(Box(0, 0, 1, 1), 3).label == "3"


@given(
    st.builds(Box, st.floats(-500, 800), st.floats(-500, 800), st.floats(-5, 900), st.floats(-5, 900)),
    st.sampled_from(["tracking", "uncertain", "lost"]),
    st.sampled_from([(1, 1), (8, 8), (48, 64), (240, 100)]),
    st.text(max_size=40),
)
def test_any_box_can_be_drawn(box: Box, status: Status, size: tuple[int, int], label: str) -> None:
    image = np.full((*size, 3), 120, np.uint8)
    assert draw_track(image, box, label, status).shape == image.shape


def test_boxes_that_are_not_there_change_nothing() -> None:
    for box in (
        Box(math.nan, 0, 5, 5),
        Box(0, 0, math.inf, 5),
        Box(400, 10, 20, 20),
        Box(1e30, 1e30, 1e30, 1),
    ):
        np.testing.assert_array_equal(draw_track(GREY, box, "1", "lost"), GREY)


def test_huge_boxes() -> None:
    assert (draw_track(GREY, Box(-1e12, 50, 2e12, 60), "1", "lost") != GREY).any()


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(OptionError, match="'gone'"):
        draw_track(GREY, Box(0, 0, 5, 5), "1", "gone")  # type: ignore[arg-type]
    with pytest.raises(FrameError):
        draw_track(GREY[..., 0], Box(0, 0, 5, 5), "1")


def test_a_contact_sheet_holds_every_image() -> None:
    images = [np.full((60 + 10 * place, 100, 3), 40 * place + 50, np.uint8) for place in range(5)]
    plain = contact_sheet(images, 2, cell_width=200)
    titled = contact_sheet(images, 2, [f"frame {place}" for place in range(5)], cell_width=200)
    assert plain.shape[1] == titled.shape[1] == 3 * 6 + 2 * 200
    assert titled.shape[0] > plain.shape[0] == 4 * 6 + 3 * 200
    for image in images:
        value = int(image[0, 0, 0])
        assert share_of(plain, (value, value, value)) == 200 * 2 * image.shape[0]
    assert contact_sheet(images[:1], 5).shape[1] == 2 * 10 + 320


def test_impossible_contact_sheets() -> None:
    with pytest.raises(OptionError, match="0 images"):
        contact_sheet([], 2)
    with pytest.raises(OptionError, match="0 columns"):
        contact_sheet([GREY], 0)
    with pytest.raises(OptionError, match="2 titles came for 1 images"):
        contact_sheet([GREY], 1, ["a", "b"])
    with pytest.raises(FrameError):
        contact_sheet([GREY[..., 0]], 1)
