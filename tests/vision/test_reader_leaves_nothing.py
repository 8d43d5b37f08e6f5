"""Reading leaves nothing behind but pictures."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
from framestate.vision import VideoReader, VideoWriter
from framestate.vision.synthetic import demo_clip

from ..collected import without_collector


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_no_threads_are_left_by_pictures(tmp_path: Path) -> None:
    """Each picture would leave its own until Python collects what refers to itself."""
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 160, 120, 25) as film:
        for image, _, _ in demo_clip(3, 30, (160, 120)):
            film.write(image)
    gc.collect()
    gc.disable()
    try:
        with VideoReader(path, threads=1) as video:
            frames = iter(video)
            next(frames)
            before = len(os.listdir("/proc/self/task"))
            assert len(list(frames)) == 29
            assert len(os.listdir("/proc/self/task")) <= before + 2
    finally:
        gc.enable()


def test_no_decoded_picture_waits_for_the_collector(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 160, 120, 25) as film:
        for image, _, _ in demo_clip(3, 12, (160, 120)):
            film.write(image)
    with without_collector() as found, VideoReader(path, threads=1) as video:
        assert len(list(video)) == 12
    assert [one for one in found if type(one).__module__.startswith("av.")] == []
