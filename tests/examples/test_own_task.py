"""examples/own_task.py, which docs/own-task.md walks through: a user's task beside those that come along."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.engine.lanes import Lanes
from framestate.export.adopt import adopt_stream
from framestate.export.adopt_graphs import StreamOptions
from framestate.export.proof import prove
from framestate.runtimes import open_runtime
from framestate.vision import Frame
from framestate.vision.synthetic import demo_clip

from ..tiny_recurrent import write_fading


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    path = write_fading(tmp_path / "fading.onnx", size=(64, 96))
    options = StreamOptions({"mean_in": "mean_out"})
    return adopt_stream(path, tmp_path / "fading", options, name="fading", provenance={}, frames=2)


def clip(seed: int, frames: int = 5) -> list[Frame]:
    images = enumerate(demo_clip(seed, frames, (96, 64)))
    return [Frame(image, index, Fraction(1, 25), index) for index, (image, _, _) in images]


def test_it_runs_alone_batched_and_from_a_snapshot(example: ModuleType, bundle: Bundle) -> None:
    alone = []
    with Engine.load(bundle, threads=1, task=lambda runtime: example.Surprised()) as engine:
        for seed in range(3):
            with engine.open() as session:
                alone.append([session.push(frame).score for frame in clip(seed)])
        session = engine.open()
        for frame in clip(0)[:3]:
            session.push(frame)
        with engine.restore(session.snapshot(), session_id="twin") as twin:
            assert twin.memory == example.Seen(3)
            assert [twin.push(frame).score for frame in clip(0)[3:]] == alone[0][3:]
    runtime = open_runtime(bundle, "onnx", device="cpu", threads=1)
    with Engine(runtime, task=example.Surprised(), lanes=Lanes(batched=True), capacity=4) as engine:
        engine.service.start()
        sessions = [engine.open() for _ in range(3)]
        together = []
        for frames in zip(*(clip(seed) for seed in range(3)), strict=True):
            futures = [one.submit_nowait(frame) for one, frame in zip(sessions, frames, strict=True)]
            together.append([future.result(30).score for future in futures])
    np.testing.assert_allclose(np.transpose(together), alone, rtol=0, atol=1e-6)
    assert all(0 < score < 1 for scores in alone for score in scores)


def test_the_proof_takes_it_too(example: ModuleType, bundle: Bundle) -> None:
    runtimes = [open_runtime(bundle, "onnx", device="cpu", threads=1) for _ in range(2)]
    proof = prove(*runtimes, task=lambda runtime: example.Surprised(), frames=3, size=(96, 64))
    assert proof.passed
    assert (proof.max_abs, proof.values) == (0, {"drift": 0.0})


def test_the_page_shows_the_file_as_it_is(checkout: Path) -> None:
    """Every code block of the page that is cut from the example is in it, and the task has under 40 lines."""
    page = (checkout / "docs" / "own-task.md").read_text("utf-8")
    source = (checkout / "examples" / "own_task.py").read_text("utf-8")
    blocks = [block.split("```")[0] for block in page.split("```python own_task.py\n")[1:]]
    assert blocks
    assert all(block.strip("\n") in source for block in blocks)
    assert sum(len(block.splitlines()) for block in blocks) < 40
