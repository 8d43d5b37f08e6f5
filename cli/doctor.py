"""``framestate doctor``: what this machine can run, why not the rest, and what would change that."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import RunError
from . import options
from .fixes import OPENCVS, find_fix
from .output import guarded, note, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from rich.table import Table

PACKAGES = (
    "numpy", "av", "onnxruntime", "onnxruntime-gpu", *OPENCVS, "safetensors",
    "torch", "onnx", "onnxscript", "pillow", "matplotlib", "tensorrt", "pycuda",
)  # fmt: skip


def doctor(
    jetson: Annotated[
        bool, typer.Option("--jetson", help="Also look at a Jetson's power mode, clocks and camera.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Print only the one command that this machine needs most.")
    ] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show what this machine can run, and what would help."""
    with guarded(debug):
        with quiet_stdout():
            report = examine()
            if jetson:
                report["jetson"] = examine_jetson()
            found = find_fix(report)
        report["fix"] = None if found is None else asdict(found)
        if as_json:
            print_json(report)
        elif fix:
            note(
                f"why: {found.why}" if found else "nothing has to be done: the models of Framestate run here"
            )
            if found:
                print(found.command)
            return
        else:
            _show(report)
        if not any(runtime["usable"] for runtime in report["runtimes"].values()):
            raise RunError("No runtime is usable", "Install one: pip install onnxruntime.")


def examine() -> dict[str, Any]:
    """Everything that ``--json`` prints."""
    from ..bundles import default_bundles
    from ..engine import TASKS
    from ..runtimes import inspect_runtimes
    from .kernels import inspect_kernels, inspect_peers
    from .machine import cores, processor

    return {
        "framestate": metadata.version("framestate"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": cores(),
        "packages": dict(filter(None, map(_package, PACKAGES))),
        "models": default_bundles(),
        "tasks": list(TASKS),
        "runtimes": {name: asdict(report) for name, report in inspect_runtimes().items()},
        "kernels": {name: asdict(kernel) for name, kernel in inspect_kernels().items()},
        "peers": {name: asdict(peer) for name, peer in inspect_peers().items()},
    }


def examine_jetson() -> dict[str, Any]:
    """What ``--jetson`` adds."""
    from .jetson import inspect_jetson

    return {name: asdict(finding) for name, finding in inspect_jetson().items()}


def _package(name: str) -> tuple[str, str] | None:
    try:
        return name, metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _show(report: Mapping[str, Any]) -> None:
    show(
        f"framestate {report['framestate']}, Python {report['python']}, {report['platform']}",
        f"{report['processor']}, {report['cores']} cores",
        ", ".join(f"{name} {version}" for name, version in report["packages"].items()),
        f"models: {', '.join(report['models']) or 'none'}; tasks: {', '.join(report['tasks'])}",
        _table("Runtimes", report["runtimes"]),
        _table("Kernels (optional)", report["kernels"]),
        _table("Trackers to compare with (optional)", report["peers"]),
        *([_table("Jetson", report["jetson"])] if "jetson" in report else []),
    )


def _table(title: str, entries: Mapping[str, Mapping[str, Any]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for heading in ("name", "usable", "detail", "remedy"):
        table.add_column(heading, overflow="fold")
    for name, entry in entries.items():
        usable = Text("yes", "green") if entry["usable"] else Text("no", "yellow")
        detail = entry["why_not"] or " on ".join(
            filter(None, (entry.get("version", ""), ", ".join(entry.get("devices", ()))))
        )
        table.add_row(name, usable, Text(detail), Text(entry["remedy"]))
    return table
