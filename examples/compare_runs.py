"""Draw what training runs measured on the way, over the time of the processor that each took.

The logs of runs tell time by the clock, which says little of a machine that had other work; so each run's
minutes are given beside it, and spread evenly over its steps.

    python examples/compare_runs.py curves.png "V2=runs/nano:12.0" "V1=runs/nano-v1:12.1" --metric accuracy
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from framestate.bench.figures import new_figure
from framestate.errors import DataError, OptionError

Curve = list[tuple[float, float]]


def read_curve(run: Path, minutes: float, metric: str) -> Curve:
    """Minutes and the metric at each line of a run's log that has it.

    Raises DataError where there is no log, or no such metric in it.
    """
    log = run / "log.jsonl"
    if not log.is_file():
        raise DataError(f"{run} holds no log.jsonl", "give the folder of a training run")
    lines = [json.loads(text) for text in log.read_text().splitlines()]
    points = [(line["step"], line[metric]) for line in lines if metric in line]
    if not points:
        raise DataError(f"no line of {log} has {metric!r}", "give a metric that was validated")
    last = lines[-1]["step"]
    return [(minutes * step / last, value) for step, value in points]


def parse_run(text: str) -> tuple[str, Path, float]:
    """``name=folder:minutes``. Raises OptionError for anything else."""
    name, found, rest = text.partition("=")
    folder, colon, minutes = rest.rpartition(":")
    try:
        if not (found and colon and name):
            raise ValueError("no = or :")
        return name, Path(folder), float(minutes)
    except ValueError as error:
        raise OptionError(f"{text!r} is no run ({error})", "give name=folder:minutes") from error


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="a PNG or SVG file")
    parser.add_argument("runs", nargs="+", help="name=folder:minutes")
    parser.add_argument("--metric", default="accuracy")
    chosen = parser.parse_args(arguments)
    figure = new_figure(chosen.out, (5.0, 3.2))
    axes = figure.subplots()
    for name, folder, minutes in map(parse_run, chosen.runs):
        curve = read_curve(folder, minutes, chosen.metric)
        axes.plot(*zip(*curve, strict=True), marker="o", markersize=3, label=f"{name}: {curve[-1][1]:.3f}")
    axes.set_xlabel("minutes of one core")
    axes.set_ylabel(chosen.metric)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(chosen.out, dpi=110)


if __name__ == "__main__":
    main()
