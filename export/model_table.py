"""The table of ``docs/models.md``: ``python -m framestate.export.model_table [NAME …]`` writes it.

Measured lines are kept in ``docs/models.json``; those of the named systems (all, without names) are measured
anew, and the table is written from all of them. Times are processor times of one thread of this machine,
eager and ONNX taking turns.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from ..bundles import ModelSpec, TensorSpec, write_bundle
from ..errors import DataError, OptionError
from ..plugins import eager_operators, onnx_operators
from ..runtimes import open_runtime
from .flops import count_flops
from .graphs import export_function
from .systems import SYSTEMS, System

BEGIN, END = "<!-- systems: written by framestate.export.model_table -->", "<!-- end of systems -->"
Call = Callable[[], object]


@dataclass(frozen=True)
class Line:
    """One system. Milliseconds of processor time, medians of one frame; None where it was not run."""

    name: str
    what: str
    parameters: int
    state_bytes: int
    gflops: float
    scan_share: float
    eager_ms: float | None = None
    onnx_ms: float | None = None


def describe(system: System) -> Line:
    """What follows from the shape alone."""
    model = system.build(eager_operators())
    spec = sized(system, system.spec(model))
    flops, scans = count_flops(system.build, spec, system.functions)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Line(
        system.name, system.what, parameters, spec.state_bytes, round(flops / 1e9, 3), round(scans / flops, 3)
    )


def sized(system: System, spec: ModelSpec) -> ModelSpec:
    """The spec for the system's own size of frames, where it leaves that open."""
    return spec if system.size is None else spec.sized(*system.size)


def given(tensor: TensorSpec) -> np.ndarray[Any, Any]:
    """Numbers of a spec's shape and type: small ones at random, or zeros where they are words."""
    shape = tensor.concrete(1)
    if not tensor.dtype.startswith("float"):
        return np.zeros(shape, tensor.dtype)
    return (0.1 * np.random.default_rng(0).normal(size=shape)).astype(tensor.dtype)


def eager_call(system: System) -> Call:
    """One frame in eager PyTorch on one thread."""
    model = system.build(eager_operators()).eval()
    spec = sized(system, system.spec(model))
    functions: Any = model.functions()  # type: ignore[operator]
    state = {tensor.name: torch.from_numpy(given(tensor)) for tensor in spec.state}
    inputs = {
        name: {one.name: torch.from_numpy(given(one)) for one in spec.function(name).inputs}
        for name in system.functions
    }

    @torch.inference_mode()
    def call() -> None:
        for name in system.functions:
            functions[name](inputs[name], {key: state[key] for key in spec.function(name).reads_state})

    return call


def onnx_call(system: System, folder: Path, stack: ExitStack) -> Call:
    """One frame in ONNX Runtime on one thread, from graphs made in an empty folder."""
    model = system.build(onnx_operators()).eval()
    plain = system.spec(model)
    plain = replace(plain, functions={name: plain.function(name) for name in system.functions})
    files: dict[str, Path | bytes] = {}
    for name in system.functions:
        files[f"{name}.onnx"] = folder / f"{name}.onnx"
        export_function(model, plain, name, folder / f"{name}.onnx")
    del model
    bundle = write_bundle(folder / "bundle", plain, files, provenance={}, metrics={}, parity={})
    runtime = stack.enter_context(closing(open_runtime(bundle, "onnx", device="cpu", threads=1)))
    spec, store = sized(system, plain), runtime.allocate(1, system.size)
    store.load_row(0, {tensor.name: given(tensor)[0] for tensor in spec.state})
    inputs = {name: {one.name: given(one) for one in spec.function(name).inputs} for name in system.functions}

    def call() -> None:
        for name in system.functions:
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


def measure(system: System, repetitions: int, *, onnx: bool = True) -> Line:
    """A system's whole line; without ONNX where that is not wanted."""
    torch.set_num_threads(1)
    line = describe(system)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        calls = {"eager": eager_call(system)}
        if onnx:
            calls["onnx"] = onnx_call(system, Path(folder), stack)
        times = time_calls(calls, repetitions)
    return replace(line, eager_ms=times["eager"], onnx_ms=times.get("onnx"))


def table(lines: Sequence[Line]) -> str:
    """The lines as Markdown."""
    rows = [
        "| system | what | parameters | state a session | GFLOPs a frame (scans) | eager ms | ONNX ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        state = f"{line.state_bytes / 2**20:.2f} MiB" if line.state_bytes else "none"
        eager, onnx = (
            "not run" if value is None else f"{value:.1f}" for value in (line.eager_ms, line.onnx_ms)
        )
        rows.append(
            f"| `{line.name}` | {line.what} | {line.parameters / 1e6:.2f} M | {state} "
            f"| {line.gflops:.2f} ({line.scan_share:.0%}) | {eager} | {onnx} |"
        )
    return "\n".join(rows)


def write_table(page: Path, lines: Sequence[Line], machine: str) -> None:
    """Puts the table between its two marks. Raises DataError where the page has none."""
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise DataError(f"{page} has no place for the table", f"put {BEGIN} and {END} where it belongs")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    page.write_text(f"{head}{BEGIN}\n{table(lines)}\n\nTimes: {machine}.\n{END}{tail}")


def read_lines(path: Path) -> dict[str, Line]:
    """Lines measured before, by name; none without the file."""
    if not path.exists():
        return {}
    return {entry["name"]: Line(**entry) for entry in json.loads(path.read_text())["lines"]}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Raises OptionError for a system that there is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="systems to measure; all of them without a name")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of models.md and models.json")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--without-onnx", action="store_true", help="leave ONNX Runtime out")
    parser.add_argument("--machine", default="", help="what the times are of; kept as it was otherwise")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - {system.name for system in SYSTEMS})
    if unknown:
        raise OptionError(
            f"there is no system {unknown[0]}", f"known: {', '.join(system.name for system in SYSTEMS)}"
        )
    kept = chosen.docs / "models.json"
    lines = read_lines(kept)
    machine = chosen.machine or (json.loads(kept.read_text())["machine"] if kept.exists() else "this machine")
    for system in SYSTEMS:
        if not chosen.names or system.name in chosen.names:
            lines[system.name] = measure(system, chosen.repetitions, onnx=not chosen.without_onnx)
            print(lines[system.name], file=sys.stderr, flush=True)  # noqa: T201
            ordered = [lines[one.name] for one in SYSTEMS if one.name in lines]
            saved = {"machine": machine, "lines": [asdict(line) for line in ordered]}
            kept.write_text(json.dumps(saved, indent=1) + "\n")
            write_table(chosen.docs / "models.md", ordered, machine)


if __name__ == "__main__":
    main()
