"""Measurements of speed for people: a table each for the terminal, and a plot each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from .capacity import CapacityTrial
from .figures import new_figure
from .history import Flatness, HistoryPoint
from .latency import LatencyResult
from .stages import STAGES
from .throughput import ThroughputPoint


def latency_table(results: Sequence[LatencyResult]) -> Table:
    """One row a runtime."""
    table = _table("A frame of one session, milliseconds", "runtime", "device")
    for heading in ("FPS", "p50", "p90", "p99", "model", "rest", "rest / p50", "max |Δ| to eager"):
        table.add_column(heading, justify="right")
    for one in results:
        times = (one.p50_ms, one.p90_ms, one.p99_ms, one.model_ms, one.overhead_ms)
        gap = "not run" if one.max_abs_vs_eager is None else f"{one.max_abs_vs_eager:.1e}"
        table.add_row(
            one.runtime, one.device, f"{one.fps:.0f}", *(f"{time:.2f}" for time in times),
            f"{one.overhead_share:.1%}", gap,
        )  # fmt: skip
    return table


def stages_table(results: Sequence[LatencyResult]) -> Table:
    """One row a stage, one column a runtime."""
    table = _table("Where a frame's time goes, milliseconds (mean)", "stage")
    for one in results:
        table.add_column(one.runtime, justify="right")
    for stage in _stages(results):
        table.add_row(stage, *(f"{one.stages.get(stage, 0.0):.3f}" for one in results))
    return table


def _stages(results: Sequence[LatencyResult]) -> list[str]:
    """Those that took time."""
    return [stage for stage in STAGES if any(one.stages.get(stage) for one in results)]


def throughput_table(points: Sequence[ThroughputPoint]) -> Table:
    """One row a number of sessions."""
    table = _table("Sessions side by side", "sessions")
    for heading in ("FPS in all", "× one session", "FPS each", "p50 ms", "p99 ms", "frames a turn"):
        table.add_column(heading, justify="right")
    for one in points:
        table.add_row(
            str(one.sessions), f"{one.fps_total:.0f}", f"{one.fps_total / points[0].fps_total:.2f}",
            f"{one.fps_per_session:.1f}", f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}", f"{one.batch_mean:.2f}",
        )  # fmt: skip
    return table


def capacity_table(trials: Sequence[CapacityTrial]) -> Table:
    """One row a trial, by number of sessions."""
    table = _table("Live sessions", "sessions")
    for heading in ("p99 age ms", "dropped", "of", "within the bound"):
        table.add_column(heading, justify="right")
    for one in sorted(trials, key=lambda trial: trial.sessions):
        age = "never" if one.p99_ms is None else f"{one.p99_ms:.1f}"
        table.add_row(str(one.sessions), age, str(one.dropped), str(one.sent), "yes" if one.passed else "no")
    return table


def history_table(points: Sequence[HistoryPoint]) -> Table:
    """One row a number of templates."""
    table = _table("A model call by number of templates, milliseconds", "templates")
    for heading in ("stateless", "stem cached", "stateful", "speed-up", "over cached", "max |Δ|"):
        table.add_column(heading, justify="right")
    for one in points:
        times = (one.stateless_ms, one.cached_ms, one.stateful_ms)
        table.add_row(
            str(one.history), *(f"{time:.2f}" for time in times), f"{one.speedup:.2f}",
            f"{one.cached_speedup:.2f}", f"{one.max_abs:.1e}",
        )  # fmt: skip
    return table


def flatness_line(flat: Flatness) -> str:
    """One session over many frames, in words."""
    return (
        f"{flat.frames:,} frames: {flat.first_ms:.2f} ms at first, {flat.last_ms:.2f} ms at last "
        f"({flat.change:+.1%}); beside a fresh session {flat.aged_ms:.2f} against {flat.fresh_ms:.2f} ms "
        f"({flat.aged_change:+.1%}); memory {flat.rss_growth_mb:+.2f} MB"
    )


def latency_plot(results: Sequence[LatencyResult], path: Path) -> None:
    """Stages stacked, one bar a runtime. Raises RuntimeUnavailableError without matplotlib."""
    figure, axes = _canvas(path)
    left = [0.0] * len(results)
    names = [f"{one.runtime} ({one.device})" for one in results]
    for stage in _stages(results):
        widths = [one.stages.get(stage, 0.0) for one in results]
        axes.barh(names, widths, left=left, label=stage)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set(xlabel="ms a frame")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=150)


def throughput_plot(points: Sequence[ThroughputPoint], path: Path) -> None:
    """All sessions' frames a second, and the p99 wait. Raises RuntimeUnavailableError without matplotlib."""
    figure, axes = _canvas(path)
    counts = [one.sessions for one in points]
    axes.plot(counts, [one.fps_total for one in points], "o-", label="FPS in all")
    axes.plot(counts, [one.p99_ms for one in points], "s--", label="p99 ms")
    axes.set(xlabel="sessions", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def capacity_plot(trials: Sequence[CapacityTrial], slo_ms: float, path: Path) -> None:
    """The p99 age by sessions, and the bound. Raises RuntimeUnavailableError without matplotlib."""
    figure, axes = _canvas(path)
    known = sorted((trial.sessions, trial.p99_ms) for trial in trials if trial.p99_ms is not None)
    axes.plot([count for count, _ in known], [age for _, age in known], "o-", label="p99 age of an answer")
    axes.axhline(slo_ms, linestyle="--", color="grey", label=f"bound, {slo_ms:g} ms")
    axes.set(xlabel="sessions", ylabel="ms", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def history_plot(points: Sequence[HistoryPoint], path: Path) -> None:
    """Time of a frame by templates in each form. Raises RuntimeUnavailableError without matplotlib."""
    figure, axes = _canvas(path)
    counts = [one.history for one in points]
    axes.plot(counts, [one.stateless_ms for one in points], "o-", label="stateless, everything recomputed")
    axes.plot(counts, [one.cached_ms for one in points], "s-", label="stateless, stem features cached")
    axes.plot(counts, [one.stateful_ms for one in points], "^-", label="stateful (Framestate)")
    axes.set(xlabel="templates in memory", ylabel="ms a frame, model", ylim=(0, None), xticks=counts)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading)
    return table


def _canvas(path: Path) -> tuple[Any, Any]:
    """A figure and its axes, for a file whose suffix says which kind."""
    figure = new_figure(path)
    return figure, figure.add_subplot()
