"""TensorRT over host memory with a model of two functions whose shapes follow the frames' size."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from framestate.bundles import Bundle, FunctionSpec, ModelSpec, TensorSpec, write_bundle
from framestate.engine import Engine
from framestate.errors import BundleError, DataError, OptionError
from framestate.runtimes.tensorrt import TensorRTRuntime
from framestate.runtimes.tensorrt_device import DeviceTensor
from framestate.runtimes.tensorrt_plan import MOST_RANGES, FrameRange, PlanKey, frames_of, plan_key
from framestate.runtimes.tensorrt_sets import MOST_FRAME_SIZES
from framestate.vision import Frame
from onnx import TensorProto, helper

from .host_gpu import plan_bundle

IMAGE = TensorSpec("image", "float32", ("batch", 3, "height", "width"))
SMALL = ("batch", 3, "height/4", "width/4")
SPEC = ModelSpec(
    name="means",
    task="interpolation",
    architecture="none",
    config={},
    preprocess={"multiple": 4},
    functions={
        "encode": FunctionSpec((IMAGE,), (), (), ("second.f4",)),
        "interpolate": FunctionSpec(
            (TensorSpec("t", "float32", ("batch", 1)),),
            (TensorSpec("image", "float32", SMALL),),
            ("first.f4", "second.f4"),
            (),
        ),
    },
    state=(TensorSpec("first.f4", "float32", SMALL), TensorSpec("second.f4", "float32", SMALL)),
)
RANGES = (FrameRange((4, 4), (16, 16), (64, 64)), FrameRange.only((8, 16)))


def value(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def graph(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> bytes:
    made = helper.make_graph(nodes, "means", inputs, outputs, constants)
    model: bytes = onnx.helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    ).SerializeToString()
    return model


@pytest.fixture
def means(tmp_path: Path) -> Bundle:
    """Means of 4 x 4 pixels, and what lies between the means of two frames."""
    full, small = ("batch", 3, "h", "w"), ("batch", 3, "h4", "w4")
    shrink: dict[str, Any] = {"kernel_shape": [4, 4], "strides": [4, 4]}
    encode = graph(
        [helper.make_node("AveragePool", ["image"], ["present_state.second.f4"], **shrink)],
        [value("image", *full)],
        [value("present_state.second.f4", *small)],
        [],
    )
    first, second = "past_state.first.f4", "past_state.second.f4"
    interpolate = graph(
        [
            helper.make_node("Reshape", ["t", "column"], ["when"]),
            helper.make_node("Sub", [second, first], ["step"]),
            helper.make_node("Mul", ["when", "step"], ["part"]),
            helper.make_node("Add", [first, "part"], ["image"]),
        ],
        [value("t", "batch", 1), value(first, *small), value(second, *small)],
        [value("image", *small)],
        [helper.make_tensor("column", TensorProto.INT64, [4], [-1, 1, 1, 1])],
    )
    files: dict[str, Path | bytes] = {"encode.onnx": encode, "interpolate.onnx": interpolate}
    files["weights.safetensors"] = b"\x02\x00\x00\x00\x00\x00\x00\x00{}"
    return write_bundle(tmp_path / "means", SPEC, files, provenance={}, metrics={}, parity={})


@pytest.fixture
def runtime(means: Bundle, tmp_path: Path, host_vendor: SimpleNamespace) -> TensorRTRuntime:
    return TensorRTRuntime(plan_bundle(means, tmp_path / "plans", RANGES))


def picture(batch: int, height: int, width: int) -> Any:
    return np.random.default_rng(height * width).random((batch, 3, height, width), np.float32)


def between(runtime: TensorRTRuntime, batch: int, height: int, width: int) -> None:
    """Two frames through the runtime, as NumPy has it."""
    one, other = picture(batch, height, width), 1 - picture(batch, height, width)
    first, second = (
        (runtime.call("encode", {"image": frame}, None)[1] or {})["second.f4"] for frame in (one, other)
    )
    t = np.linspace(0, 1, batch, dtype=np.float32)[:, None]
    outputs, written = runtime.call("interpolate", {"t": t}, {"first.f4": first, "second.f4": second})
    small = [frame.reshape(batch, 3, height // 4, 4, width // 4, 4).mean((3, 5)) for frame in (one, other)]
    expected = small[0] + t[:, :, None, None] * (small[1] - small[0])
    np.testing.assert_allclose(outputs["image"], expected, atol=1e-5)
    assert not written


def test_sizes_take_turns_with_batches_padded_and_in_pieces(
    runtime: TensorRTRuntime, host_vendor: SimpleNamespace
) -> None:
    """More sizes than keep their buffers, each with one row, with three (padded) and six (two pieces)."""
    sizes = [(8, 16), (16, 8), (4, 4), (64, 64), (12, 20), (16, 16)]
    assert len(sizes) > MOST_FRAME_SIZES
    for _ in range(2):
        for size in sizes:
            for batch in (1, 3, 6):
                between(runtime, batch, *size)
    encode = host_vendor.engines[0]
    assert set(encode.ran) == {1, 4, 2}
    kept = [graph for graph in host_vendor.graphs if not graph.closed]
    assert len(host_vendor.graphs) > 2 * MOST_FRAME_SIZES * 3
    assert len(kept) == 2 * MOST_FRAME_SIZES * 3, "three sizes of two functions; the others are given back"


def test_two_pairs_of_a_video_are_under_way_at_once(
    tiny_interpolator: Bundle, tmp_path: Path, host_vendor: SimpleNamespace
) -> None:
    """A size gets its second set of buffers when it is needed; the frames are those of one pair at a time."""
    bundle = plan_bundle(tiny_interpolator, tmp_path / "plans", (FrameRange.only((32, 32)),), largest=2)
    rng, shown, inside, most = np.random.default_rng(0), list[Any](), list[int](), list[int]()
    frames = [Frame(rng.integers(0, 256, (32, 32, 3), np.uint8), i, Fraction(1, 25), i) for i in range(5)]
    changed = threading.Condition()

    def together() -> None:
        """A while in which another call may come to where it waits, too; the first frames are alone."""
        with changed:
            inside.append(1)
            most.append(len(inside))
            changed.notify_all()
            changed.wait_for(lambda: max(most) > 1, 0.5)
            inside.pop()

    with Engine(TensorRTRuntime(bundle)) as engine:
        for lanes in (1, 2):
            host_vendor.cuda.on_wait = together if lanes > 1 else lambda: None
            with engine.open(cuts=False, duplicates=False) as session:
                shown.append([frame.image for frame in session.ahead(iter(frames), lanes)])
    assert max(most) == 2
    assert len(shown[0]) == 2 * len(frames) - 1
    assert all(np.array_equal(one, other) for one, other in zip(*shown, strict=True))


def test_the_narrowest_profile_is_taken(runtime: TensorRTRuntime, host_vendor: SimpleNamespace) -> None:
    for size, profile in (((8, 16), 1), ((16, 8), 0), ((64, 64), 0)):
        host_vendor.engines[0].profiles.clear()
        runtime.call("encode", {"image": picture(1, *size)}, None)
        assert host_vendor.engines[0].profiles == [profile]


@pytest.mark.parametrize("size", [(68, 64), (64, 68), (128, 4)])
def test_a_size_outside_every_profile_is_refused(runtime: TensorRTRuntime, size: tuple[int, int]) -> None:
    """When a session starts, and in every call; with the sizes there are, and the command."""
    message = rf"frames of {size[1]}x{size[0]} are outside .*4x4 to 64x64, 16x8"
    with pytest.raises(DataError, match=message) as caught:
        runtime.allocate(1, size)
    assert "--size" in caught.value.remedy
    with pytest.raises(DataError, match=message):
        runtime.call("encode", {"image": picture(1, *size)}, None)
    between(runtime, 1, 8, 16)


def test_rows_follow_the_size(runtime: TensorRTRuntime) -> None:
    store = runtime.allocate(2, (8, 16))
    _, written = runtime.call("encode", {"image": picture(1, 8, 16)}, None)
    store.write([1], written or {})
    assert store.save_row(1)["second.f4"].shape == (3, 2, 4)
    assert not store.save_row(0)["second.f4"].any()
    with pytest.raises(BundleError, match="size"):
        runtime.allocate(2)


def test_state_that_was_changed_on_the_host_is_taken_back(runtime: TensorRTRuntime) -> None:
    """As an array, and as the engine makes a tensor of it where motion is found on smaller frames."""
    _, written = runtime.call("encode", {"image": picture(2, 8, 16)}, None)
    kept = (written or {})["second.f4"]
    assert isinstance(kept, DeviceTensor)
    array = runtime.to_host(kept) * 2
    t = np.ones((2, 1), np.float32)
    for changed in (array, runtime.from_host("second.f4", array)):
        outputs, _ = runtime.call("interpolate", {"t": t}, {"first.f4": kept, "second.f4": changed})
        np.testing.assert_allclose(outputs["image"], array, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(kept) * 2, array)


def test_ranges_go_through_the_manifest(means: Bundle, tmp_path: Path) -> None:
    assert plan_key(plan_bundle(means, tmp_path / "plans", RANGES)).frames == RANGES
    for broken in (
        [1],
        [[1, 2, 3]],
        [{"least": [4, 4]}],
        [{"least": [4, 4], "usual": [4, "4"], "most": [4, 4]}],
        3,
    ):
        with pytest.raises(OptionError, match="are not three sizes"):
            frames_of(broken)


@pytest.mark.parametrize(
    "sizes",
    [
        ((4, 4), (4, 2), (8, 8)),
        ((4, 4), (16, 8), (8, 8)),
        ((0, 4), (4, 4), (4, 4)),
        ((4, 4), (4, 4), (4, 99_999)),
    ],
)
def test_ranges_that_make_no_sense(sizes: Any) -> None:
    with pytest.raises(OptionError, match="cannot be built for"):
        FrameRange(*sizes)


def test_too_many_ranges() -> None:
    many = tuple(FrameRange.only((4, 4 + place)) for place in range(MOST_RANGES + 1))
    with pytest.raises(OptionError, match="too many for one plan"):
        PlanKey("b", "p", "fp32", 1, 1, 1, "11.4.0", "Orin", many)
