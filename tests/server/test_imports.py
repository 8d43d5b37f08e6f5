"""No circle among the modules of a folder: imports under ``TYPE_CHECKING`` and inside functions count too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest


def graph_of(folder: Path) -> dict[str, set[str]]:
    """Which modules of a folder each module imports."""
    modules = {path.stem: path for path in folder.glob("*.py")}
    found = {}
    for name, path in modules.items():
        imported: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                imported |= {node.module.split(".")[0]} if node.module else {one.name for one in node.names}
        found[name] = imported & modules.keys() - {name}
    return found


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Modules from which a way leads back to them."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = graph[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    return [name for name in graph if name in reached(name)]


@pytest.mark.parametrize("folder", ["server", "client", "wire"])
def test_no_module_needs_one_that_needs_it(checkout: Path, folder: str) -> None:
    graph = graph_of(checkout / folder)
    assert len(graph) > 3
    assert circles(graph) == []


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c"]
