"""An interpolator that takes and gives bytes makes the frames of one whose planes are made on the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from framestate.bundles import Bundle, FunctionSpec, ModelSpec, TensorSpec, load_bundle, write_bundle
from framestate.engine import Engine, InterpolationOptions
from framestate.engine.interpolation.padding import as_input, put_pixels
from framestate.errors import BundleError, FrameError, StepError
from framestate.export.bundle import bundle_model
from framestate.models import build_model, decoded, load_weights
from framestate.models.byte_frames import PLANES, pixels, planes
from framestate.plugins import Operators, eager_operators
from framestate.runtimes.eager import EagerRuntime
from framestate.runtimes.onnx import OnnxRuntime
from framestate.runtimes.tensorrt import TensorRTRuntime
from framestate.runtimes.tensorrt_plan import FrameRange
from torch import Tensor, nn

from ..export.test_tensorrt_frames import PARSED
from ..runtimes.host_gpu import plan_bundle, stand_in

STATE = ("batch", 3, "height", "width")
SPEC = ModelSpec(
    name="dissolve",
    task="interpolation",
    architecture="none",
    config={},
    preprocess={"multiple": 8},
    functions={
        "encode": FunctionSpec((PLANES,), (), (), ("second.image",)),
        "interpolate": FunctionSpec(
            (TensorSpec("t", "float32", ("batch", 1)),), (PLANES,), ("first.image", "second.image")
        ),
    },
    state=(TensorSpec("first.image", "float32", STATE), TensorSpec("second.image", "float32", STATE)),
)


class Dissolve(nn.Module):
    """One frame into the other, with a little more contrast than there is room for."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((3, 1, 1), 1.25))

    def functions(self) -> Mapping[str, Any]:
        return {
            "encode": lambda inputs, state: ({}, {"second.image": inputs["image"] * self.gain - 0.1}),
            "interpolate": lambda inputs, state: ({"image": self.mixed(inputs["t"], state)}, {}),
        }

    def mixed(self, t: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        first, second = state["first.image"], state["second.image"]
        return first + t[..., None, None] * (second - first)


def build(spec: ModelSpec, operators: Operators) -> nn.Module:
    return Dissolve()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    """Planes, and bytes; each with graphs that were proven."""
    folder = tmp_path_factory.mktemp("dissolve")
    told: dict[str, Any] = {"provenance": {}, "frames": 2, "build": build}
    host, graph = (
        bundle_model(Dissolve(), decoded(SPEC, where), folder / where, **told)[0]
        for where in ("host", "graph")
    )
    return host, graph


def frames(size: tuple[int, int] = (36, 52)) -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8) for seed in range(3)]


def made(engine: Engine, *, tiles: bool = False) -> list[np.ndarray]:
    """Two frames between three of 36 x 52, or between three that go through in tiles."""
    options = InterpolationOptions(cuts=False, tile_pixels=128 * 128 if tiles else 2**20, overlap=8)
    with engine, engine.open(options=options) as session:
        given = frames((144, 176) if tiles else (36, 52))
        return [frame.image for image in given for frame in session.push(image)]


def test_conversion_is_the_hosts_to_the_bit() -> None:
    image = np.arange(256 * 3, dtype=np.uint16).astype(np.uint8).reshape(16, 16, 3)
    found = planes(torch.from_numpy(image[None])).numpy()
    assert np.array_equal(found, as_input(image, 16, 16))
    assert np.array_equal(as_input(image, 16, 24, whole=True)[0, :, 16:], np.repeat(image[:, 15:], 8, 1))
    drawn = np.random.default_rng(0).uniform(-0.2, 1.2, (1, 3, 40, 40)).astype(np.float32)
    drawn[0, 0, :4] = (np.arange(160, dtype=np.float32).reshape(4, 40) + 0.5) / 255  # between levels
    expected = np.empty((40, 40, 3), np.uint8)
    put_pixels(expected, drawn, 0)
    assert np.array_equal(pixels(torch.from_numpy(drawn))[0].numpy(), expected)


