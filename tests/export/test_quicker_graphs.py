"""Rewrites of exported graphs: the same numbers, from fewer nodes; what only looks like the pattern stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from framestate.bundles import load_bundle
from framestate.export.quicker_graphs import MORE_RULES, quicken
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node


def graph_of(
    nodes: Sequence[Any], inputs: dict[str, Sequence[int | str]], constants: dict[str, Any]
) -> onnx.ModelProto:
    """A graph whose output is ``out``."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims)) for name, dims in inputs.items()
    ]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "g", values, [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def both(model: onnx.ModelProto, **feeds: Any) -> tuple[Counter[str], dict[str, int]]:
    """Rewrites a graph and compares it with what it was; the kinds of its nodes, and what was used."""
    quick = onnx.ModelProto.FromString(model.SerializeToString())
    used = quicken(quick, MORE_RULES)
    expected, found = (
        onnxruntime.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, feeds
        )
        for one in (model, quick)
    )
    assert np.ptp(expected[0]) > 0.1
    assert found[0] == pytest.approx(expected[0], rel=2e-6, abs=2e-6)
    names = {name for one in quick.graph.node for name in one.input}
    assert all(tensor.name in names for tensor in quick.graph.initializer)
    return Counter(one.op_type for one in quick.graph.node), {
        key: count for key, count in used.items() if count
    }


