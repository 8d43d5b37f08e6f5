"""The table of ``docs/models.md``: ``python -m framestate.export.model_table [NAME …]`` writes it.

Measured lines are kept in ``docs/models.json``; those of the named systems (all, without names) are measured
anew, and the table is written from all of them. Times are processor times of one thread of this machine,
eager and ONNX taking turns.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from ..models.systems import SYSTEMS, system
from ..plugins.operators import Dialect
from .model_measures import Line, measure, tell
from .page import put_between

BEGIN, END = "<!-- systems: written by framestate.export.model_table -->", "<!-- end of systems -->"
RUNNABLE = tuple(name for name in get_args(Dialect) if name != "plugin")


def table(lines: Sequence[Line]) -> str:
    """The lines as Markdown."""
    heads = (
        "system", "what", "parameters", "state a session", "GFLOPs (scans)",
        "eager ms", "`ort` ms", "`portable` ms", "off eager (frames)", "export s",
    )  # fmt: skip
    rows = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for line in lines:
        eager, onnx, portable, export = (
            "not run" if value is None else f"{value:.1f}"
            for value in (line.eager_ms, line.onnx_ms, line.portable_ms, line.export_s)
        )
        off = "not run" if line.max_rel is None else f"{line.max_rel:.0e} ({line.frames})"
        cells = (
            f"`{line.name}`", line.what, f"{line.parameters / 1e6:.2f} M", size(line.state_bytes),
            f"{line.gflops:.2f} ({line.scan_share:.0%})", eager, onnx, portable, off, export,
        )  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def size(count: int) -> str:
    """So many bytes in words."""
    if not count:
        return "none"
    return f"{count / 2**20:.2f} MiB" if count >= 10_000 else f"{count} bytes"


def write_table(page: Path, lines: Sequence[Line], machine: str) -> None:
    """Puts the table between its two marks. Raises DataError where the page has none."""
    put_between(page, BEGIN, END, f"{table(lines)}\n\nTimes: {machine}.")


def read_lines(path: Path) -> dict[str, Line]:
    """Lines measured before, by name; none without the file."""
    if not path.exists():
        return {}
    return {entry["name"]: Line(**entry) for entry in json.loads(path.read_text())["lines"]}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command. Raises OptionError for a system that there is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="systems to measure; all of them without a name")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of models.md and models.json")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--frames", type=int, default=5, help="of the closed loop that proves graphs")
    parser.add_argument(
        "--dialects", nargs="*", choices=RUNNABLE, default=list(RUNNABLE), help="graphs to make; none: eager"
    )
    parser.add_argument("--machine", default="", help="what the times are of; kept as it was otherwise")
    chosen = parser.parse_args(arguments)
    for name in chosen.names:
        system(name)
    kept = chosen.docs / "models.json"
    lines = read_lines(kept)
    machine = chosen.machine or (json.loads(kept.read_text())["machine"] if kept.exists() else "this machine")
    for one in SYSTEMS:
        if not chosen.names or one.name in chosen.names:
            lines[one.name] = measure(one, chosen.repetitions, dialects=chosen.dialects, frames=chosen.frames)
            tell(str(lines[one.name]))
            ordered = [lines[each.name] for each in SYSTEMS if each.name in lines]
            saved = {"machine": machine, "lines": [asdict(line) for line in ordered]}
            kept.write_text(json.dumps(saved, indent=1) + "\n")
            write_table(chosen.docs / "models.md", ordered, machine)


if __name__ == "__main__":
    main()
