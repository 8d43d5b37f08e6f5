"""The client and videos: interpolation as it streams, and whole files as jobs, against a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate import errors
from framestate.client import Client, VideoInfo
from framestate.engine import Engine
from framestate.vision import Box, Frame, VideoReader, VideoWriter

Clip = tuple[list[Frame], Box]


def test_interpolation_is_that_of_the_engine(server: Any, clip: Clip, tiny_interpolator: Any) -> None:
    frames = clip[0][:5]
    with Engine.load(str(tiny_interpolator.path), runtime="onnx") as engine:
        session = engine.open(factor=2)
        wanted = [made for frame in frames for made in session.push(frame)]
        wanted += session.flush() or ()
    with Client(server.url, encoding="rgb") as client, client.interpolate(2) as stream:
        found = [made for frame in frames for made in stream.push(frame)]
        found += stream.flush() or ()
    assert [(one.pts * one.time_base, one.index) for one in found] == [
        (one.pts * one.time_base, one.index) for one in wanted
    ]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(found, wanted, strict=True))
    assert len(found) > 2 * len(frames) - 2


def test_a_video_is_a_job(server: Any, clip: Clip, tmp_path: Path) -> None:
    frames, box = clip
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 160, 120, frames[0].time_base.denominator // 40) as writer:
        for frame in frames:
            writer.write(frame.image)
    seen: list[VideoInfo] = []
    with Client(server.url) as client:
        job = client.upload(path, box=box)
        assert job.wait(seen.append).state == "done"
        assert job.info.frames == 16
        assert seen[-1].state == "done"
        table = job.download(tmp_path / "boxes.csv", "boxes.csv").read_text()
        assert len(table.splitlines()) == 17
        smooth = client.upload(path, factor=2)
        smooth.wait()
        made = smooth.download(tmp_path / "smooth.mp4")
        with VideoReader(made) as reader:
            assert sum(1 for _ in reader) >= 31
        assert {one.id for one in client.videos()} >= {job.id, smooth.id}
        assert client.video(job.id).info.task == "tracking"
        job.delete()
        with pytest.raises(errors.UnknownItemError):
            job.refresh()
        with pytest.raises(errors.UnknownItemError):
            smooth.download(tmp_path / "none.mp4", "none.mp4")
        with pytest.raises(errors.OptionError):
            client.upload(tmp_path / "none.mp4", factor=2)
        with pytest.raises(errors.OptionError):
            client.upload(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["boxes.csv", "clip.mp4", "smooth.mp4"]