def draw(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def rms(axis: int = -1, exponent: float = 2.0) -> onnx.ModelProto:
    return graph_of(
        [
            node("Pow", ["x", "two"], ["a"]),
            node("ReduceMean", ["a", "axes"], ["b"]),
            node("Add", ["b", "epsilon"], ["c"]),
            node("Sqrt", ["c"], ["d"]),
            node("Reciprocal", ["d"], ["e"]),
            node("Mul", ["x", "e"], ["f"]),
            node("Mul", ["f", "weight"], ["out"]),
        ],
        {"x": ("n", 5, 8)},
        {
            "two": np.float32(exponent),
            "axes": np.array([axis]),
            "epsilon": np.float32(1e-5),
            "weight": draw(8) if axis == -1 else draw(5, 1),
        },
    )


def test_a_root_mean_square_norm_is_one_node() -> None:
    assert both(rms(), x=draw(3, 5, 8)) == ({"SimplifiedLayerNormalization": 1}, {"rms_norms": 1})


@pytest.mark.parametrize(("axis", "exponent"), [(-2, 2.0), (-1, 4.0)])
def test_what_is_no_such_norm_stays(axis: int, exponent: float) -> None:
    assert both(rms(axis, exponent), x=draw(3, 5, 8))[1] == {}


@pytest.mark.parametrize(("axes", "count"), [([2, 3], 1), ([-1, -2], 1), ([1, 2], 0), ([3], 0)])
def test_a_mean_over_a_map_is_a_pool(axes: list[int], count: int) -> None:
    model = graph_of(
        [node("ReduceMean", ["x", "axes"], ["out"])], {"x": ("n", 4, 6, 7)}, {"axes": np.array(axes)}
    )
    assert both(model, x=draw(3, 4, 6, 7))[1] == ({"global_pools": 1} if count else {})


@pytest.mark.parametrize(("limit", "count"), [(20.0, 1), (0.5, 0)])
def test_a_guarded_softplus_needs_no_guard(limit: float, count: int) -> None:
    model = graph_of(
        [
            node("Softplus", ["x"], ["soft"]),
            node("Greater", ["x", "limit"], ["above"]),
            node("Where", ["above", "x", "soft"], ["out"]),
        ],
        {"x": ("n", 6)},
        {"limit": np.float32(limit)},
    )
    x = np.concatenate([draw(3, 6) * 10, [[90, -90, 20.1, 19.9, 500, -500]]]).astype(np.float32)
    assert both(model, x=x)[1] == ({"softplus": 1} if count else {})


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_norm_goes_into_the_convolution_behind_it(first: bool, kernel: int) -> None:
    """Not into one with a border: the border's zeros are not normed."""
    order = ["normed", "plain"] if first else ["plain", "normed"]
    pads = [kernel // 2] * 4
    model = graph_of(
        [
            node("BatchNormalization", ["x", "scale", "shift", "mean", "variance"], ["normed"], epsilon=1e-3),
            node("Concat", order, ["joined"], axis=1),
            node("Conv", ["joined", "weight", "bias"], ["out"], pads=pads),
        ],
        {"x": ("n", 3, 4, 4), "plain": ("n", 2, 4, 4)},
        {
            "scale": draw(3), "shift": draw(3), "mean": draw(3), "variance": np.abs(draw(3)) + 0.1,
            "weight": draw(6, 5, kernel, kernel), "bias": draw(6),
        },
    )  # fmt: skip
    kinds, used = both(model, x=draw(2, 3, 4, 4), plain=draw(2, 2, 4, 4))
    assert ("BatchNormalization" in kinds) == (kernel == 3)
    assert used == ({"folded_norms": 1} if kernel == 1 else {})


@pytest.mark.parametrize(("middle", "count"), [(2, 0), (6, 1)])
@pytest.mark.parametrize("biased", [False, True])
def test_two_maps_of_the_same_cells_are_one_where_that_is_less_work(
    middle: int, count: int, biased: bool
) -> None:
    model = graph_of(
        [
            node("Conv", ["x", "first", *["shift"] * biased], ["seen"]),
            node("Conv", ["seen", "second", *["bias"] * biased], ["out"]),
        ],
        {"x": ("n", 6, 4, 4)},
        {
            "first": draw(middle, 6, 1, 1), "second": draw(5, middle, 1, 1),
            **({"shift": draw(middle), "bias": draw(5)} if biased else {}),
        },
    )  # fmt: skip
    kinds, used = both(model, x=draw(2, 6, 4, 4))
    assert used == ({"folded_maps": 1} if count else {})
    assert kinds == {"Conv": 2 - count}


def test_a_norm_that_others_use_stays() -> None:
    model = graph_of(
        [
            node("BatchNormalization", ["x", "one", "none", "none", "one"], ["normed"]),
            node("Concat", ["normed", "x"], ["joined"], axis=1),
            node("Conv", ["joined", "weight", "none"], ["seen"]),
            node("Add", ["seen", "normed"], ["out"]),
        ],
        {"x": ("n", 3, 4, 4)},
        {"one": np.ones(3, np.float32), "none": np.zeros(3, np.float32), "weight": draw(3, 6, 1, 1)},
    )
    assert both(model, x=draw(2, 3, 4, 4))[1] == {}


@pytest.mark.parametrize(("target", "count"), [([3, 4], 1), ([2, 3, 4], 0)])
def test_elementwise_operators_expand_on_their_own(target: list[int], count: int) -> None:
    """Not where the expansion gives the result an axis that the other operand lacks."""
    model = graph_of(
        [node("Expand", ["row", "shape"], ["wide"]), node("Div", ["x", "wide"], ["out"])],
        {"x": (3, 4), "row": (1, 4)},
        {"shape": np.array(target)},
    )
    assert both(model, x=draw(3, 4), row=np.abs(draw(1, 4)) + 1)[1] == ({"broadcasts": 1} if count else {})


@pytest.mark.parametrize(
    "settings",
    [{}, {"pads": [3, 0]}, {"pads": [1, 2], "strides": [2]}, {"dilations": [2], "kernel_shape": [4]}],
)
@pytest.mark.parametrize("biased", [False, True])
def test_a_depthwise_convolution_of_a_line_runs_as_a_map(settings: dict[str, Any], biased: bool) -> None:
    model = graph_of(
        [node("Conv", ["x", "weight", *["bias"] * biased], ["out"], group=6, **settings)],
        {"x": ("n", 6, 12)},
        {"weight": draw(6, 1, 4), **({"bias": draw(6)} if biased else {})},
    )
    kinds, used = both(model, x=draw(2, 6, 12))
    assert kinds == {"Unsqueeze": 1, "Conv": 1, "Squeeze": 1}
    assert used == {"depthwise_lines": 1}


def test_a_convolution_that_mixes_channels_stays() -> None:
    model = graph_of([node("Conv", ["x", "weight"], ["out"])], {"x": ("n", 3, 12)}, {"weight": draw(6, 3, 4)})
    assert both(model, x=draw(2, 3, 12))[1] == {}


def test_the_shipped_tracker_has_been_rewritten() -> None:
    """A second time there is nothing left to do."""
    bundle = load_bundle("tracker-nano")
    for name in ("init.onnx", "step.onnx"):
        model = onnx.load(bundle.file(name))
        assert sum(one.op_type == "SimplifiedLayerNormalization" for one in model.graph.node) >= 3
        assert not any(quicken(model).values())
