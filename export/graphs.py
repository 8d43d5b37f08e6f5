"""A model's functions as ONNX graphs with named inputs, outputs and states, and a dynamic batch."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxscript import rewriter
from torch import Tensor, nn

from ..bundles import BATCH, ModelSpec, Size, TensorSpec, past_name, present_name
from ..bundles.tensor import side_of
from ..errors import ExportError
from ..models import functions_of
from .signatures import check_function, check_graph, inputs_of

OPSET = 20
SLOW_RULE = "SlicesSplit"


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silences what PyTorch's exporter says of packages that are not used here."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def quick_exporter() -> Iterator[None]:
    """Leaves out two things that the exporter does: they take time and change no number.

    One is a rewrite rule whose time grows with the square of the nodes: onnxscript looks for the two halves
    of a tensor ("SlicesSplit") through the whole graph again at every node. Without it halves stay slices.
    The other is PyTorch's cache of shapes: where sides are free, its keys cost more than it saves.
    """
    name = "_DEFAULT_REWRITE_RULES"
    rules = getattr(rewriter, name, ())
    setattr(rewriter, name, tuple(rule for rule in rules if getattr(rule, "name", "") != SLOW_RULE))
    try:
        with torch._dynamo.config.patch(fake_tensor_cache_enabled=False):
            yield
    finally:
        setattr(rewriter, name, rules)


class FunctionModule(nn.Module):
    """One function of a model over positional tensors: its inputs, then the states it reads."""

    def __init__(self, model: nn.Module, spec: ModelSpec, function: str) -> None:
        super().__init__()
        self.model = model
        self.described = spec.function(function)
        self.call = functions_of(model, spec)[function]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Outputs, then the states it writes, each in the order of the spec."""
        count = len(self.described.inputs)
        inputs = {tensor.name: value for tensor, value in zip(self.described.inputs, tensors, strict=False)}
        state = dict(zip(self.described.reads_state, tensors[count:], strict=True))
        outputs, written = self.call(inputs, state)
        return (
            *(outputs[tensor.name] for tensor in self.described.outputs),
            *(written[name] for name in self.described.writes_state),
        )


def example(tensor: TensorSpec, batch: int, size: Size | None = None) -> Tensor:
    """Zeros of the shape and dtype of a spec."""
    return torch.zeros(tensor.concrete(batch, size), dtype=getattr(torch, tensor.dtype))


class FreeDims:
    """The axes that a graph leaves open: the batch, and the sides of the frames in units of ``multiple``.

    ``multiple`` is what a side must be a multiple of, so every ``"height/8"`` is a whole number of units.
    """

    def __init__(self, multiple: int) -> None:
        self.multiple = multiple
        self._dims = {
            "batch": torch.export.Dim("batch", min=1, max=4096),
            "height": torch.export.Dim("rows", min=1, max=1024),
            "width": torch.export.Dim("columns", min=1, max=1024),
        }

    @property
    def example_size(self) -> Size:
        """Sides that tell height from width, and leave several units whatever they are divided into."""
        return 17 * self.multiple, 33 * self.multiple

    @property
    def other_size(self) -> Size:
        """Sides of which neither is one of the example's."""
        return 18 * self.multiple, 35 * self.multiple

    def of(self, tensor: TensorSpec) -> dict[int, Any] | None:
        """The open axes of a tensor, as ``torch.onnx.export`` wants them."""
        found = {}
        for axis, dim in enumerate(tensor.shape):
            if dim == BATCH:
                found[axis] = self._dims[BATCH]
            elif (side := side_of(dim)) is not None:
                units = self.multiple // side[1]
                open_dim = self._dims[side[0]]
                found[axis] = open_dim if units == 1 else units * open_dim
        return found or None


def export_function(
    model: nn.Module, spec: ModelSpec, function: str, path: Path, *, opset: int = OPSET
) -> None:
    """Writes one function as ONNX.

    Raises ExportError: the function does not give what the spec says, or the exporter's reason.
    """
    described = spec.function(function)
    tensors = inputs_of(spec, function)
    names = [tensor.name for tensor in described.inputs] + [past_name(name) for name in described.reads_state]
    results = [tensor.name for tensor in described.outputs] + [
        present_name(name) for name in described.writes_state
    ]
    multiple = spec.preprocess.get("multiple", 1)
    free = FreeDims(multiple if isinstance(multiple, int) else 1)
    shapes = tuple(free.of(tensor) for tensor in tensors)
    check_function(model, spec, function, [(2, free.example_size), (3, free.other_size)])
    module = FunctionModule(model, spec, function).eval()
    arguments: dict[str, Any] = {"dynamic_shapes": (shapes,), "input_names": names, "output_names": results}
    try:
        with quiet_exporter(), quick_exporter():
            program = torch.onnx.export(
                module,
                tuple(example(tensor, 2, free.example_size) for tensor in tensors),
                dynamo=True,
                opset_version=opset,
                external_data=False,
                optimize=True,
                verbose=False,
                **arguments,
            )
        assert program is not None
        proto = program.model_proto
    except Exception as error:  # the exporter raises many classes, none of them ours
        raise ExportError(
            f"function {function!r} of {spec.name!r} cannot be exported ({innermost(error)})",
            "use only operators of framestate.plugins and standard PyTorch in its forward path",
        ) from error
    declare_names(proto, names, results, spec, function)
    check_graph(proto.graph, spec, function)
    onnx.save(proto, path)


def innermost(error: BaseException) -> str:
    """The first line of what an error comes from, without the colours of a terminal."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return f"{type(error).__name__}: {next(iter(text.splitlines()), '')}"


def declare_names(
    proto: onnx.ModelProto, names: list[str], results: list[str], spec: ModelSpec, function: str
) -> None:
    """Checks that the graph kept every input and output, and stamps what it is."""
    for what, values, expected in (
        ("inputs", proto.graph.input, names),
        ("outputs", proto.graph.output, results),
    ):
        found = [value.name for value in values]
        if found != expected:
            raise ExportError(
                f"the graph of {function!r} has {what} {found}; the spec says {expected}",
                "every input and state that the spec names must be used by the function",
            )
    proto.producer_name = "framestate"
    proto.doc_string = f"{spec.name}: {function}"
    strip_notes(proto.graph)


def strip_notes(graph: onnx.GraphProto) -> None:
    """Removes what the exporter notes of its own run, such as stack traces with the paths of this machine."""
    del graph.metadata_props[:]
    for entries in (graph.node, graph.input, graph.output, graph.value_info, graph.initializer):
        for entry in entries:
            del entry.metadata_props[:]
            entry.doc_string = ""
