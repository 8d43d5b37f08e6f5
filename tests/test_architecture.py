"""docs/architecture.md names every module, and no module that is not there."""

from __future__ import annotations

import re
from pathlib import Path

FOLDERS = (
    "bench",
    "bundles",
    "cli",
    "client",
    "cluster",
    "engine",
    "export",
    "models",
    "plugins",
    "runtimes",
    "server",
    "vision",
)


def listed_modules(text: str) -> set[str]:
    found, folder = set(), ""
    for line in text.splitlines():
        heading = re.match(r"### `(\w+)/`", line)
        folder = heading.group(1) if heading else folder
        entry = re.match(r"- `([\w/]+\.py)`: \S", line)
        if folder and entry:
            found.add(f"{folder}/{entry.group(1)}")
    return found


def test_every_module_has_its_line(checkout: Path) -> None:
    on_disk = {
        path.relative_to(checkout).as_posix()
        for folder in FOLDERS
        for path in (checkout / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    listed = listed_modules((checkout / "docs/architecture.md").read_text("utf-8"))
    assert listed == on_disk, f"missing: {sorted(on_disk - listed)}; gone: {sorted(listed - on_disk)}"
