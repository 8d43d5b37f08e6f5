"""All operators in every dialect of ONNX: what runs here is right, what does not has the promised shape."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from framestate.plugins import Operators, onnx_operators, onnx_ops, reference_operators
from framestate.plugins.cases import CONFIGURATIONS
from framestate.plugins.causal_conv1d import onnx_lowering
from framestate.plugins.forms import forms_of
from torch import Tensor, nn

CLOSE = 1e-5  # float32, relative to the largest magnitude
OPSET = 20
BATCH, TIME = 2, 37

Call = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """An operator with inputs; the names of those that have a batch, and how it is called."""

    operator: str
    inputs: dict[str, Tensor]
    batched: tuple[str, ...]
    call: Call
    """Takes the operator and the inputs in order; returns all outputs in one tuple."""


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def flat(out: tuple[Tensor, Any]) -> tuple[Tensor, ...]:
    y, final = out
    return (y, *final) if isinstance(final, tuple) else (y, final)


def case(operator: str, batch: int = BATCH, time: int = TIME) -> Case:
    if operator == "selective_scan":
        inputs = {
            "x": normal(batch, time, 6, seed=0),
            "dt": uniform(batch, time, 6, seed=1),
            "a": -8 * uniform(6, 4, seed=2),
            "b": normal(batch, time, 4, seed=3),
            "c": normal(batch, time, 4, seed=4),
            "state": normal(batch, 6, 4, seed=5),
        }
        return Case(operator, inputs, ("x", "dt", "b", "c", "state"), lambda op, *rest: flat(op(*rest)))
    if operator == "ssd_scan":
        inputs = {
            "x": normal(batch, time, 4, 6, seed=0),
            "dt": uniform(batch, time, 4, seed=1),
            "a": -8 * uniform(4, seed=2),
            "b": normal(batch, time, 2, 5, seed=3),
            "c": normal(batch, time, 2, 5, seed=4),
            "state": normal(batch, 4, 5, 6, seed=5),
        }
        return Case(operator, inputs, ("x", "dt", "b", "c", "state"), lambda op, *rest: flat(op(*rest)))
    if operator == "mlstm_scan":
        inputs = {
            "q": normal(batch, time, 2, 4, seed=0),
            "k": normal(batch, time, 2, 4, seed=1),
            "v": normal(batch, time, 2, 5, seed=2),
            "i": normal(batch, time, 2, seed=3),
            "f": 2 * normal(batch, time, 2, seed=4) + 3,
            "memory": normal(batch, 2, 4, 5, seed=5),
            "norm": normal(batch, 2, 4, seed=6),
            "m": normal(batch, 2, seed=7),
        }
        return Case(
            operator, inputs, tuple(inputs), lambda op, *rest: flat(op(*rest[:5], tuple(rest[5:]), eps=1e-5))
        )
    if operator != "causal_conv1d":
        found = next(one for one in CONFIGURATIONS if one.label == operator)
        names = tuple(found.tensors)
        call = lambda op, *rest: found.call(op, dict(zip(names, rest, strict=True)))  # noqa: E731
        return Case(found.operator, found.draw(time, B=batch), found.batched, call)
    inputs = {
        "x": normal(batch, time, 6, seed=0),
        "weight": normal(6, 4, seed=1),
        "bias": normal(6, seed=2),
        "state": normal(batch, 6, 3, seed=3),
    }
    return Case(operator, inputs, ("x", "state"), lambda op, *rest: flat(op(*rest)))


NODES = ["selective_scan", "ssd_scan", "mlstm_scan", "causal_conv1d"]
"""Operators with a node of their own in every dialect."""
OPERATORS = [*NODES, *(one.label for one in CONFIGURATIONS if not forms_of(one.operator).tensorrt)]


class Exported(nn.Module):
    """One operator as a model."""

    def __init__(self, operators: Operators, wanted: Case) -> None:
        super().__init__()
        self.operator, self.call = getattr(operators, wanted.operator), wanted.call

    def forward(self, *tensors: Tensor) -> Any:
        return self.call(self.operator, *tensors)


def export(operators: Operators, wanted: Case, opset: int = OPSET) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1, max=64)
    shapes = tuple({0: batch} if name in wanted.batched else None for name in wanted.inputs)
    arguments: dict[str, Any] = {"dynamic_shapes": (shapes,), "input_names": list(wanted.inputs)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Exported(operators, wanted).eval(), tuple(wanted.inputs.values()), dynamo=True,
            opset_version=opset, verbose=False, **arguments,
        )  # fmt: skip
    assert program is not None
    return program.model_proto


@functools.cache
def graph(operator: str, dialect: Any) -> onnx.ModelProto:
    """The operator's graph in a dialect, exported once; nobody changes it."""
    return export(onnx_operators(dialect), case(operator))


