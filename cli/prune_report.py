"""The report of ``framestate prune``: a table for people, and the curve of quality against ratio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def tables(report: dict[str, Any]) -> list[RenderableType]:
    """One row a model, then where everything lies and what to do next."""
    from rich.table import Table

    metric = report.get("metric")
    runs = report["runs"]
    table = Table(title=f"{report['model']}, pruned")
    table.add_column("model")
    headings = ["parameters", "state", "MFLOPs", *(f"{name} ms" for name in runs[0]["ms"])]
    for heading in [*headings, *([metric] if metric else []), "CPU min"]:
        table.add_column(heading, justify="right")
    for one in runs:
        table.add_row(*cells(one, metric))
    lines = [
        f"{one['name']}: {one['sparsity']['all']:.1%} of {len(one['sparsity']) - 1} layers' weights are zero"
        for one in runs
        if one.get("sparsity")
    ]
    lines += [f"wrote {one['bundle']}" for one in runs if "bundle" in one]
    pulled = [
        f"{one['name']}: pulled from {p['targets_before']:.3g} to {p['targets_after']:.3g}, the rest "
        f"{p['others_before']:.3g} to {p['others_after']:.3g} (norms)"
        for one in runs
        for p in one.get("pulled", ())
    ]
    return [
        table,
        "ms: processor time of a frame on one thread, medians, all in turn; in brackets, times as fast",
        *pulled,
        *lines,
        *(f"wrote {path}" for path in report["outputs"]),
    ]


def cells(one: dict[str, Any], metric: str | None) -> list[str]:
    """A row of the table."""
    found = [one["name"], f"{one['parameters']:,}", f"{one['state_bytes']:,}", f"{one['flops'] / 1e6:.1f}"]
    for runtime, ms in one["ms"].items():
        factor = one["speedup"].get(runtime)
        found.append(f"{ms:.2f}" + ("" if factor is None or one["name"] == "before" else f" ({factor:.2f}×)"))
    if metric:
        value = one["metrics"].get(metric)
        found.append("" if value is None else f"{value:.4f}")
    cpu = one.get("cpu_seconds")
    return [*found, "" if cpu is None else f"{cpu / 60:.1f}"]


def curve(report: dict[str, Any], path: Path) -> None:
    """Draws the metric against the share cut, a line a method. Raises RuntimeUnavailableError."""
    from ..bench.figures import new_figure

    metric = report["metric"]
    figure = new_figure(path)
    axes = figure.add_subplot()
    runs = [one for one in report["runs"] if one["metrics"].get(metric) is not None]
    before = next((one for one in runs if one["method"] == "dense"), None)
    before = before or next((one for one in runs if one["name"] == "before"), None)
    if before is not None:
        axes.axhline(
            before["metrics"][metric], color="grey", linestyle="--", label=f"whole ({before['name']})"
        )
    for method, mark in zip(("rsst", "refill", "magnitude", "saliency"), "os^v", strict=True):
        points = sorted((one["ratio"], one["metrics"][metric]) for one in runs if one["method"] == method)
        if points:
            axes.plot(*zip(*points, strict=True), f"{mark}-", label=method)
    axes.set(xlabel="share of units cut", ylabel=metric)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
