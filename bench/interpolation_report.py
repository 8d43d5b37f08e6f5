"""Results of an interpolation evaluation for people: tables, and a plot of quality over speed."""

from __future__ import annotations

import math
from pathlib import Path

from rich.table import Table

from .evaluate_interpolation import FidelityNumbers, InterpolationResults, LargeMotion, MethodResult
from .figures import new_figure


def interpolation_table(results: InterpolationResults) -> Table:
    """One row a method, best PSNR first; groups of clips have columns of their own."""
    ranked = _ranked(results)
    groups = list(ranked[0][1]["groups"])
    table = Table(
        title="Interpolation: odd frames predicted from the even ones",
        caption="fps: frames made a second, decoding excluded",
    )
    table.add_column("method")
    for heading in groups or ["all clips"]:
        for unit in ("dB", "SSIM", "fps"):
            table.add_column(f"{heading} {unit}", justify="right")
    has_failures = any(result["failures"] for _, result in ranked)
    if has_failures:
        table.add_column("failed on", style="red")
    for name, result in ranked:
        parts: list[FidelityNumbers] = [result["groups"][group] for group in groups] or [result]
        cells = [cell for part in parts for cell in _cells(part)]
        failed = ", ".join(clip for clip, one in result["clips"].items() if "error" in one)
        table.add_row(name, *cells, *([failed] if has_failures else []))
    return table


def perception_table(results: InterpolationResults) -> Table:
    """One row a method: what PSNR does not see, of each group and of frames with large motion."""
    ranked = _ranked(results)
    groups = list(ranked[0][1]["groups"])
    frames = ranked[0][1]["large_motion"]["num_frames"]
    table = Table(
        title="What people see",
        caption="GMSD: edges, less is better. HaarPSI: patterns, more is better. Worst: 99th percentile of "
        f"the errors of patches, levels. Large motion: {frames} frames.",
    )
    table.add_column("method")
    for heading in [*(groups or ["all clips"]), *(["large motion"] if frames else [])]:
        for unit in ("GMSD", "HaarPSI", "worst"):
            table.add_column(f"{heading} {unit}", justify="right")
    for name, result in ranked:
        parts: list[FidelityNumbers] = [result["groups"][group] for group in groups] or [result]
        cells = [cell for part in parts for cell in _seen(part)]
        table.add_row(name, *cells, *(_seen(result["large_motion"]) if frames else []))
    return table


def clip_table(results: InterpolationResults) -> Table:
    """One row a clip, one column a method: the PSNR of each."""
    ranked = _ranked(results)
    table = Table(title="PSNR in dB by clip")
    table.add_column("clip")
    table.add_column("frames", justify="right")
    for name, _ in ranked:
        table.add_column(name, justify="right")
    for clip, first in ranked[0][1]["clips"].items():
        scores = [result["clips"][clip]["psnr_db"] for _, result in ranked]
        table.add_row(clip, str(first["frames"]), *(_number(score, 2) for score in scores))
    return table


def published_table(results: InterpolationResults) -> Table:
    """One row a method: what the tables of publications hold, see `bench.fidelity`."""
    table = Table(title="As published tables count")
    table.add_column("method")
    headings = {
        "psnr_db": "PSNR, rounded",
        "ssim_matlab": "SSIM, rounded",
        "psnr_unrounded_db": "PSNR, not rounded",
        "ssim_matlab_unrounded": "SSIM, not rounded",
        "interpolation_error": "IE",
    }
    for heading in headings.values():
        table.add_column(heading, justify="right")
    for name, result in _ranked(results):
        numbers = ((key, float(result.get(key, math.nan))) for key in headings)  # type: ignore[arg-type]
        table.add_row(name, *(_number(value, 4 if "ssim" in key else 2) for key, value in numbers))
    return table


def quality_plot(results: InterpolationResults, path: str | Path) -> Path:
    """Draw PSNR over speed, one point a method (the suffix says which kind of image), and return the path.

    Raises:
        RuntimeUnavailableError: matplotlib is not installed.
    """
    target = Path(path)
    ranked = _ranked(results)
    groups = list(ranked[0][1]["groups"]) or [""]
    figure = new_figure(target, (5 * len(groups), 4))
    for number, group in enumerate(groups, start=1):
        axes = figure.add_subplot(1, len(groups), number)
        for name, result in ranked:
            part: FidelityNumbers = result["groups"][group] if group else result
            if math.isfinite(part["psnr_db"]) and part["fps"] > 0:
                axes.scatter(part["fps"], part["psnr_db"])
                axes.annotate(name, (part["fps"], part["psnr_db"]), textcoords="offset points", xytext=(5, 4))
        axes.set(xlabel="frames made a second", ylabel="PSNR in dB", xscale="log", title=group or "all clips")
        axes.margins(0.2)
        axes.grid(alpha=0.3)
    figure.savefig(target, dpi=150)
    return target


def _cells(part: FidelityNumbers) -> list[str]:
    return [_number(part["psnr_db"], 2), _number(part["ssim"], 4), f"{part['fps']:,.1f}"]


def _seen(part: FidelityNumbers | LargeMotion) -> list[str]:
    return [_number(part["gmsd"], 4), _number(part["haarpsi"], 3), _number(part["worst_patch"], 1)]


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _ranked(results: InterpolationResults) -> list[tuple[str, MethodResult]]:
    def rank(item: tuple[str, MethodResult]) -> float:
        score = item[1]["psnr_db"]
        return -score if math.isfinite(score) else math.inf

    return sorted(results["methods"].items(), key=rank)