@pytest.mark.parametrize("tiles", [False, True])
def test_frames_are_the_same_on_every_runtime(
    bundles: tuple[Bundle, Bundle], tiles: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, and in tiles, whose seams are mixed after they were rounded."""
    host, graph = bundles
    wanted = made(Engine(OnnxRuntime(host, threads=1)), tiles=tiles)
    assert len(wanted) == 5
    stand_in(monkeypatch)
    sizes = (FrameRange((8, 8), (40, 56), (192, 192)),)
    for runtime in (
        EagerRuntime(graph, build=build),
        OnnxRuntime(graph, threads=1),
        TensorRTRuntime(plan_bundle(graph, tmp_path / "plans", sizes, largest=2)),
    ):
        for one, other in zip(made(Engine(runtime), tiles=tiles), wanted, strict=True):
            assert np.abs(one.astype(int) - other).max() <= int(tiles), runtime.name


def test_a_quarter_of_the_bytes_move(
    bundles: tuple[Bundle, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor, moved, count = stand_in(monkeypatch), [], 40 * 56 * 3
    for place, bundle in enumerate(bundles):
        plans = plan_bundle(bundle, tmp_path / str(place), (FrameRange.only((40, 56)),), largest=2)
        runtime = TensorRTRuntime(plans)
        vendor.cuda.sent = vendor.cuda.fetched = 0
        made(Engine(runtime))
        moved.append((vendor.cuda.sent, vendor.cuda.fetched))
    for ours, before, after in zip((3, 2), *moved, strict=True):  # three frames go in, two come out
        assert before >= ours * 4 * count
        assert ours * count <= after <= ours * count + 8 * 512  # small tensors beside them, in blocks


def test_tensorrt_knows_the_operators(bundles: tuple[Bundle, Bundle]) -> None:
    for name, kind in (("encode", "Cast"), ("interpolate", "Round")):
        nodes = onnx.load(bundles[1].file(f"{name}.onnx"), load_external_data=False).graph.node
        assert kind in {node.op_type for node in nodes} <= PARSED


def test_frames_of_16_bits_are_refused(bundles: tuple[Bundle, Bundle]) -> None:
    deep: list[Any] = [frame.astype(np.uint16) * 257 for frame in frames()]
    with Engine(EagerRuntime(bundles[1], build=build)) as engine, engine.open(cuts=False) as session:
        session.push(deep[0])
        with pytest.raises(FrameError, match="16 bits a component, and this model takes bytes"):
            session.push(deep[1])


def test_bytes_of_another_order_are_refused_when_it_is_opened(
    bundles: tuple[Bundle, Bundle], tmp_path: Path
) -> None:
    spec = bundles[1].spec
    wrong = replace(spec.functions["encode"], inputs=(replace(PLANES, dtype="uint8"),))
    changed = replace(spec, functions={**spec.functions, "encode": wrong})
    files: dict[str, Path | bytes] = {name: bundles[1].file(name) for name in bundles[1].files}
    made = write_bundle(tmp_path / "wrong", changed, files, provenance={}, metrics={}, parity={})
    with pytest.raises(BundleError, match=r"no interpolator: encode has an image of bytes of"):
        Engine(EagerRuntime(made, build=build))


def test_what_is_not_finite_does_not_hide_in_bytes(bundles: tuple[Bundle, Bundle]) -> None:
    state = {"first.image": torch.full((1, 3, 8, 8), torch.inf), "second.image": torch.zeros(1, 3, 8, 8)}
    with pytest.raises(StepError, match="not finite"):
        EagerRuntime(bundles[1], build=build).call(
            "interpolate", {"t": np.full((1, 1), 0.5, np.float32)}, state
        )


def test_shipped_weights_fit_it() -> None:
    bundle = load_bundle("interp-nano")
    spec = decoded(bundle.spec, "graph")
    assert {"aim", "mend", "blend"} & set(spec.functions) == set()
    assert {spec.functions[name].inputs[0].dtype for name in ("encode", "encode_fine")} == {"uint8"}
    load_weights(build_model(spec, eager_operators()), bundle.weights())
