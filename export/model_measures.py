"""What ``docs/models.md`` says of one system: counted from its shape, timed, and proven at its full size."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn

from ..bundles import Bundle, ModelSpec, TensorSpec, write_bundle
from ..models import dump_weights, functions_of
from ..models.systems import System
from ..plugins import Operators, eager_operators
from ..plugins.operators import Dialect
from ..runtimes import open_runtime
from .bundle import GraphOptions, Say, finish_graphs, prove, write_graphs
from .flops import count_flops
from .untrained import drawn

Call = Callable[[], object]


@dataclass(frozen=True)
class Line:
    """One system. Milliseconds of processor time, medians of one frame; None where it was not run.

    Attributes:
        onnx_ms, portable_ms: in the dialects "ort" and "portable".
        max_rel: largest difference of an output or state from eager PyTorch's, over that tensor's largest
            number, in ``frames`` closed-loop frames of each dialect that was run.
        export_s: processor time of making the graphs of "ort", all functions.
    """

    name: str
    what: str
    parameters: int
    state_bytes: int
    gflops: float
    scan_share: float
    eager_ms: float | None = None
    onnx_ms: float | None = None
    portable_ms: float | None = None
    max_rel: float | None = None
    frames: int | None = None
    export_s: float | None = None


def describe(system: System) -> Line:
    """What follows from the shape alone."""
    model = system.build(eager_operators())
    spec = system.sized(system.spec(model))
    flops, scans = count_flops(system.build, spec, system.row.frame)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Line(
        system.name, system.what, parameters, spec.state_bytes, round(flops / 1e9, 3), round(scans / flops, 3)
    )


def given(tensor: TensorSpec) -> np.ndarray[Any, Any]:
    """Numbers of a spec's shape and type: small ones at random, or zeros where they are words."""
    shape = tensor.concrete(1)
    if not tensor.dtype.startswith("float"):
        return np.zeros(shape, tensor.dtype)
    return (0.1 * np.random.default_rng(0).normal(size=shape)).astype(tensor.dtype)


def eager_call(system: System) -> Call:
    """One frame in eager PyTorch on one thread."""
    model = system.build(eager_operators()).eval()
    spec = system.sized(system.spec(model))
    functions: Any = functions_of(model, spec)
    state = {tensor.name: torch.from_numpy(given(tensor)) for tensor in spec.state}
    inputs = {
        name: {one.name: torch.from_numpy(given(one)) for one in spec.function(name).inputs}
        for name in system.row.frame
    }

    @torch.inference_mode()
    def call() -> None:
        for name in system.row.frame:
            functions[name](inputs[name], {key: state[key] for key in spec.function(name).reads_state})

    return call


def graphs(system: System, dialect: Dialect, folder: Path, say: Say) -> tuple[Bundle, float]:
    """A bundle of random weights and every function's graph in an empty folder; seconds that graphs took."""

    def build(spec: ModelSpec, operators: Operators) -> nn.Module:
        return system.build(operators).eval()

    model = drawn(system)
    spec, weights = system.spec(model), dump_weights(model)
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(save(weights))
    began = time.process_time()
    graphs = write_graphs(spec, weights, folder, say, dialect, build)
    made = finish_graphs(graphs, GraphOptions(dialect), {}, say)
    seconds = time.process_time() - began
    files: dict[str, Path | bytes] = {"weights.safetensors": folder / "weights.safetensors", **made}
    return write_bundle(folder / "bundle", spec, files, provenance={}, metrics={}, parity={}), seconds


def onnx_call(system: System, bundle: Bundle, stack: ExitStack) -> Call:
    """One frame of a bundle in ONNX Runtime on one thread."""
    runtime = stack.enter_context(closing(open_runtime(bundle, "onnx", device="cpu", threads=1)))
    spec, store = system.sized(bundle.spec), runtime.allocate(1, system.frames)
    store.load_row(0, {tensor.name: given(tensor)[0] for tensor in spec.state})
    inputs = {name: {one.name: given(one) for one in spec.function(name).inputs} for name in system.row.frame}

    def call() -> None:
        for name in system.row.frame:
            runtime.call(name, inputs[name], store.read([0]))

    return call


def time_calls(calls: dict[str, Call], repetitions: int) -> dict[str, float]:
    """Median milliseconds of processor time of each, taking turns after one call to warm up.

    On one thread that is a frame's time where nothing else runs, and other work hardly moves it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repetitions + 1):
        for name, call in calls.items():
            began = time.process_time()
            call()
            if turn:
                seconds[name].append(time.process_time() - began)
    return {name: round(1e3 * median(taken), 1) for name, taken in seconds.items()}


def measure(system: System, repetitions: int, *, dialects: Sequence[Dialect] = (), frames: int = 5) -> Line:
    """A system's whole line, in these dialects of ONNX besides eager.

    Raises ParityError where graphs and eager differ over ``frames`` frames of the closed loop.
    """
    torch.set_num_threads(1)
    line = describe(system)
    with TemporaryDirectory() as folder, ExitStack() as stack:
        calls = {"eager": eager_call(system)}
        for dialect in dialects:
            bundle, seconds = graphs(system, dialect, Path(folder) / dialect, tell)
            parity = prove(bundle, frames, tell, build=lambda _, operators: system.build(operators).eval())
            tell(f"{system.name} in {dialect}: {parity.summary}; graphs took {seconds:.0f} s")
            if dialect == "ort":
                line = replace(line, export_s=round(seconds, 1))
            worst = max(line.max_rel or 0.0, parity.max_rel)
            line = replace(line, max_rel=float(f"{worst:.1e}"), frames=frames)
            calls[dialect] = onnx_call(system, bundle, stack)
        times = time_calls(calls, repetitions)
    return replace(line, eager_ms=times["eager"], onnx_ms=times.get("ort"), portable_ms=times.get("portable"))


def tell(text: str) -> None:
    """A line for whoever waits."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
