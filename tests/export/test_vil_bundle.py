"""ViL-Tracker as a bundle: proven in both dialects, followed by the engine, beside its stateless form."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from framestate.bench.history import measure_history
from framestate.bundles import Bundle, write_bundle
from framestate.engine import Engine, TrackingOptions
from framestate.engine.tracking.decode import open_decoder
from framestate.export.bundle import GraphOptions, bundle_model
from framestate.export.history import history_cases
from framestate.models import build_model, load_weights
from framestate.plugins import eager_operators
from framestate.vision import Box, Frame, SquareCrop
from framestate.vision.synthetic import demo_clip
from safetensors.numpy import save


def clip(frames: int) -> list[tuple[Frame, Box]]:
    made = demo_clip(3, frames, (320, 240))
    return [(Frame(image, i, Fraction(1, 25), i), box) for i, (image, box, _) in enumerate(made)]


def test_it_is_proven_with_the_stateful_operators(tiny_vil_bundle: Bundle) -> None:
    parity: Any = tiny_vil_bundle.parity["onnx"]
    assert parity["max_rel"] < 1e-5
    assert parity["box_drift_px"] < 0.01
    operators = [node.op_type for node in onnx.load(tiny_vil_bundle.file("step.onnx")).graph.node]
    assert operators.count("LinearAttention") == 2  # one a layer


@pytest.mark.long
def test_plain_onnx_agrees_too(tiny_vil_bundle: Bundle, tmp_path: Path) -> None:
    model = build_model(tiny_vil_bundle.spec, eager_operators())
    load_weights(model, tiny_vil_bundle.weights())
    options = GraphOptions("portable")
    bundle, parity = bundle_model(
        model, tiny_vil_bundle.spec, tmp_path / "plain", provenance={}, frames=40, options=options
    )
    assert parity.passed
    assert parity.max_rel < 1e-5
    graph = onnx.load(bundle.file("step.onnx")).graph
    assert {node.domain for node in graph.node} == {""}


@pytest.mark.parametrize("refresh", [0, 2])
def test_both_runtimes_follow_the_same_boxes(tiny_vil_bundle: Bundle, refresh: int) -> None:
    """With its templates refreshed, too, which blends the matrix memories of two of them."""
    options = TrackingOptions(refresh_every=refresh, refresh_sure=0.0, seen=0.0, sure=0.0)
    frames = clip(7)
    followed = {}
    for runtime in ("eager", "onnx"):
        with Engine.load(
            tiny_vil_bundle, runtime=runtime, device="cpu", threads=1, options=options
        ) as engine:
            target = engine.open(frames[0][0], box=frames[0][1])
            followed[runtime] = [target.push(frame) for frame, _ in frames[1:]]
    for ours, theirs in zip(*followed.values(), strict=True):
        assert ours.box.xywh == pytest.approx(theirs.box.xywh, abs=1e-2)
        assert ours.status == theirs.status
    assert len({track.box for track in followed["onnx"]}) > 1


def test_its_uncertainty_is_the_measurements_noise(tiny_vil_bundle: Bundle) -> None:
    """Deviations in pixels: the map's, relative to the target's own size."""
    decode = open_decoder(tiny_vil_bundle.spec, TrackingOptions(window=0.0, change=0.0))
    depths = (("score", 1), ("offset", 2), ("size", 2))
    maps = {name: np.zeros((depth, 4, 4), np.float32) for name, depth in depths}
    maps["score"][0, 1, 2], maps["size"][:, 1, 2] = 0.9, (0.25, 0.5)
    maps["log_variance"] = np.full((4, 4, 4), 2.0, np.float32)
    maps["log_variance"][:, 1, 2] = np.log(np.square([0.1, 0.2, 0.3, 0.4]))
    found = decode(maps, SquareCrop(cx=100, cy=100, side=128, size=64), Box(80, 80, 32, 64))
    assert (found.box.w, found.box.h) == pytest.approx((32, 64))
    assert found.std == pytest.approx([0.1 * 32, 0.2 * 64, 0.3 * 32, 0.4 * 64], rel=1e-5)


def without_temporal(bundle: Bundle, folder: Path) -> Bundle:
    config = {**bundle.spec.config, "temporal": "none"}
    model: Any = build_model(replace(bundle.spec, config=config), eager_operators())
    weights = {name: value for name, value in bundle.weights().items() if not name.startswith("film.")}
    files: dict[str, Path | bytes] = {"weights.safetensors": save(weights)}
    return write_bundle(folder, model.spec("plain"), files, provenance={}, metrics={}, parity={})


def test_a_tracker_without_temporal_features_runs_too(tiny_vil_bundle: Bundle, tmp_path: Path) -> None:
    """Its step asks for no ``carry`` and writes no state."""
    bundle = without_temporal(tiny_vil_bundle, tmp_path / "plain")
    frames = clip(4)
    with (
        Engine.load(bundle, runtime="eager", device="cpu", threads=1) as plain,
        Engine.load(
            tiny_vil_bundle, runtime="eager", device="cpu", threads=1, options=TrackingOptions(carry=0.0)
        ) as restarting,
    ):
        ours, theirs = (one.open(frames[0][0], box=frames[0][1]) for one in (plain, restarting))
        for frame, _ in frames[1:]:
            assert ours.push(frame).box.xywh == pytest.approx(theirs.push(frame).box.xywh, abs=1e-6)


@pytest.mark.parametrize("runtime", ["eager", pytest.param("onnx", marks=pytest.mark.long)])
def test_the_stateless_form_over_several_templates(
    tiny_vil_bundle: Bundle, tmp_path: Path, runtime: str
) -> None:
    with history_cases(
        tiny_vil_bundle, [1, 3], tmp_path, runtime=runtime, ops="ort", say=lambda text: None
    ) as cases:
        for case in cases:
            for call in case.calls.values():
                for name, found in call().items():
                    np.testing.assert_allclose(found, case.reference[name], atol=1e-4)
        points = measure_history(
            [(case.history, case.calls, case.reference) for case in cases], repetitions=2, warm_up=0
        )
    assert [point.history for point in points] == [1, 3]
