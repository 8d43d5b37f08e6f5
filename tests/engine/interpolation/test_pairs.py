"""Scene cuts and duplicates: what is one, and above all what is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from framestate.engine.interpolation.cuts import Sketch, is_cut
from framestate.engine.interpolation.duplicates import Sameness, compare
from framestate.vision import Image, VideoReader
from framestate.vision.synthetic import Scene

Pictures = Callable[..., Image]


def cut(one: Image, other: Image) -> bool:
    found = is_cut(Sketch.of(one), Sketch.of(other))
    assert found == is_cut(Sketch.of(other), Sketch.of(one))
    return found


def stored(images: list[Image], crf: int) -> list[Image]:
    """The images as H.264 gives them back."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "threads": "1"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as source:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in source.decode(video=0)]


def test_other_scenes_are_cuts(picture: Pictures) -> None:
    scenes = [picture(scene=number, size=(90, 160)) for number in range(12)]
    assert all(cut(one, other) for one, other in pairwise(scenes))
    assert cut(Scene(size=(160, 90)).render(0), scenes[0])


def test_motion_is_no_cut(picture: Pictures) -> None:
    clip = [picture(8 * step, size=(90, 160)) for step in range(10)]  # 5 % of the width a frame
    assert not any(cut(one, other) for one, other in pairwise(clip))
    koi = Scene(size=(160, 90))
    assert not any(cut(koi.render(4 * step), koi.render(4 * step + 4)) for step in range(10))


def test_a_change_of_light_is_no_cut(picture: Pictures) -> None:
    image = picture(size=(90, 160))
    dimmer = cv2.convertScaleAbs(image, alpha=0.93)
    assert not cut(image, dimmer)  # type: ignore[arg-type]
    grey = np.full((90, 160, 3), 90, np.uint8)
    assert not cut(grey, grey + np.uint8(10))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (17, 33)])
def test_any_size_can_be_compared(size: tuple[int, int]) -> None:
    black, white = np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)
    assert not cut(black, black)
    assert cut(black, white)
    assert compare(black, white) is Sameness.DIFFERENT
    assert compare(black, black.copy()) is Sameness.IDENTICAL


@pytest.mark.parametrize("crf", [12, 18])
def test_what_a_codec_does_to_a_duplicate_keeps_it_one(crf: int) -> None:
    scene = Scene(size=(320, 180))
    images = stored([scene.render(step // 2) for step in range(12)], crf)
    found = [compare(one, other) is not Sameness.DIFFERENT for one, other in pairwise(images)]
    assert found == [place % 2 == 0 for place in range(11)]


def test_little_that_moves_is_no_duplicate(picture: Pictures) -> None:
    still = picture(size=(720, 1280))
    moved = still.copy()
    moved[300:312, 700:708] = 255 - moved[300:312, 700:708]  # a cursor
    assert compare(still, moved) is Sameness.DIFFERENT
    lighter = np.minimum(still, 250) + np.uint8(3)  # a slow fade
    assert compare(still, lighter) is Sameness.DIFFERENT


@pytest.mark.data
def test_no_cut_in_real_clips_and_one_between_any_two(shared_data: Path) -> None:
    firsts = []
    names = ("ask_baseball", "mdn_tears_1", "mdn_tears_8", "sam2_juggle", "vllama_skatedog", "tav_skiing")
    for name in names:
        with VideoReader(shared_data / "training" / "video" / f"{name}.mp4", threads=1) as video:
            images = [frame.image for frame, _ in zip(video, range(30), strict=False)]
        firsts.append(cv2.resize(images[0], (640, 360), interpolation=cv2.INTER_AREA))
        assert not any(cut(one, other) for one, other in pairwise(images)), name
    assert all(cut(one, other) for place, one in enumerate(firsts) for other in firsts[place + 1 :])  # type: ignore[arg-type]
