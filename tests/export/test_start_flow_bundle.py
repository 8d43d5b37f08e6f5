"""A model that starts from a classical flow, as a bundle: its graphs take it, and give what it gives."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framestate.bundles import Bundle
from framestate.engine import Engine, InterpolationOptions
from framestate.errors import DataError
from framestate.export.bundle import GraphOptions, bundle_model
from framestate.export.proof import prove
from framestate.models.interpolation import HybridInterpolator, InterpolatorConfig
from framestate.plugins import eager_operators
from framestate.plugins.operators import Dialect
from framestate.runtimes import Arrays, Runtime, RuntimeOver, State, open_runtime
from framestate.vision import Frame
from framestate.vision.synthetic import Scene
from torch import nn

CONFIG = InterpolatorConfig(
    channels=(4, 4, 8, 8),
    head_channels=4,
    states=4,
    window=4,
    correlation_channels=4,
    correlation_radius=2,
    flow_width=(8, 8, 8),
    flow_depth=(1, 1, 1),
    hidden=3,
    refine="patch",
    refine_width=8,
    start_flow="dis",
    bend=True,
    rest=True,
)


def bundled(folder: Path, dialect: Dialect) -> Bundle:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = HybridInterpolator(CONFIG, eager_operators()).eval()
        for parameter in model.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    bundle, parity = bundle_model(
        model, model.spec("small"), folder, provenance={}, frames=3, options=GraphOptions(dialect=dialect)
    )
    assert parity.values["psnr_db"] >= 80
    return bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundled(tmp_path_factory.mktemp("start") / "ort", "ort")


@pytest.mark.parametrize("name", ["flow", "bend"])
def test_motion_takes_the_flow_of_its_frames(bundle: Bundle, name: str) -> None:
    assert [tensor.shape for tensor in bundle.spec.sized(64, 96).function("motion").inputs] == [
        ("batch", 4, 8, 12)
    ] * 2
    still_inputs = {key: np.zeros((1, 4, 8, 12), np.float32) for key in ("flow", "bend")}
    for kind in ("eager", "onnx"):
        runtime = open_runtime(bundle, kind, threads=1)
        state = dict(runtime.allocate(1, (64, 96)).read([0]))
        with pytest.raises(DataError, match="motion was given inputs"):
            runtime.call("motion", {}, state)
        _, still = runtime.call("motion", still_inputs, state)
        moving = {**still_inputs, name: np.ones((1, 4, 8, 12), np.float32)}
        _, moved = runtime.call("motion", moving, state)
        assert still is not None
        assert moved is not None
        change = np.asarray(moved["motion.flow"]) - np.asarray(still["motion.flow"])
        assert np.abs(change).max() > 1e-3
        runtime.close()


def test_both_runtimes_make_the_same_frame_of_a_stream(bundle: Bundle) -> None:
    scene = Scene(size=(150, 100))
    made = []
    for name in ("eager", "onnx"):
        with Engine(open_runtime(bundle, name, threads=1), capacity=1) as engine:
            options = InterpolationOptions(cuts=False, duplicates=False)
            with engine.open(options=options) as session:
                session.push(frame(scene, 3, 0))
                made.append(session.push(frame(scene, 6, 1))[0].image)
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1


def frame(scene: Scene, time: int, index: int) -> Frame:
    return Frame(scene.render(time), index, Fraction(1, 25), index)


class Noting(RuntimeOver):
    """A runtime that notes what its functions are given."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.given: list[tuple[str, Arrays]] = []

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        self.given.append((function, {name: np.array(value) for name, value in inputs.items()}))
        return super().call(function, inputs, state)


def test_the_proof_runs_the_engines_own_path(bundle: Bundle) -> None:
    """Each frame is encoded once, the pair after tells how motion bends, and the moments change."""
    reference, noting = (open_runtime(bundle, name, threads=1) for name in ("eager", "onnx"))
    noting = Noting(noting)
    assert prove(reference, noting, frames=4, size=(160, 96)).passed
    calls = [name for name, _ in noting.given]
    assert calls.count("encode") == 5
    assert calls.count("motion") == 4
    times = {float(given["t"][0, 0]) for _, given in noting.given if "t" in given}
    assert sorted(times) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    bends = [given["bend"] for name, given in noting.given if name == "motion"]
    assert all(np.abs(bend).max() > 0 for bend in bends)  # the first pair's too: the one after is known
    with Engine(Noting(reference), capacity=1) as engine, engine.open(factor=2) as session:
        for index in range(2):
            session.push(frame(Scene(size=(160, 96)), index, index))
        alone: Any = engine.runtime
        assert not np.abs(next(one["bend"] for name, one in alone.given if name == "motion")).max()


@pytest.mark.long
def test_a_portable_graph_is_plain_onnx(tmp_path: Path) -> None:
    assert bundled(tmp_path / "portable", "portable").parity["onnx"]
