"""A tracker whose graph ends with the best cell answers as one whose maps are read on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from framestate.bundles import Bundle, ModelSpec, write_bundle
from framestate.engine import Engine, TrackingOptions
from framestate.engine.tracking.decode import CellDecoder, CentreDecoder, open_decoder
from framestate.errors import BundleError, OptionError
from framestate.models import decoded, functions_of
from framestate.models.best_cell import best_cell
from framestate.runtimes import open_runtime
from framestate.vision import Box, SquareCrop
from framestate.vision.synthetic import demo_clip
from torch import nn

from ..export.test_tensorrt_frames import PARSED

FRAMES = 8


def spec_of(bundle: Bundle) -> ModelSpec:
    return decoded(bundle.spec, "graph")


def without_graphs(source: Bundle, spec: ModelSpec, folder: Path) -> Bundle:
    """The same weights as another model, for PyTorch alone."""
    files: dict[str, Path | bytes] = {"weights.safetensors": source.file("weights.safetensors")}
    return write_bundle(folder, spec, files, provenance={}, metrics={}, parity={})


@pytest.mark.parametrize("grid", [4, 15])
def test_the_graph_finds_the_hosts_cell(tiny_bundle: Bundle, grid: int) -> None:
    """Of any maps, beliefs and options, each row of a batch by its own."""
    rng = np.random.default_rng(grid)
    depths = {"score": 1, "offset": 2, "size": 2, "log_variance": 4}
    shape = {name: ("batch", depth, grid, grid) for name, depth in depths.items()}
    step = tiny_bundle.spec.function("step")
    outputs = tuple(replace(one, shape=shape[one.name]) for one in step.outputs)
    spec = replace(tiny_bundle.spec, functions={"step": replace(step, outputs=outputs)})
    crop = SquareCrop(cx=200, cy=100, side=72, size=144)
    maps = {name: rng.random((60, depth, grid, grid), np.float32) for name, depth in depths.items()}
    maps["score"] **= 3
    options = [TrackingOptions(window=rng.uniform(0, 0.6), change=rng.uniform(0, 0.4)) for _ in range(60)]
    boxes = [Box(180, 80, *rng.uniform(2, 70, 2)) for _ in range(60)]
    asked = [
        CellDecoder(spec_of(tiny_bundle), one).asks(crop, box)["belief"]
        for one, box in zip(options, boxes, strict=True)
    ]
    tensors = {name: torch.from_numpy(value) for name, value in maps.items()}
    cells = best_cell(tensors, torch.from_numpy(np.concatenate(asked))).numpy()
    for row, (one, box) in enumerate(zip(options, boxes, strict=True)):
        wanted = CentreDecoder(spec, one)({name: value[row] for name, value in maps.items()}, crop, box)
        found = CellDecoder(spec_of(tiny_bundle), one)({"cell": cells[row]}, crop, box)
        assert found.score == wanted.score
        assert found.box.xywh == pytest.approx(wanted.box.xywh, abs=1e-3)
        assert found.std == pytest.approx(wanted.std, rel=1e-4)


@pytest.mark.parametrize("runtime", ["eager", "onnx"])
def test_tracks_are_the_same(tiny_bundle: Bundle, tiny_cell_bundle: Bundle, runtime: str) -> None:
    assert_same(tiny_bundle, tiny_cell_bundle, runtime)


def test_any_centre_head_has_one(tiny_vil_bundle: Bundle, tmp_path: Path) -> None:
    spec = decoded(tiny_vil_bundle.spec, "graph")
    assert_same(tiny_vil_bundle, without_graphs(tiny_vil_bundle, spec, tmp_path / "cell"), "eager")


def assert_same(one: Bundle, other: Bundle, runtime: str) -> None:
    for track, wanted in zip(followed(other, runtime), followed(one, runtime), strict=True):
        assert track.status == wanted.status
        assert track.score == pytest.approx(wanted.score, abs=1e-5)
        assert track.box.xywh == pytest.approx(wanted.box.xywh, abs=0.02)


def followed(bundle: Bundle, runtime: str) -> Iterator[Any]:
    options = TrackingOptions(sure=0.3, seen=0.1, override=0.3)
    (first, box, _), *rest = demo_clip(1, FRAMES, (160, 120))
    with Engine(open_runtime(bundle, runtime, device="cpu", threads=1), options=options) as engine:
        session = engine.open(first, box=box)
        for image, _, _ in rest:
            yield session.push(image)


def test_tensorrt_knows_the_operators(tiny_bundle: Bundle, tiny_cell_bundle: Bundle) -> None:
    kinds = [
        {node.op_type for node in onnx.load(one.file("step.onnx"), load_external_data=False).graph.node}
        for one in (tiny_bundle, tiny_cell_bundle)
    ]
    assert "ArgMax" in kinds[1] - kinds[0] <= PARSED


def test_where_the_answer_can_be_found(tiny_bundle: Bundle, tiny_trajectory_bundle: Bundle) -> None:
    spec = tiny_bundle.spec
    assert decoded(spec, "host") == spec
    assert decoded(spec, "") == decoded(decoded(spec, "graph"), "graph") == decoded(spec, "graph") != spec
    assert decoded(tiny_trajectory_bundle.spec, "") == tiny_trajectory_bundle.spec
    with pytest.raises(OptionError, match="neither a tracker with a centre head nor an interpolator"):
        decoded(tiny_trajectory_bundle.spec, "graph")
    with pytest.raises(OptionError, match="ends in its graph already"):
        decoded(decoded(spec, "graph"), "host")
    with pytest.raises(OptionError, match="--decode gpu is unknown"):
        decoded(spec, "gpu")


def test_a_model_may_find_its_cell_by_itself(tiny_bundle: Bundle) -> None:
    """Then its own functions are called, with nothing behind them."""

    class Own(nn.Module):
        def functions(self) -> dict[str, Any]:
            return {"step": len}

    spec = decoded(tiny_bundle.spec, "graph")
    own = replace(spec, preprocess={name: one for name, one in spec.preprocess.items() if name != "ends"})
    assert functions_of(Own(), own) == {"step": len}
    assert functions_of(Own(), spec)["step"] is not len


def test_a_spec_that_lacks_what_the_decoder_needs(tiny_bundle: Bundle) -> None:
    wrong = replace(tiny_bundle.spec, preprocess={**tiny_bundle.spec.preprocess, "decode": "cell"})
    with pytest.raises(BundleError, match="takes no belief"):
        open_decoder(wrong, TrackingOptions())
    with pytest.raises(BundleError, match=r"decoder \['cell'\].*known decoders"):
        open_decoder(replace(wrong, preprocess={"decode": ["cell"]}), TrackingOptions())


def test_the_proof_was_made_with_it(tiny_bundle: Bundle, tiny_cell_bundle: Bundle) -> None:
    """By ``framestate export --decode graph``: the same weights, nine numbers out, eager and graph agree."""
    assert [one.name for one in tiny_cell_bundle.spec.function("step").outputs] == ["cell"]
    assert tiny_cell_bundle.parity["onnx"]["frames"] == 5  # type: ignore[index,call-overload]
    for name, weight in tiny_bundle.weights().items():
        assert np.array_equal(weight, tiny_cell_bundle.weights()[name])
