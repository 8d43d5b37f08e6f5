"""What an evaluation of confidence found, for people: tables and a reliability diagram."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from .absences import RETURN_FRAMES
from .confidence import ConfidenceNumbers, ConfidenceResult
from .figures import new_figure


def confidence_table(results: Mapping[str, ConfidenceResult]) -> Table:
    """One row a tracker, and below it one for each sequence with absences."""
    table = Table(
        title="Lost and found",
        caption=f"found again within {RETURN_FRAMES} frames; false tracking: claimed while absent; "
        "lost: frames said to be, the share in which it was, and of all in which it was",
    )
    table.add_column("tracker")
    headings = (
        "found again",
        "false tracking",
        "absent",
        "wrong taken",
        "lost",
        "right of it",
        "of all lost",
    )
    for heading in (*headings, "ECE"):
        table.add_column(heading, justify="right")
    for name, result in results.items():
        table.add_row(name, *_cells(result), style="bold")
        for sequence, one in result["sequences"].items():
            if one["absent_frames"]:
                table.add_row(f"  {sequence}", *_cells(one))
    return table


def long_term_table(results: Mapping[str, ConfidenceResult]) -> Table:
    """One row a tracker: precision, recall and F where targets go away, and what a search costs."""
    table = Table(
        title="Long-term tracking",
        caption="at the score with the largest F; search: what it adds to p99, in the worst sequence",
    )
    table.add_column("tracker")
    for heading in ("precision", "recall", "F", "search ms", "false while hidden"):
        table.add_column(heading, justify="right")
    for name, result in sorted(results.items(), key=lambda item: -item[1]["f"]):
        shares = (f"{result[key]:.3f}" for key in ("precision", "recall", "f"))
        cost = "-" if math.isnan(result["search_ms"]) else f"{result['search_ms']:.1f}"
        table.add_row(name, *shares, cost, _percent(result["false_hidden"]))
    return table


def long_term_plot(results: Mapping[str, ConfidenceResult], path: Path) -> None:
    """Precision over recall, a line a tracker, with a dot where F is largest.

    Raises:
        RuntimeUnavailableError: matplotlib is not installed.
    """
    figure = new_figure(path, (5, 4.5))
    axes = figure.add_subplot()
    for name, result in results.items():
        recall, precision = zip(*result["curve"], strict=True)
        (line,) = axes.plot(recall, precision, label=f"{name} [F {result['f']:.3f}]")
        axes.plot(result["recall"], result["precision"], "o", color=line.get_color())
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


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
        f"{one['wrong_taken']} of {one['absences']}" if one["absences"] else "-",
        str(one["lost_frames"]),
        _percent(one["lost_precision"]),
        _percent(one["lost_recall"]),
        "-" if math.isnan(one["ece"]) else f"{one['ece']:.3f}",
    ]


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.0%}"
