"""The shipped tracker that others trained: its graphs are their files, and the engine's promises hold."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import load_bundle
from framestate.engine import Engine
from framestate.export.onnx_surgery import load_graph, refitted, resized
from framestate.export.siamese import compare
from framestate.runtimes import open_runtime
from framestate.vision import Box, Frame

NAME = "tracker-small"
AWAY = range(12, 34)
"""Frames without the target."""


def told(track: Any) -> Any:
    return track.box.xywh, track.score, track.status


def test_every_batch_gives_what_the_rows_give() -> None:
    bundle = load_bundle(NAME)
    runtime = open_runtime(bundle, "onnx", threads=1)
    rng = np.random.default_rng(0)
    crops = {
        name: rng.integers(0, 256, one.inputs[0].concrete(3)).astype(np.float32)
        for name, one in bundle.spec.functions.items()
    }
    _, state = runtime.call("init", {"template": crops["init"]}, None)
    for name in ("step", "near"):
        together, _ = runtime.call(name, {"search": crops[name]}, state)
        for row in range(3):
            _, own = runtime.call("init", {"template": crops["init"][row : row + 1]}, None)
            alone, _ = runtime.call(name, {"search": crops[name][row : row + 1]}, own)
            for key, value in alone.items():
                assert value[0] == pytest.approx(together[key][row], rel=1e-4, abs=1e-3)


def clip(frames: int) -> list[tuple[Frame, Box]]:
    """A patch of colours that moves to the right over fainter ones; it is AWAY for some frames."""
    rng = np.random.default_rng(3)
    ground = np.kron(rng.integers(90, 140, (18, 24, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    patch = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((9, 9, 1))).astype(np.uint8)
    made = []
    for index in range(frames):
        image, left = ground.copy(), 40 + 2 * index
        if index not in AWAY:
            image[70:106, left : left + 36] = patch
        made.append((Frame(image, index, Fraction(1, 25), index), Box(left, 70, 36, 36)))
    return made


def test_a_target_that_goes_away_is_lost_and_found_and_a_snapshot_goes_on_alike() -> None:
    frames = clip(46)
    with Engine.load(NAME, threads=1, capacity=2) as engine:
        target = engine.open(frames[0][0], box=frames[0][1])
        before = [target.push(frame) for frame, _ in frames[1:8]]
        blob, rest = target.snapshot(), [target.push(frame) for frame, _ in frames[8:]]
        assert [one.status for one in before] == ["tracking"] * 7
        away = rest[AWAY.start - 8 + 6 : AWAY.stop - 8]
        assert {one.status for one in away} <= {"lost", "uncertain"}
        assert np.median([one.score for one in away]) < 0.3 < 0.8 < min(one.score for one in before)
        assert rest[-1].status == "tracking"
        assert rest[-1].box.iou(frames[-1][1]) > 0.6
        with engine.restore(blob, session_id="again") as again:
            assert [told(again.push(frame)) for frame, _ in frames[8:]] == [told(one) for one in rest]


@pytest.mark.data
def test_the_graphs_are_the_published_files() -> None:
    folder = Path(os.environ.get("FRAMESTATE_PEERS", "peers")) / "nanotrackv3"
    if not folder.is_dir():
        pytest.skip("FRAMESTATE_PEERS names no folder with NanoTrack v3's ONNX files")
    eyes = load_graph(folder / "nanotrack_backbone.onnx", inputs=1, outputs=1)
    brain = load_graph(folder / "nanotrack_head.onnx", inputs=2, outputs=2)
    sides = {"step": (255, 16), "near": (223, 14)}
    originals = {name: (resized(eyes, size), refitted(brain, side)) for name, (size, side) in sides.items()}
    found: Any = compare(load_bundle(NAME), resized(eyes, 127), originals)
    assert found["max_rel"] < 1e-5
