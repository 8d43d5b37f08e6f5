"""The figures of one run of ``bench/gpu.sh`` beside the goals, as Markdown: ``gpu_report FOLDER``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FRAMES_GOAL = 5000.0
"""Tracker frames a second at 64 sessions."""
LATENCY_GOAL = 2.0
"""Milliseconds of one frame at one session, median."""
MADE_GOAL = 200.0
"""Frames made a second between frames of 1920x1080."""


def report(folder: Path) -> str:
    """What each part found, one row a figure; parts without figures are left to ``table.md``."""
    rows = [row for path in sorted(folder.glob("*.txt")) for row in rows_of(path.stem, read(path))]
    lines = ["| part | figure | value | goal |", "|---|---|---|---|", *rows]
    return "\n".join([*lines, "", *parts(folder)])


def parts(folder: Path) -> list[str]:
    """The lines of ``table.md``: which parts passed."""
    table = folder / "table.md"
    return table.read_text("utf-8").splitlines() if table.is_file() else []


def read(path: Path) -> Any:
    """A part's output as JSON; None where it is none."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def rows_of(name: str, told: Any) -> Iterator[str]:
    """Rows of one part; none for output that is not as the commands print it."""
    if not isinstance(told, Mapping):
        return
    try:
        if name.startswith("throughput-"):
            for point in told["points"]:
                goal = f">= {FRAMES_GOAL:.0f}" if point["sessions"] == 64 else ""
                yield row(name, f"{point['sessions']} sessions, frames/s", point["fps_total"], goal)
        elif name.startswith("latency-"):
            for one in told["results"]:
                yield row(name, "p50, ms", one["p50_ms"], f"<= {LATENCY_GOAL:g}")
                yield row(name, "p99, ms", one["p99_ms"], "")
        elif name.startswith("pair-"):
            goal = f">= {MADE_GOAL:.0f}" if (told["width"], told["height"]) == (1920, 1080) else ""
            yield row(name, "frames made a second", 1e3 / told["once_ms"], goal)
            for part in ("encode_ms", "motion_ms", "interpolate_ms"):
                yield row(name, part.replace("_ms", ", ms"), told[part], "")
        elif name == "scan":
            yield from scan_rows(told)
        elif name == "errors":
            for case, error in told.items():
                yield row(name, case, float(error), "")
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        yield f"| {name} | cannot be read | {type(error).__name__}: {error} | |"


def scan_rows(told: Mapping[str, Any]) -> Iterator[str]:
    """Each kernel's time in microseconds, beside the floor, and its error."""
    for shape in told["shapes"]:
        floor = "" if shape["floor_us"] is None else f"floor {shape['floor_us']:.3g}"
        for kernel, one in shape["kernels"].items():
            label = f"{shape['name']}, {shape['type']}, {kernel}"
            if "failed" in one:
                yield f"| scan | {label} | failed: {one['failed']} | |"
            else:
                yield row("scan", f"{label}, µs (error {one['error']:.1e})", one["us"], floor)
    for kernel, why in told["missing"].items():
        yield f"| scan | {kernel} | not there: {why} | |"


def row(name: str, figure: str, value: float, goal: str) -> str:
    """One row of the table."""
    return f"| {name} | {figure} | {value:.4g} | {goal} |"


def main() -> None:
    """Prints the report of a folder."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python -m framestate.bench.gpu_report FOLDER, which bench/gpu.sh wrote")
    print(report(Path(sys.argv[1])))  # noqa: T201


if __name__ == "__main__":
    main()
