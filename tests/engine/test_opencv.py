"""The drop-in for OpenCV's trackers: called as OpenCV's own samples call theirs."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.engine.opencv import OpenCVTracker, TrackerFramestate_create
from framestate.errors import BoxError, FrameError, SessionError
from framestate.vision import Box, Frame

Clip = list[tuple[Frame, Box]]


def sample(tracker: OpenCVTracker, clip: Clip) -> list[tuple[bool, tuple[int, int, int, int]]]:
    """The loop of OpenCV's samples/python/tracker.py, with pictures in place of a camera."""
    images = [np.ascontiguousarray(frame.image[..., ::-1]) for frame, _ in clip]
    x, y, w, h = (round(value) for value in clip[0][1].xywh)
    tracker.init(images[0], (x, y, w, h))
    found = []
    for image in images[1:]:
        ok, newbox = tracker.update(image)
        if ok:
            cv2.rectangle(image, newbox, (200, 0, 0))
        assert -1 <= tracker.getTrackingScore() <= 1  # OpenCV's MIL says -1: it has none
        found.append((ok, newbox))
    return found


def test_the_loop_of_the_sample_runs_as_with_opencvs_own(clips: list[Clip]) -> None:
    own: Any = cv2.TrackerMIL_create()  # type: ignore[attr-defined]
    theirs = sample(own, clips[0]) if hasattr(own, "getTrackingScore") else None
    tracker = TrackerFramestate_create(threads=1)
    ours = sample(tracker, clips[0])
    assert all(type(value) is int for _, box in ours for value in box)
    assert all(ok for ok, _ in ours)
    last = Box(*map(float, ours[-1][1]))
    assert last.iou(clips[0][-1][1]) > 0.5
    assert theirs is None or [type(ok) for ok, _ in theirs] == [type(ok) for ok, _ in ours]
    assert sample(tracker, clips[0]) == ours  # init begins anew
    tracker.close()
    tracker.close()


def test_many_share_an_engine(tiny_bundle: Bundle, clips: list[Clip]) -> None:
    with Engine.load(tiny_bundle, runtime="onnx", threads=1, capacity=2) as engine:
        trackers = [TrackerFramestate_create(engine=engine) for _ in range(2)]
        for tracker, clip in zip(trackers, clips, strict=False):
            sample(tracker, clip)
        assert engine.slots.num_used == 2
        for tracker in trackers:
            tracker.close()
        assert engine.slots.num_used == 0


def test_what_cannot_be_used_is_refused(tiny_bundle: Bundle, clips: list[Clip]) -> None:
    image = clips[0][0][0].image
    with Engine.load(tiny_bundle, runtime="onnx", threads=1, capacity=1) as engine:
        tracker = TrackerFramestate_create(engine=engine)
        with pytest.raises(SessionError):
            tracker.update(image)
        for box in ((500, 1, 5, 5), (1, 1, 0, 5), (float("nan"), 1, 5, 5), (1, 1, 5), "1234x", None):
            with pytest.raises(BoxError):
                tracker.init(image, box)  # type: ignore[arg-type]
        for wrong in (None, image.astype(float), image[:0]):
            with pytest.raises(FrameError):
                tracker.init(wrong, (1, 1, 20, 20))  # type: ignore[arg-type]
        tracker.init(np.ascontiguousarray(image[..., 0]), (-5, -5, 30, 30))
        with pytest.raises(FrameError):
            tracker.update(image[:60])
        assert tracker.update(image)[1][0] >= 0
