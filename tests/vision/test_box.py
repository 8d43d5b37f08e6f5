from __future__ import annotations

import math

import pytest
from framestate.errors import BoxError
from framestate.vision import Box, parse_box
from hypothesis import given
from hypothesis import strategies as st

numbers = st.floats(-1e4, 1e4)
sides = st.floats(0.01, 1e4)
boxes = st.builds(Box, numbers, numbers, sides, sides)


@given(boxes)
def test_a_box_is_the_same_from_its_centre_and_from_its_corners(box: Box) -> None:
    assert Box.from_centre(*box.centre, box.w, box.h).xywh == pytest.approx(box.xywh, abs=1e-6)
    assert Box.from_xyxy(*box.xyxy).xywh == pytest.approx(box.xywh, abs=1e-6)


@given(boxes, boxes)
def test_iou_is_symmetric_and_lies_between_0_and_1(one: Box, other: Box) -> None:
    assert 0.0 <= one.iou(other) <= 1.0
    assert one.iou(other) == pytest.approx(other.iou(one))
    assert one.iou(one) == pytest.approx(
        1.0, abs=1e-3
    )  # 1e4 from the origin, a side of 0.01 has few digits left


def test_iou_of_known_boxes() -> None:
    assert Box(0, 0, 4, 2).iou(Box(2, 0, 4, 2)) == pytest.approx(1 / 3)
    assert Box(0, 0, 4, 2).iou(Box(4, 0, 4, 2)) == 0.0
    assert Box(0, 0, 0, 0).iou(Box(0, 0, 0, 0)) == 0.0
    absent = Box(math.nan, math.nan, math.nan, math.nan)
    assert absent.iou(Box(0, 0, 4, 2)) == 0.0
    assert Box(0, 0, 4, 2).iou(absent) == 0.0


@given(boxes, st.integers(1, 4000), st.integers(1, 4000))
def test_a_clipped_box_lies_in_the_frame(box: Box, width: int, height: int) -> None:
    clipped = box.clipped(width, height)
    left, top, right, bottom = clipped.xyxy
    assert 0 <= left <= right <= width + 1e-6
    assert 0 <= top <= bottom <= height + 1e-6
    assert clipped.area == pytest.approx(box.intersection(Box(0, 0, width, height)), rel=1e-6, abs=1e-6)


@given(boxes, st.floats(0.1, 10), st.floats(0.1, 10))
def test_scaling_and_scaling_back(box: Box, sx: float, sy: float) -> None:
    assert box.scaled(sx, sy).scaled(1 / sx, 1 / sy).xywh == pytest.approx(box.xywh, abs=1e-6)
    assert box.scaled(sx).w == pytest.approx(box.w * sx)


def test_check_returns_a_box_that_can_be_used() -> None:
    box = Box(-10, -10, 12, 12)
    assert box.check(640, 480) is box


def test_a_box_larger_than_the_frame_is_clipped_first() -> None:
    assert Box(-100, 20, 900, 100).check(640, 480) == Box(0, 20, 640, 100)
    assert Box(10, -500, 100, 2000).check(640, 480) == Box(10, 0, 100, 480)
    assert Box(100, 100, 5000, 5000).check(640, 480) == Box(100, 100, 540, 380)
    reaching = Box(-10, 20, 50, 40)
    assert reaching.check(640, 480) is reaching  # a target that is partly outside keeps its own centre


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (Box(math.nan, 0, 5, 5), "not finite"),
        (Box(0, 0, math.inf, 5), "not finite"),
        (Box(0, 0, 0, 5), "not positive"),
        (Box(0, 0, 5, -1), "not positive"),
        (Box(640, 0, 5, 5), "less than one pixel of the 640 x 480 frame"),
        (Box(-5, -5, 5.5, 5.5), "less than one pixel"),
    ],
)
def test_check_says_why_a_box_cannot_be_used(box: Box, words: str) -> None:
    with pytest.raises(BoxError, match=words):
        box.check(640, 480)


def test_parsing() -> None:
    assert parse_box("10, 20.5,30,40") == Box(10, 20.5, 30, 40)
    assert parse_box(str(Box(1.5, 2, 3, 4))) == Box(1.5, 2, 3, 4)


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,3,nan", "1,2,inf,4", "1,2,0,4", "1,2,3,-4"]
)
def test_text_that_is_no_box(text: str) -> None:
    with pytest.raises(BoxError) as caught:
        parse_box(text)
    assert repr(text) in caught.value.problem
    assert "x,y,w,h" in caught.value.remedy
