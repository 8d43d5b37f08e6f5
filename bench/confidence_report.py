"""What an evaluation of confidence found, for people: tables and a reliability diagram."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from .confidence import RETURN_FRAMES, ConfidenceNumbers, ConfidenceResult
from .figures import new_figure


def confidence_table(results: Mapping[str, ConfidenceResult]) -> Table:
    """One row a tracker, and below it one for each sequence with absences."""
    table = Table(
        title="Lost and found",
        caption=f"found again within {RETURN_FRAMES} frames; false tracking: claimed while absent; "
        "lost: frames said to be, the share in which it was, and of all in which it was",
    )
    table.add_column("tracker")
    for heading in ("found again", "false tracking", "absent", "lost", "right of it", "of all lost", "ECE"):
        table.add_column(heading, justify="right")
    for name, result in results.items():
        table.add_row(name, *_cells(result), style="bold")
        for sequence, one in result["sequences"].items():
            if one["absent_frames"]:
                table.add_row(f"  {sequence}", *_cells(one))
    return table


def reliability_plot(results: Mapping[str, ConfidenceResult], path: Path) -> None:
    """Share of right frames over mean score, a line a tracker; the diagonal is perfect calibration.

    Raises:
        RuntimeUnavailableError: matplotlib is not installed.
    """
    figure = new_figure(path, (5, 4.5))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], "--", color="grey", label="as it should be")
    for name, result in results.items():
        if result["bins"]:
            scores, shares, counts = zip(*result["bins"], strict=True)
            axes.plot(scores, shares, "-", label=f"{name} [ECE {result['ece']:.3f}]")
            axes.scatter(scores, shares, s=[4 + 200 * count / result["frames"] for count in counts])
    axes.set(xlabel="score", ylabel="share of frames with overlap of 0.5 or more", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def _cells(one: ConfidenceNumbers) -> list[str]:
    return [
        f"{one['found_again']} of {one['returns']}" if one["returns"] else "-",
        _percent(one["false_tracking"]),
        str(one["absent_frames"]),
        str(one["lost_frames"]),
        _percent(one["lost_precision"]),
        _percent(one["lost_recall"]),
        "-" if math.isnan(one["ece"]) else f"{one['ece']:.3f}",
    ]


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.0%}"
