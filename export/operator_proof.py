"""Proof that the operators of a model's graphs keep their digits beside one huge step.

Closed loops follow ordinary clips, in which no step is huge, and nothing that comes in at a model's inputs
makes one. So the operators are taken apart: a recorder sees the shapes and options that the model calls them
with, each call becomes a graph of its own in the dialect of the export, and ONNX Runtime runs it on inputs
with one step of 1e6 among ordinary ones, against the equation in float64.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from ..bundles import ModelSpec
from ..errors import ParityError
from ..models import Build, functions_of
from ..plugins import eager_operators, onnx_operators
from ..plugins.cases import CONFIGURATIONS, Configuration, Tensors, doubled, error_by_step
from ..plugins.forms import forms_of
from ..plugins.operators import Dialect
from .graphs import OPSET, example, quick_exporter, quiet_exporter
from .rows_alone import small_size

SPIKE = 1e6
TOLERANCE = 1e-4
"""Of the error by ``cases.error_by_step``. Differences of a cumulative sum would be off by 1e-2 and more."""
STEPS = 72
"""The longest calls that are made into a graph: more than one chunk of any form."""


@dataclass(frozen=True)
class Call:
    """A way in which a model calls an operator: shapes by argument, and options."""

    case: Configuration
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    options: tuple[tuple[str, Any], ...]
    open_time: bool = False

    @classmethod
    def of(cls, operator: str, arguments: Mapping[str, Any], open_time: bool) -> Call | None:
        """What a call was, with ``STEPS`` steps at most; None where no configuration fits it."""
        case = configuration_of(operator, arguments)
        if case is None:
            return None
        letters: dict[str, int] = {}
        for name, (dims, _) in case.tensors.items():
            value = arguments.get(name)
            if isinstance(value, Tensor) and value.dim() == len(dims):  # a constant decay has no steps
                letters |= dict(zip(dims, value.shape, strict=False))
        letters |= {"B": 2, "T": min(letters["T"], STEPS), "2": 2}
        letters.setdefault("J", letters.get("K", 1) - 1)
        shapes = {name: tuple(letters[one] for one in dims) for name, (dims, _) in case.tensors.items()}
        options = {key: value for key, value in arguments.items() if isinstance(value, bool | float)}
        return cls(case, tuple(shapes.items()), tuple(options.items()), open_time)

    def draw(self, spike: float) -> Tensors:
        """Inputs of these shapes."""
        shapes = dict(self.shapes)
        steps = shapes[self.case.timed[0]][1]
        return self.case.draw(steps, spike=spike, shapes=shapes)


def configuration_of(operator: str, arguments: Mapping[str, Any]) -> Configuration | None:
    """The configuration with the tensors of a call; states may be left out of it, or be a tuple."""
    given = {name for name, value in arguments.items() if isinstance(value, Tensor)}
    found = (case for case in CONFIGURATIONS if case.operator == operator)
    fits = (case for case in found if given - {"state"} <= set(case.tensors) <= given | set(case.states))
    return next(fits, None)


class Recorder:
    """Operators that compute, and note how they were called."""

    def __init__(self, open_time: bool) -> None:
        self.open_time = open_time
        self.calls: dict[Call, None] = {}  # in order, each once
        self.operators = eager_operators().each(self._noting)

    def _noting(self, operator: str) -> Callable[..., Any]:
        form = forms_of(operator).chunked
        signature = inspect.signature(form)

        def call(*arguments: Any, **options: Any) -> Any:
            found = Call.of(operator, signature.bind(*arguments, **options).arguments, self.open_time)
            if found is not None:
                self.calls[found] = None
            return form(*arguments, **options)

        return call


def recorded(spec: ModelSpec, build: Build) -> list[Call]:
    """The operators' calls in one run of each function of a model, which needs no weights for that."""
    size = small_size(spec)
    recorder = Recorder(open_time=not spec.is_sized)
    model = build(spec, recorder.operators).eval()
    functions = functions_of(model, spec)
    states = {tensor.name: example(tensor, 1, size) for tensor in spec.state}
    with torch.inference_mode():
        for name in spec.functions:
            described = spec.function(name)
            inputs = {tensor.name: example(tensor, 1, size) for tensor in described.inputs}
            functions[name](inputs, {key: states[key] for key in described.reads_state})
    return list(recorder.calls)


class One(nn.Module):
    """One operator as a model: positional tensors in, all outputs out."""

    def __init__(self, call: Call, form: Callable[..., Any]) -> None:
        super().__init__()
        self.called, self.form = call, form

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The outputs and final states for tensors in the order of the configuration."""
        names = self.called.case.tensors
        return self.called.case.call(
            self.form, dict(zip(names, tensors, strict=True)), **dict(self.called.options)
        )


def graph_of(call: Call, dialect: Dialect) -> bytes:
    """A call as an ONNX graph of its own, with a free batch, and free steps where the model has them."""
    form = getattr(onnx_operators(dialect), call.case.operator)
    batch, time = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("time", min=1, max=4096)
    axes = {name: {0: batch} for name in call.case.batched}
    if call.open_time:
        axes |= {name: {0: batch, 1: time} for name in call.case.timed}
    arguments: dict[str, Any] = {
        "dynamic_shapes": (tuple(axes.get(name) for name in call.case.tensors),),
        "input_names": list(call.case.tensors),
    }
    with quiet_exporter(), quick_exporter():
        program = torch.onnx.export(
            One(call, form).eval(), tuple(call.draw(0.0).values()), dynamo=True, opset_version=OPSET,
            verbose=False, **arguments,
        )  # fmt: skip
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def run_graph(session: onnxruntime.InferenceSession, tensors: Tensors) -> tuple[Tensor, ...]:
    """A graph's outputs for named inputs."""
    taken = {value.name for value in session.get_inputs()}
    feeds = {name: tensor.numpy() for name, tensor in tensors.items() if name in taken}
    return tuple(torch.from_numpy(np.array(out)) for out in session.run(None, feeds))


def open_graph(content: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])


def spiked_error(call: Call, dialect: Dialect, spike: float = SPIKE) -> float:
    """How far a call's graph is from the equation beside one huge step."""
    tensors = call.draw(spike)
    reference = forms_of(call.case.operator).reference
    wanted = call.case.call(reference, doubled(tensors), **dict(call.options))
    return error_by_step(run_graph(open_graph(graph_of(call, dialect)), tensors), wanted)


def prove_operators(
    spec: ModelSpec, build: Build, dialect: Dialect, say: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """What the manifest says of a model's operators beside one huge step. Raises ParityError beyond it."""
    calls = recorded(spec, build)
    say(f"comparing {len(calls)} calls of operators beside one step of {SPIKE:g}")
    worst = 0.0
    for call in calls:
        error = spiked_error(call, dialect)
        worst = max(worst, error)
        if not error <= TOLERANCE:
            raise ParityError(
                f"{call.case.operator} with {dict(call.shapes)} differs by {error:.1e} beside a step of "
                f"{SPIKE:g} in the dialect {dialect!r}; the tolerance is {TOLERANCE:g}",
                "no bundle was written; export with another --dialect, or report the operator",
            )
    return {"calls": len(calls), "step": SPIKE, "max_rel": worst, "tolerance": TOLERANCE}
