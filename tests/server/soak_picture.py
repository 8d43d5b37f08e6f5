"""Draws a soak: ``python -m tests.server.soak_picture SOAK.json docs/images/soak.png``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from .soak_server import Record

ROWS = (("memory (MiB)", 1), ("open files", 2), ("threads", 3), ("frames answered", 4))


def draw(record: Record, path: Path) -> None:
    """Memory, files, threads and answers over time, with what was done to the server."""
    mpl.use("Agg")
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(len(ROWS), 1, sharex=True)
    starts = [at for at, what in record.events if what in ("killed", "restarted")]
    for (name, place), axis in zip(ROWS, axes, strict=True):
        for begin, end in zip([0.0, *starts], [*starts, float("inf")], strict=True):
            life = [one for one in record.samples if begin < one[0] < end]
            axis.plot([one[0] / 60 for one in life], [one[place] for one in life], color="#1f5aa6")
        for at, _ in record.events:
            axis.axvline(at / 60, color="#b5541c", linewidth=0.8, linestyle="--")
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    for at, what in record.events:
        axes[0].annotate(what, (at / 60, axes[0].get_ylim()[1]), rotation=35, fontsize=7, va="bottom")
    axes[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    draw(Record(**json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2]))
