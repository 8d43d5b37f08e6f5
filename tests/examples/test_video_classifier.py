"""A Mamba-2 video classifier: its state is what tells, the engine smooths, and a session goes on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from framestate.engine import Engine
from framestate.vision import Frame

pytest.importorskip("torch")


def test_it_tells_which_way_a_video_goes(example: ModuleType, tmp_path: Path) -> None:
    bundle = example.make(tmp_path / "trend")
    assert {one.name for one in bundle.spec.functions["classify"].inputs} == {"image"}
    assert bundle.parity["onnx"]["same_labels"] == 1.0
    assert example.accuracy(bundle) >= 0.9
    clip = example.clip(np.random.default_rng(5), 6, 12)
    frames = [Frame(image, index, Fraction(1, 25), index) for index, image in enumerate(clip)]
    with Engine.load(bundle, runtime="onnx", threads=1) as engine, engine.open() as session:
        for frame in frames[:3]:
            session.push(frame)
        with engine.restore(session.snapshot(), session_id="twin") as twin:
            answers = [(session.push(frame), twin.push(frame)) for frame in frames[3:]]
        for one, other in answers:
            assert np.array_equal(one.smoothed, other.smoothed)
            assert not np.array_equal(one.smoothed, one.frame)  # the engine smooths
        with engine.open() as fresh:  # a frame alone tells nothing of where things go
            assert not np.allclose(fresh.push(frames[-1]).frame, answers[-1][0].frame, atol=1e-2)
