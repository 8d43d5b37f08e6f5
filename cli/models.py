"""``framestate models``: every system that there is, with or without weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import options
from .output import guarded, plain, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bundles import Bundle
    from ..models.systems import System


def models(as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """List the models: those that come with Framestate, and those to train."""
    with guarded(debug):
        with quiet_stdout():
            from ..bundles import default_bundles, load_bundle
            from ..models.systems import SYSTEMS

            entries = [describe(load_bundle(name)) for name in default_bundles()]
            entries += [describe_system(one) for one in SYSTEMS if not one.ships]
        if as_json:
            print_json({"models": entries})
        else:
            _show(entries)


def describe(bundle: Bundle) -> dict[str, Any]:
    """What a bundle says of itself: ``runtimes`` it has files for, ``state_bytes`` of one session.

    ``state_bytes`` is None where it depends on the size of the frames.
    """
    from ..runtimes import runtime_table

    return {
        "name": bundle.spec.name,
        "ships": True,
        "task": bundle.spec.task,
        "parameters": bundle.parameters,
        "state_bytes": bundle.spec.fixed_state_bytes,
        "runtimes": [entry.name for entry in runtime_table() if entry.supports(bundle)],
        "trained_on": trained_on(bundle.provenance),
        "metrics": plain(dict(bundle.metrics)),
    }


def describe_system(system: System) -> dict[str, Any]:
    """The same of a system that no weights come with."""
    return {
        "name": system.name,
        "ships": False,
        "task": system.row.task,
        "parameters": system.parameters,
        "state_bytes": None,
        "runtimes": [],
        "trained_on": None,
        "metrics": {},
        "what": system.what,
    }


def trained_on(provenance: Mapping[str, Any]) -> str | None:
    """The data of a model in one line, None where its bundle does not say."""
    said = provenance.get("trained_on")
    if isinstance(said, str):
        return said
    data = provenance.get("data")
    return describe_data(data) if isinstance(data, Mapping) else None


def describe_data(data: Mapping[str, Any]) -> str | None:
    """One line for the report of a training run: how many pictures and clips, and which archives."""
    parts = []
    images = data.get("images")
    if isinstance(images, Mapping) and images:
        stills = sum(int(archive.get("stills", 0)) for archive in images.values())
        names = ", ".join(name.removesuffix(".zip") for name in images)
        parts.append(f"{_counted(stills, 'picture')} ({names})")
    if data.get("clips"):
        parts.append(f"{_counted(data['clips'], 'clip')} ({_counted(data.get('frames', 0), 'frame')})")
    return "; ".join(parts) or None


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _show(entries: list[dict[str, Any]]) -> None:
    from rich.table import Table

    for entry in entries:
        if not entry["ships"]:
            continue
        table = Table(title=entry["name"], title_justify="left", show_header=False)
        table.add_row("task", entry["task"])
        table.add_row(
            "parameters", f"{entry['parameters']:,}" if entry["parameters"] else "those of its graphs"
        )
        state = entry["state_bytes"]
        table.add_row(
            "state", "by the size of the frames" if state is None else f"{state / 1024:,.1f} KiB a session"
        )
        table.add_row("runtimes", ", ".join(entry["runtimes"]))
        table.add_row("trained on", entry["trained_on"] or "not stated")
        table.add_row("metrics", "\n".join(_metrics(entry["metrics"])) or "not stated")
        show(table)
    others = Table(title="Without weights: train, or export --untrained", title_justify="left")
    others.add_column("system", no_wrap=True)
    for heading in ("task", "parameters", "what"):
        others.add_column(heading, justify="right" if heading == "parameters" else "left")
    for entry in entries:
        if not entry["ships"]:
            others.add_row(entry["name"], entry["task"], f"{entry['parameters']:,}", entry["what"])
    show(others)


def _metrics(metrics: Mapping[str, Any], prefix: str = "") -> list[str]:
    """``name value`` for each number, tables within tables flattened."""
    lines: list[str] = []
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            lines += _metrics(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)):
            lines.append(f"{prefix}{name} {value:.4g}")
    return lines
