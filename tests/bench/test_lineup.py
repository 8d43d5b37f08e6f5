"""Who runs in an evaluation: our own tracker once more, starting every frame from its template alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from framestate.bench.evaluate_tracking import make_runs
from framestate.bench.lineup import RESTART, Lineup
from framestate.bench.ours import EngineTracker
from framestate.bench.sequences import load_sequences
from framestate.engine import Engine, TrackingOptions
from framestate.errors import OptionError

from .conftest import MakeSequence


def test_restart_carries_nothing(make_sequence: MakeSequence) -> None:
    sequences = load_sequences(make_sequence("a", 12).parent)
    with Lineup("tracker-nano", "onnx", "cpu", 1, (RESTART,)).open() as opened:
        runs = make_runs(opened.trackers, sequences)["a"]
        settings = opened.settings["trackers"]
    assert list(runs) == [opened.ours, RESTART]
    assert settings[RESTART] != settings[opened.ours]
    with Engine.load("tracker-nano", runtime="onnx", device="cpu", threads=1) as engine:
        shipped = TrackingOptions.from_spec(engine.runtime.spec)
        options = dataclasses.replace(shipped, carry=0.0, refresh_every=0, look_every=0)
    with Engine.load("tracker-nano", runtime="onnx", device="cpu", threads=1, options=options) as engine:
        alone = make_runs({"x": EngineTracker(engine)}, sequences)["a"]["x"]
    np.testing.assert_array_equal(runs[RESTART].boxes, alone.boxes)
    assert not np.array_equal(runs[RESTART].boxes, runs[opened.ours].boxes)


def test_a_model_that_carries_nothing_cannot_restart() -> None:
    lineup = Lineup("interp-nano", "onnx", "cpu", 1, (RESTART,))
    with pytest.raises(OptionError, match="carries nothing"), lineup.open():
        pass