def run(model: onnx.ModelProto, inputs: dict[str, Tensor]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return [
        np.asarray(out) for out in session.run(None, {name: value.numpy() for name, value in inputs.items()})
    ]


def reference(wanted: Case) -> tuple[Tensor, ...]:
    operator = getattr(reference_operators(), wanted.operator)
    out: tuple[Tensor, ...] = wanted.call(operator, *(tensor.double() for tensor in wanted.inputs.values()))
    return out


def nodes(model: onnx.ModelProto, domain: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.domain == domain]


@pytest.mark.parametrize("dialect", ["ort", "portable"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_graph_runs_and_agrees_at_any_batch(operator: str, dialect: Any) -> None:
    model = graph(operator, dialect)
    onnx.checker.check_model(model)
    for batch in (1, BATCH, 5):
        wanted = case(operator, batch)
        for found, expected in zip(run(model, wanted.inputs), reference(wanted), strict=True):
            assert found.shape == tuple(expected.shape)
            assert np.abs(found - expected.numpy()).max() / expected.abs().max() <= CLOSE


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_portable_graph_has_nothing_but_onnx(operator: str) -> None:
    model = graph(operator, "portable")
    onnx.checker.check_model(model, full_check=True)
    assert {(entry.domain, entry.version <= OPSET) for entry in model.opset_import} == {("", True)}
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not model.functions


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_single_step_exports_portably(operator: str) -> None:
    wanted = case(operator, time=1)
    model = export(onnx_operators("portable"), wanted)
    for found, expected in zip(run(model, wanted.inputs), reference(wanted), strict=True):
        assert np.abs(found - expected.numpy()).max() / expected.abs().max() <= CLOSE


@pytest.mark.parametrize(
    ("operator", "name", "attributes"),
    [
        ("selective_scan", "SelectiveScan", {}),
        ("ssd_scan", "SsdScan", {}),
        ("mlstm_scan", "MlstmScan", {"eps": pytest.approx(1e-5)}),
        ("causal_conv1d", "CausalConv1d", {"silu": 1}),
    ],
)
def test_a_plugin_graph_has_one_node_an_operator(
    operator: str, name: str, attributes: dict[str, object]
) -> None:
    wanted = case(operator)
    model = graph(operator, "plugin")
    onnx.checker.check_model(model)  # it knows no framestate.*, and lets that pass
    (node,) = nodes(model, "framestate")
    assert len(model.graph.node) == 1
    assert node.op_type == name
    assert {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute} == (
        attributes
    )
    assert list(node.input) == list(wanted.inputs)  # every input, in the documented order
    assert list(node.output) == [value.name for value in model.graph.output]
    assert {entry.domain: entry.version for entry in model.opset_import} == {"framestate": 1, "": OPSET}
    expected = wanted.call(
        getattr(reference_operators(), operator), *(tensor for tensor in wanted.inputs.values())
    )
    for value, tensor in zip(model.graph.output, expected, strict=True):
        dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        assert dims == ["batch", *tensor.shape[1:]]


@pytest.mark.parametrize("operator", NODES)
def test_without_a_state_a_plugin_gets_the_empty_one(operator: str) -> None:
    """The node's inputs are always all there; a runtime's kernel needs no special case."""
    wanted = case(operator)
    count = {"mlstm_scan": 5, "causal_conv1d": 3}.get(operator, 5)
    inputs = dict(list(wanted.inputs.items())[:count])
    alone = Case(operator, inputs, wanted.batched, lambda op, *rest: flat(op(*rest)))
    (node,) = nodes(export(onnx_operators("plugin"), alone), "framestate")
    assert len(node.input) == len(wanted.inputs)


@pytest.mark.parametrize("operator", NODES)
def test_the_switch_to_standard_operators_is_one_name(operator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With IN_USE = STANDARD the graphs are valid ONNX of opset 27, by ONNX's own checker and shapes."""
    monkeypatch.setattr(onnx_ops, "IN_USE", onnx_ops.STANDARD)
    monkeypatch.setattr(onnx_lowering, "LONG", 10**6)
    model = export(onnx_operators("ort"), case(operator), onnx_ops.STANDARD.opset)
    for entry in model.opset_import:  # PyTorch 2.13's exporter knows no opset 27 and stamps 18
        entry.version = onnx_ops.STANDARD.opset
    onnx.checker.check_model(model, full_check=True)
    stateful = {"LinearAttention", "CausalConvWithState"}
    assert len([node for node in model.graph.node if node.op_type in stateful]) == 1
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}


@pytest.mark.parametrize(("most", "operator"), [(10**6, "CausalConvWithState"), (1, "Conv")])
def test_long_chunks_are_convolved_by_the_plain_operator(
    most: int, operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_lowering, "LONG", most)
    model = export(onnx_operators("ort"), case("causal_conv1d"))
    convolutions = [node.op_type for node in model.graph.node if "Conv" in node.op_type]
    assert convolutions == [operator]


@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - set(NODES)))
def test_an_operator_without_a_plugin_is_plain_onnx_in_its_dialect(operator: str) -> None:
    assert not nodes(graph(operator, "plugin"), "framestate")


def test_gates_alone_are_the_runtimes_own_operator() -> None:
    stateful = nodes(graph("`gated_scan`, gates alone", "ort"), "com.microsoft")
    assert [node.op_type for node in stateful] == ["LinearAttention"]


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ValueError, match="'ort', 'portable' or 'plugin'"):
        onnx_operators("tflite")  # type: ignore[arg-type]
