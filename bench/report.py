"""Results of an evaluation for people: a table for the terminal and a success plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.table import Table

from .evaluate_tracking import TrackerResult, TrackingResults
from .figures import new_figure
from .ope import NORMALISED, PIXELS, THRESHOLDS


def tracking_table(results: TrackingResults, *, jobs: int = 1) -> Table:
    """One row a tracker, best AUC first; a last column names the sequences a tracker did not finish.

    ``jobs`` is how many processes ran side by side, which slows each of them.
    """
    ranked = _ranked(results)
    has_failures = any(result["failures"] for _, result in ranked)
    caption = "fps: updates only, decoding excluded"
    if jobs > 1:
        caption += f"; {jobs} processes side by side, which slows each of them"
    table = Table(title="Tracking, one-pass evaluation", caption=caption)
    table.add_column("tracker")
    for heading in ("AUC", "P 20 px", "P norm", "AO", "SR 0.5", "SR 0.75", "fps"):
        table.add_column(heading, justify="right")
    if has_failures:
        table.add_column("failed on", style="red")
    for name, result in ranked:
        keys = ("auc", "precision20", "norm_precision", "ao", "sr50", "sr75")
        numbers = (result[key] for key in keys)  # type: ignore[literal-required]
        failed = ", ".join(sequence for sequence, one in result["sequences"].items() if "error" in one)
        row = [name, *(f"{number:.3f}" for number in numbers), f"{result['fps']:,.0f}"]
        table.add_row(*row, *([failed] if has_failures else []))
    return table


def sequence_table(results: TrackingResults) -> Table:
    """One row a sequence, one column a tracker: the AUC of each."""
    ranked = _ranked(results)
    table = Table(title="AUC by sequence")
    table.add_column("sequence")
    table.add_column("frames", justify="right")
    for name, _ in ranked:
        table.add_column(name, justify="right")
    for sequence, first in ranked[0][1]["sequences"].items():
        scores = [result["sequences"][sequence]["auc"] for _, result in ranked]
        table.add_row(sequence, str(first["frames"]), *(f"{score:.3f}" for score in scores))
    return table


def attribute_table(table: Mapping[str, Mapping[str, float | int]]) -> Table:
    """One row an attribute, one column a tracker: its mean AUC over the sequences that have it."""
    shown = Table(title="AUC by attribute")
    shown.add_column("attribute")
    shown.add_column("sequences", justify="right")
    trackers = [name for name in next(iter(table.values()), {}) if name != "sequences"]
    for name in trackers:
        shown.add_column(name, justify="right")
    for attribute, row in table.items():
        shown.add_row(attribute, str(row["sequences"]), *(f"{row[name]:.3f}" for name in trackers))
    return shown


def success_plot(results: TrackingResults, path: str | Path) -> Path:
    """Draw the curves of success, precision and normalised precision of all trackers, as LaSOT has them.

    The suffix says which kind of image it is. Returns its path.

    Raises:
        RuntimeUnavailableError: matplotlib is not installed.
    """
    target = Path(path)
    figure = new_figure(target, (15, 4.5))
    panels = (
        ("Success", "auc", "success", THRESHOLDS, "overlap threshold", "share of frames above it"),
        (
            "Precision",
            "precision20",
            "precision",
            PIXELS,
            "distance of centres, pixels",
            "share of frames within",
        ),
        ("Normalised precision", "norm_precision", "normalised", NORMALISED, "distance in target sizes", ""),
    )
    for place, (title, number, curve, at, below, left) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 3, place)
        ranked = sorted(results["trackers"].items(), key=lambda item: -np.nan_to_num(item[1][number]))  # type: ignore[literal-required]
        for name, result in ranked:
            axes.plot(at, result[curve], label=f"[{result[number]:.3f}] {name}")  # type: ignore[literal-required]
        axes.set(xlabel=below, ylabel=left, xlim=(0, at[-1]), ylim=(0, 1), title=title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(target, dpi=150)
    return target


def _ranked(results: TrackingResults) -> list[tuple[str, TrackerResult]]:
    return sorted(results["trackers"].items(), key=lambda item: -np.nan_to_num(item[1]["auc"]))
