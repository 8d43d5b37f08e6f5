"""Writing a video leaves the scheduling of the thread that writes as it was."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from framestate.vision import Encoding, VideoWriter


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no scheduling classes on this platform")
@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
def test_an_encoder_changes_no_priority(tmp_path: Path, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    before = os.sched_getscheduler(0)
    with VideoWriter(tmp_path / "out.mkv", 64, 64, Fraction(25), encoding=Encoding(codec)) as writer:
        for index in range(3):
            writer.write(np.full((64, 64, 3), 40 * index, np.uint8), index)
        assert os.sched_getscheduler(0) == before
    assert os.sched_getscheduler(0) == before
