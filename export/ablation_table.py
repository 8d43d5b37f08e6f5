"""The table of ablations: ``python -m framestate.export.ablation_table`` writes it into a page of the docs.

Parameters, operations and milliseconds of one made frame at the size of a training crop, each model of
``models.interpolation.ablations`` in turn, in eager PyTorch on one thread with random weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..bundles import Size
from ..models.interpolation import HybridInterpolator
from ..models.interpolation.ablations import ABLATIONS, Ablation
from ..models.systems import architecture
from ..plugins import eager_operators
from .flops import count_flops
from .model_measures import tell, time_calls
from .page import put_between

FRAME: Size = (256, 256)
BEGIN, END = "<!-- ablations: written by framestate.export.ablation_table -->", "<!-- end of ablations -->"
Call = Callable[[], object]


@dataclass(frozen=True)
class Line:
    """One experiment, measured."""

    name: str
    what: str
    options: str
    parameters: int
    gflops: float
    ms: float


def measure(
    ablations: Sequence[Ablation], frame: Size = FRAME, repetitions: int = 3, **small: Any
) -> list[Line]:
    """Every experiment's line; models that are alike are made once and share their figures."""
    torch.set_num_threads(1)
    calls: dict[str, Call] = {}
    counted: dict[str, tuple[int, float]] = {}
    keys = {}
    for one in ablations:
        config = one.config(**small)
        key = json.dumps(config.to_dict(), sort_keys=True)
        keys[one.name] = key
        if key in calls:
            continue
        torch.manual_seed(0)
        model = HybridInterpolator(config, eager_operators()).eval()
        spec = model.spec("ablation").sized(*frame)
        functions = architecture(spec.architecture).frame
        flops, _ = count_flops(partial(HybridInterpolator, config), spec, functions)
        counted[key] = sum(p.numel() for p in model.parameters()), round(flops / 1e9, 3)
        calls[key] = frame_call(model, frame)
        tell(f"made {one.name}")
    times = time_calls(calls, repetitions)
    return [
        Line(one.name, one.what, one.options, *counted[keys[one.name]], times[keys[one.name]])
        for one in ablations
    ]


def frame_call(model: HybridInterpolator, frame: Size) -> Call:
    """A frame between two."""
    first, second = torch.rand(2, 1, 3, *frame)
    half = torch.full((1, 1), 0.5)

    @torch.inference_mode()
    def call() -> object:
        return model(first, second, half)

    return call


def table(lines: Sequence[Line]) -> str:
    """The lines as Markdown."""
    heads = ("experiment", "what", "options of a recipe", "parameters", "GFLOPs", "ms")
    rows = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    rows += [
        f"| {line.name} | {line.what} | `{line.options}` | {line.parameters:,} | {line.gflops:.2f} "
        f"| {line.ms:.0f} |"
        for line in lines
    ]
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=Path("docs/interpolation-model.md"))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--machine", default="this machine", help="what the times are of")
    chosen = parser.parse_args(arguments)
    lines = measure(ABLATIONS, repetitions=chosen.repetitions)
    for line in lines:
        tell(str(asdict(line)))
    said = f"Frames of {FRAME[1]} x {FRAME[0]}, eager, one thread, processor time: {chosen.machine}."
    put_between(chosen.page, BEGIN, END, f"{table(lines)}\n\n{said}")


if __name__ == "__main__":
    main()
