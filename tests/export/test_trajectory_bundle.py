"""A tracker with a trajectory head as a bundle: proven, followed, snapshot and timed as any other."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framestate.bench.history import measure_history
from framestate.bundles import Bundle, load_bundle, write_bundle
from framestate.cli.main import app
from framestate.engine import Engine
from framestate.export.bundle import GraphOptions, bundle_model
from framestate.export.history import history_cases
from framestate.models import dump_weights
from framestate.models.artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config
from framestate.plugins import eager_operators
from framestate.plugins.operators import Dialect
from framestate.vision import Frame, VideoWriter
from framestate.vision.synthetic import demo_clip
from safetensors.numpy import save
from torch import nn
from typer.testing import CliRunner

SMALL: dict[str, Any] = {
    "template_size": 32, "search_size": 64, "dim": 16, "layers": 2, "states": 8, "head_channels": 8,
    "attention_heads": 2, "bins": 40, "history": 2, "redraw_dim": 8, "redraw_layers": 1, "redraw_heads": 2,
}  # fmt: skip


def small(**options: Any) -> ArtrackMambaV2:
    """Random weights, drawn so that boxes jump about and the state changes them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ArtrackMambaV2(ArtrackMambaV2Config(**{**SMALL, **options}), eager_operators()).eval()
        nn.init.normal_(model.tokens.words.weight)
        for parameter in model.score.parameters():
            nn.init.normal_(parameter)
    return model


@pytest.fixture
def bundle(tiny_trajectory_bundle: Bundle) -> Bundle:
    """Mamba-2, its state carried, with everything drawn at random."""
    return tiny_trajectory_bundle


def clip(frames: int) -> list[tuple[Frame, Any]]:
    made = demo_clip(3, frames, (320, 240))
    return [(Frame(image, i, Fraction(1, 25), i), box) for i, (image, box, _) in enumerate(made)]


def test_both_runtimes_follow_the_same_boxes(bundle: Bundle) -> None:
    parity: Any = bundle.parity["onnx"]
    assert parity["max_rel"] < 1e-5
    assert parity["box_drift_px"] < 0.01
    frames = clip(8)
    followed = {}
    for runtime in ("eager", "onnx"):
        with Engine.load(bundle, runtime=runtime, device="cpu", threads=1) as engine:
            target = engine.open(frames[0][0], box=frames[0][1])
            followed[runtime] = [target.push(frame) for frame, _ in frames[1:]]
    for ours, theirs in zip(*followed.values(), strict=True):
        assert ours.box.xywh == pytest.approx(theirs.box.xywh, abs=1e-2)
        assert ours.status == theirs.status
    assert len({track.box for track in followed["onnx"]}) > 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dialect", "options"),
    [
        ("ort", {"mixer": "mamba1", "attention_layers": (1,), "positions": "rotary", "templates": 2}),
        ("portable", {"mixer": "mamba1", "order": "hilbert", "directions": "alternate", "causal": True}),
    ],
)
def test_every_form_exports_with_proof(tmp_path: Path, dialect: Dialect, options: dict[str, Any]) -> None:
    model = small(**options)
    _, parity = bundle_model(
        model, model.spec("t"), tmp_path / "b", provenance={}, frames=20, options=GraphOptions(dialect)
    )
    assert parity.passed


RECIPE = """
architecture = "artrack_mamba_v2"
name = "small"
batch = 2
workers = 0
clips = "clips"

[model]
template_size = 32
search_size = 64
dim = 16
layers = 1
mixer = "mamba2"
states = 8
head_channels = 8
attention_heads = 2
bins = 40
history = 2
redraw_dim = 8
redraw_layers = 1
redraw_heads = 2

[loop]
steps = 2
warmup_steps = 1

[options]
size_floor = 1.0
"""


@pytest.mark.slow
def test_the_command_trains_a_bundle(tmp_path: Path) -> None:
    folder = tmp_path / "clips" / "koi"
    folder.mkdir(parents=True)
    frames = clip(8)
    with VideoWriter(folder / "video.mp4", 320, 240, 25) as writer:
        for frame, _ in frames:
            writer.write(frame.image)
    truth = [",".join(f"{value:.1f}" for value in box.xywh) for _, box in frames]
    (folder / "groundtruth.txt").write_text("\n".join(truth) + "\n")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    arguments = [
        "train",
        str(tmp_path / "recipe.toml"),
        "--data",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(app, [*arguments, "--frames", "5", "--json"])
    assert result.exit_code == 0, result.output
    made = load_bundle(json.loads(result.stdout)["bundle"])
    assert made.spec.preprocess["options"] == {"crop": "last", "size_floor": 1.0}
    assert made.spec.architecture == "artrack_mamba_v2"


def test_the_command_follows_a_target(bundle: Bundle, tmp_path: Path) -> None:
    frames = clip(6)
    with VideoWriter(tmp_path / "v.mp4", 320, 240, 25) as writer:
        for frame, _ in frames:
            writer.write(frame.image)
    box = ",".join(f"{value:.1f}" for value in frames[0][1].xywh)
    arguments = ["track", str(tmp_path / "v.mp4"), "--box", box, "--model", str(bundle.path)]
    result = CliRunner().invoke(app, [*arguments, "--boxes", str(tmp_path / "boxes.csv"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["frames"] == 6
    assert len((tmp_path / "boxes.csv").read_text().splitlines()) == 7


def test_a_session_moves_to_another_runtime_with_its_boxes(bundle: Bundle) -> None:
    frames = clip(8)
    with (
        Engine.load(bundle, runtime="onnx", device="cpu", threads=1) as here,
        Engine.load(bundle, runtime="onnx", device="cpu", threads=1) as there,
    ):
        target = here.open(frames[0][0], box=frames[0][1])
        for frame, _ in frames[1:5]:
            target.push(frame)
        twin = there.restore(target.snapshot())
        assert twin.memory.recent == target.memory.recent
        for frame, _ in frames[5:]:
            assert twin.push(frame).box == target.push(frame).box


@pytest.mark.parametrize("runtime", ["eager", pytest.param("onnx", marks=pytest.mark.long)])
def test_history_is_compared_on_equal_terms(bundle: Bundle, tmp_path: Path, runtime: str) -> None:
    counts = [1, 3] if runtime == "eager" else [2]
    with history_cases(bundle, counts, tmp_path, runtime=runtime, ops="ort", say=lambda text: None) as cases:
        points = measure_history(
            [(case.history, case.calls, case.reference) for case in cases], repetitions=1, warm_up=0
        )
        assert [point.history for point in points] == counts
        assert all(point.max_abs < 1e-4 for point in points)
        if runtime == "eager":
            assert not np.array_equal(cases[0].reference["logits"], cases[1].reference["logits"])


def test_a_hybrid_is_compared_too_though_its_state_grows(tmp_path: Path) -> None:
    model = small(attention_layers=(1,))
    weights = {"weights.safetensors": save(dump_weights(model))}
    made = write_bundle(tmp_path / "b", model.spec("t"), weights, provenance={}, metrics={}, parity={})
    (tmp_path / "work").mkdir()
    with history_cases(made, [1, 2], tmp_path / "work", runtime="eager", ops="ort", say=print) as cases:
        for case in cases:
            for call in case.calls.values():
                np.testing.assert_allclose(call()["logits"], case.reference["logits"], atol=1e-4)
