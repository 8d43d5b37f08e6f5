"""How exact every form of every operator is beside a huge step, in half precision and over 10,000 steps.

    python -m framestate.export.operator_table [--write docs/operators.md]

Prints the table as Markdown, or puts it between the marks of a page. It takes eight minutes of a core.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..plugins.cases import CONFIGURATIONS, Configuration, Tensors, doubled, error_by_step
from ..plugins.forms import forms_of
from .operator_proof import Call, graph_of, open_graph, run_graph

BEGIN, END = "<!-- operator_table: begin -->", "<!-- operator_table: end -->"
SPIKES = (1e3, 1e5, 1e6)
SHORT, LONG, CUT = 300, 10_000, 80
"""Steps of a short run, of a long one, and of one call of a graph."""
COLUMNS = ("1e3", "1e5", "1e6", "bf16, 300", "bf16, 10,000", "float32, 10,000")
PYTORCH = {"reference": "equation", "chunked": "PyTorch", "portable": "portable, in PyTorch"}
GRAPHS = {"portable": "graph `portable`", "ort": "graph `ort`"}
TRITON = "Triton, interpreter"
FORMS = (*PYTORCH.values(), *GRAPHS.values(), TRITON)

Run = Callable[[Tensors], tuple[Tensor, ...]]
Row = list[float | None]


def overall(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """The largest difference over the largest magnitude, of outputs and final states."""
    pairs = zip(found, wanted, strict=True)
    return max(float((one.double() - exact).abs().max() / exact.abs().max()) for one, exact in pairs)


class Inputs:
    """The inputs of a configuration's columns and their exact results, made once for all forms."""

    def __init__(self, case: Configuration) -> None:
        reference = forms_of(case.operator).reference
        drawn = [case.draw(3 * CUT, spike=spike) for spike in SPIKES]
        halves = [{name: one.bfloat16() for name, one in case.draw(time).items()} for time in (SHORT, LONG)]
        self.columns = [*drawn, *halves, case.draw(LONG)]
        self.exact = [case.call(reference, doubled(tensors)) for tensors in self.columns]

    def measured(self, run: Run, *, halves: bool = True) -> Row:
        """A form's errors, column by column."""
        row: Row = []
        for place, (tensors, exact) in enumerate(zip(self.columns, self.exact, strict=True)):
            if not halves and 0 <= place - len(SPIKES) < 2:
                row.append(None)
            else:
                error = error_by_step if place < len(SPIKES) else overall
                row.append(error(run(tensors), exact))
        return row


def in_cuts(case: Configuration, run: Run) -> Run:
    """A run of few steps made one of many: cut after cut, each from the state that the last one left."""

    def whole(tensors: Tensors) -> tuple[Tensor, ...]:
        state = {name: tensors[name] for name in case.states}
        ys = []
        for start in range(0, tensors[case.timed[0]].shape[1], CUT):
            part = {name: tensors[name][:, start : start + CUT] for name in case.timed}
            y, *finals = run({**tensors, **part, **state})
            ys.append(y)
            state = dict(zip(case.states, finals, strict=True))
        return torch.cat(ys, dim=1), *state.values()

    return whole


def rows_of(case: Configuration) -> Iterator[tuple[str, Row]]:
    """Every form of a configuration but Triton's, measured."""
    inputs, forms = Inputs(case), forms_of(case.operator)
    for column, name in PYTORCH.items():
        form = getattr(forms, column)
        yield name, inputs.measured(lambda tensors, form=form: case.call(form, tensors))  # type: ignore[misc]
    shapes = tuple((name, tuple(tensor.shape)) for name, tensor in case.draw(CUT, B=2).items())
    for dialect, name in GRAPHS.items():
        session = open_graph(graph_of(Call(case, shapes, ()), dialect))  # type: ignore[arg-type]
        cut = in_cuts(case, lambda tensors, session=session: run_graph(session, tensors))  # type: ignore[misc]
        yield name, inputs.measured(cut, halves=False)


def triton_rows() -> dict[str, Row]:
    """Triton's kernels, by configuration; in the interpreter where TRITON_INTERPRET=1 was set before."""
    found = {}
    for case in CONFIGURATIONS:
        print(f"{TRITON}: {case.label}", file=sys.stderr, flush=True)  # noqa: T201
        module = importlib.import_module(f"..plugins.{case.operator}.triton_kernel", __package__)
        kernel = module.load()
        found[case.label] = Inputs(case).measured(
            lambda tensors, case=case, kernel=kernel: case.call(kernel, wide_states(case, tensors))  # type: ignore[misc]
        )
    return found


def wide_states(case: Configuration, tensors: Tensors) -> Tensors:
    """Kernels keep states in float32, but for the convolution's, which is made of inputs."""
    if case.operator == "causal_conv1d":
        return tensors
    return {name: one.float() if name in case.states else one for name, one in tensors.items()}


def interpreted() -> dict[str, Row]:
    """``triton_rows`` of a process of its own, since kernels are interpreted from their import on."""
    command = [sys.executable, "-W", "ignore", "-m", "framestate.export.operator_table", "--triton"]
    done = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Row] = json.loads(done.stdout)
    return found


def table() -> str:
    """All rows as Markdown."""
    others = {case.label: list(rows_of(case)) for case in CONFIGURATIONS}
    kernels = interpreted()
    lines = [f"| operator | form | {' | '.join(COLUMNS)} |", f"|{'---|' * (2 + len(COLUMNS))}"]
    for case in CONFIGURATIONS:
        for name, row in [*others[case.label], (TRITON, kernels[case.label])]:
            cells = ("–" if value is None else f"{value:.0e}" for value in row)
            lines.append(f"| {case.label} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def put(page: str, generated: str) -> str:
    """A page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{generated}\n{END}{after}"


def main() -> None:
    """Prints or writes the table of this machine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put it between the marks of this page")
    parser.add_argument("--triton", action="store_true", help="print the kernels' rows alone, as JSON")
    chosen = parser.parse_args()
    with torch.inference_mode():
        if chosen.triton:
            print(json.dumps(triton_rows()))  # noqa: T201
        elif chosen.write:
            page = chosen.write.read_text("utf-8")
            chosen.write.write_text(put(page, table()), "utf-8")
        else:
            print(table())  # noqa: T201


if __name__ == "__main__":
    main()
