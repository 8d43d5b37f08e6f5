"""A convolution whose kernel is an input gives, opened, what each row's own convolution gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from framestate.export.made_kernels import open_made_kernels
from framestate.export.onnx_surgery import batched
from onnx import TensorProto, helper, numpy_helper

SIDE, DEPTH = 9, 6


def run(model: onnx.ModelProto, **feeds: Any) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def model_of(kernel: tuple[int, ...], fold: bool, biased: bool, **attributes: Any) -> onnx.ModelProto:
    """Field (1, 6, 9, 9) and a kernel, which may come with its first axis for the row, to be folded in."""
    given = (1, kernel[0] * kernel[1], *kernel[2:]) if fold else kernel
    nodes = [helper.make_node("Reshape", ["kernel", "shape"], ["folded"])] if fold else []
    bias = ["bias"] if biased else []
    nodes.append(
        helper.make_node("Conv", ["field", "folded" if fold else "kernel", *bias], ["out"], **attributes)
    )
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("field", (1, DEPTH, SIDE, SIDE)), ("kernel", given))
    ]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(np.array(kernel, np.int64), "shape")] if fold else []
    constants += [numpy_helper.from_array(np.arange(kernel[0], dtype=np.float32), "bias")] if biased else []
    graph = helper.make_graph(nodes, "g", inputs, [output], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7)
    return onnx.shape_inference.infer_shapes(made, strict_mode=True, data_prop=True)


@pytest.mark.parametrize(
    ("kernel", "fold", "attributes"),
    [
        ((DEPTH, 1, 4, 4), True, {"group": DEPTH, "pads": [1, 1, 1, 1]}),  # NanoTrack v3's
        ((DEPTH, 1, 3, 3), False, {"group": DEPTH, "strides": [2, 1], "pads": [0, 2, 1, 0]}),
        ((1, DEPTH, 5, 3), False, {}),  # SiamFC's cross-correlation
        ((4, 3, 2, 2), True, {"group": 2, "dilations": [2, 3]}),
        ((2 * DEPTH, 1, 3, 2), True, {"group": DEPTH}),  # two kernels a channel
    ],
)
@pytest.mark.parametrize("biased", [False, True])
def test_each_row_gets_its_own_kernel(
    kernel: tuple[int, ...], fold: bool, attributes: Any, biased: bool
) -> None:
    original = model_of(kernel, fold, biased, **attributes)
    opened = onnx.ModelProto.FromString(original.SerializeToString())
    assert open_made_kernels(opened) == 1
    assert [node.op_type for node in opened.graph.node if node.op_type != "Reshape"] == ["Scan"]
    onnx.checker.check_model(opened, full_check=True)
    rng = np.random.default_rng(0)
    shapes = [tuple(dim.dim_value for dim in one.type.tensor_type.shape.dim) for one in original.graph.input]
    rows = [[rng.normal(size=shape).astype(np.float32) for shape in shapes] for _ in range(3)]
    alone = [run(original, field=field, kernel=made) for field, made in rows]
    feeds = [np.concatenate(each) for each in zip(*rows, strict=True)]
    together = run(batched(opened), field=feeds[0], kernel=feeds[1])
    assert np.array_equal(together, np.concatenate(alone))
    assert np.ptp(together) > 1


def test_a_kernel_of_constants_is_left_alone() -> None:
    model = model_of((DEPTH, 1, 3, 3), True, False, group=DEPTH)
    constant = numpy_helper.from_array(np.ones((1, DEPTH, 3, 3), np.float32), "kernel")
    model.graph.initializer.append(constant)
    del model.graph.input[1]
    before = model.SerializeToString()
    assert open_made_kernels(model) == 0
    assert model.SerializeToString() == before
