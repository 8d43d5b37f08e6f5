"""Functions against their spec: names, types and sizes, before an export, and in the graph after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..bundles import FunctionSpec, ModelSpec, Size, TensorSpec
from ..bundles.tensor import side_of
from ..errors import ExportError
from ..models import functions_of


def check_function(
    model: nn.Module, spec: ModelSpec, function: str, examples: Sequence[tuple[int, Size]]
) -> None:
    """Calls a function on tensors without numbers, once for each batch and size of frames.

    Raises ExportError naming the output or state, and its axis, that is not as the spec says.
    """
    described = spec.function(function)
    calls = functions_of(model, spec)
    if function not in calls:
        raise ExportError(
            f"{spec.name!r} has no function {function!r}, which its spec names",
            f"its functions() gives {', '.join(calls) or 'none'}",
        )
    states = {tensor.name: tensor for tensor in spec.state}
    for batch, size in examples:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            inputs = {tensor.name: made(tensor, batch, size) for tensor in described.inputs}
            state = {name: made(states[name], batch, size) for name in described.reads_state}
            try:
                outputs, written = calls[function](inputs, state)
            except Exception as error:  # whatever a user's model raises
                reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
                raise ExportError(
                    f"function {function!r} of {spec.name!r} fails for a batch of {batch} "
                    f"({type(error).__name__}: {reason})",
                    "it has to take any batch, and the inputs and states that the spec names",
                ) from error
        check_kind(function, outputs, written)
        for what, wanted, found in (
            ("output", described.outputs, outputs),
            ("state", [states[name] for name in described.writes_state], written),
        ):
            for tensor in wanted:
                check_tensor(f"{what} {tensor.name!r} of function {function!r}", tensor, found, batch, size)
            for name in set(found) - {tensor.name for tensor in wanted}:
                raise ExportError(
                    f"function {function!r} gives {what} {name!r}, which the spec does not name",
                    "name it in the spec, or leave it out",
                )


def check_kind(function: str, *found: object) -> None:
    """Raises ExportError unless outputs and states are tensors by name."""
    for what, values in zip(("outputs", "states"), found, strict=True):
        shown = f"a {type(values).__name__}"
        if isinstance(values, Mapping):
            wrong = (
                f"{type(one).__name__} {key!r}" for key, one in values.items() if not isinstance(one, Tensor)
            )
            shown = ", ".join(wrong)
        if shown:
            raise ExportError(
                f"the {what} of function {function!r} are no tensors by name, but {shown}",
                "return two dicts of tensors, outputs and next states; give what is nested names of its own",
            )


def made(tensor: TensorSpec, batch: int, size: Size) -> Tensor:
    """Zeros of the shape and type of a spec."""
    return torch.zeros(tensor.concrete(batch, size), dtype=getattr(torch, tensor.dtype))


def check_tensor(what: str, spec: TensorSpec, found: Mapping[str, Tensor], batch: int, size: Size) -> None:
    """Raises ExportError where a function did not give what its spec says."""
    if spec.name not in found:
        raise ExportError(
            f"there is no {what}", f"it gives {', '.join(found) or 'nothing'}; the spec names it"
        )
    tensor, wanted = found[spec.name], spec.concrete(batch, size)
    if str(tensor.dtype).removeprefix("torch.") != spec.dtype:
        raise ExportError(f"{what} is {tensor.dtype}, and the spec says {spec.dtype}", "correct one of them")
    if tensor.dim() != len(wanted):
        raise ExportError(
            f"{what} has the shape {tuple(tensor.shape)}, and the spec says {spec.shape}",
            "correct one of them",
        )
    for axis, (ours, theirs) in enumerate(zip(tensor.shape, wanted, strict=True)):
        if ours != theirs:
            raise wrong_axis(what, axis, spec.shape[axis], f"{ours}, for a batch of {batch}")


def check_graph(graph: onnx.GraphProto, spec: ModelSpec, function: str) -> None:
    """Raises ExportError where a graph fixed an axis that the spec leaves open, or has another size there."""
    for value, tensor in (*zip(graph.input, inputs_of(spec, function), strict=True),
                          *zip(graph.output, results_of(spec, function), strict=True)):  # fmt: skip
        for axis, (dim, wanted) in enumerate(
            zip(value.type.tensor_type.shape.dim, tensor.shape, strict=False)
        ):
            if dim.HasField("dim_value") and dim.dim_value != wanted:
                raise wrong_axis(
                    f"{value.name!r} of function {function!r}", axis, wanted, f"always {dim.dim_value}"
                )


def inputs_of(spec: ModelSpec, function: str) -> list[TensorSpec]:
    """What a graph of a function takes, in order: its inputs, then the states that it reads."""
    described = spec.function(function)
    return [*described.inputs, *named(spec, described.reads_state)]


def results_of(spec: ModelSpec, function: str) -> list[TensorSpec]:
    """What a graph of a function gives, in order: its outputs, then the states that it writes."""
    described: FunctionSpec = spec.function(function)
    return [*described.outputs, *named(spec, described.writes_state)]


def named(spec: ModelSpec, names: Sequence[str]) -> list[TensorSpec]:
    """States by name."""
    states = {tensor.name: tensor for tensor in spec.state}
    return [states[name] for name in names]


def wrong_axis(what: str, axis: int, wanted: object, found: str) -> ExportError:
    """What is wrong with one axis."""
    is_open = isinstance(wanted, str) and (wanted == "batch" or side_of(wanted) is not None)
    return ExportError(
        f"axis {axis} of {what} is {found}; the spec says {wanted!r}",
        "take that size from the input's shape, not from a number in the code" if is_open else "correct one",
    )
