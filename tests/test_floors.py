"""Who may import whom. The folders stand on floors; an import that the table does not allow is a fault.

The rules are read off the source, so an import inside a function, under ``TYPE_CHECKING`` or through
``importlib.import_module("...")`` counts like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "plugins": set(),
    "bundles": set(),
    "vision": set(),
    "wire": {"vision"},
    "client": {"vision", "wire"},
    "models": {"plugins", "bundles", "vision"},
    "runtimes": {"bundles", "plugins", "vision"},  # pieces of frames, cut and normalised where the model runs
    "engine": {"runtimes", "bundles", "vision", "wire"},
    "export": {"models", "plugins", "engine", "runtimes", "bundles", "vision", "wire"},
    "bench": {"client", "cluster", "engine", "runtimes", "vision", "wire"},
    "server": {"client", "engine", "vision", "wire"},
    "vapoursynth": {"engine", "vision"},
    "cluster": {"client", "engine", "server", "vision", "wire"},
    "cli": {
        "bench", "bundles", "client", "cluster", "engine", "export", "models", "plugins", "runtimes",
        "server", "vision", "wire",
    },
}  # fmt: skip
EVERYONE_MAY_IMPORT = "errors"
ALSO = {"runtimes.eager": {"models"}}  # the reference runtime builds the PyTorch model itself
PACKAGE = "framestate"


def test_no_import_points_up_a_floor(checkout: Path) -> None:
    faults = [
        fault for path in sources(checkout) for fault in faults_in(path.read_text("utf-8"), path, checkout)
    ]
    assert not faults, "\n" + "\n".join(faults)


def test_every_folder_of_code_stands_on_a_floor(checkout: Path) -> None:
    folders = {init.parent.name for init in checkout.glob("*/__init__.py")} - {"tests"}
    assert folders <= set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("file", "code", "found"),
    [
        ("vision/box.py", "from ..errors import BoxError", None),
        ("vision/box.py", "from .crop import around\nimport numpy", None),
        ("vision/box.py", "from ..engine import Engine", "vision may not import engine"),
        ("vision/box.py", "from .. import engine", "vision may not import engine"),
        (
            "vision/box.py",
            "def f():\n    from ..engine.session import Session",
            "vision may not import engine",
        ),
        ("vision/__init__.py", "from ..models import x", "vision may not import models"),
        ("engine/tracking/kalman.py", "from ...runtimes import Runtime", None),
        ("engine/tracking/kalman.py", "from ..session import Session", None),
        ("engine/tracking/__init__.py", "from ...cli import main", "engine may not import cli"),
        ("engine/core.py", "from ..models import x", "engine may not import models"),
        ("runtimes/onnx.py", "from ..models import x", "runtimes may not import models"),
        (
            "runtimes/onnx.py",
            "if TYPE_CHECKING:\n    from ..models import x",
            "runtimes may not import models",
        ),
        ("runtimes/eager.py", "from ..models import x", None),
        ("runtimes/eager/build.py", "from ...models import x", None),
        ("runtimes/eagerly.py", "from ..models import x", "runtimes may not import models"),
        (
            "runtimes/__init__.py",
            "importlib.import_module('..models.zoo', __package__)",
            "may not import models",
        ),
        ("bundles/spec.py", "import framestate.models", "import its own folders relatively"),
        ("bundles/spec.py", "from framestate import models", "import its own folders relatively"),
        ("bundles/spec.py", "import_module('framestate.models')", "import its own folders relatively"),
        ("bundles/spec.py", "import bundles.spec", "import its own folders relatively"),
        ("bundles/spec.py", "from ... import x", "above the root"),
        ("cli/track.py", "from ..engine import Engine", None),
        ("bench/ope.py", "from ..cli import main", "bench may not import cli"),
    ],
)
def test_the_guard_finds_what_it_should(file: str, code: str, found: str | None) -> None:
    root = Path("root")
    faults = list(faults_in(code, root / file, root))
    if found is None:
        assert faults == []
    else:
        assert len(faults) == 1
        assert found in faults[0]


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_no_circle_of_imports_inside_a_folder(checkout: Path, folder: str) -> None:
    circles = circles_of(imported_by(checkout / folder))
    assert not circles, "\n".join(" -> ".join(circle) for circle in circles)


def test_circles_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    (folder / "tracking").mkdir(parents=True)
    for name, code in {
        "__init__": "from .core import Engine",
        "core": "from .session import Session",
        "session": "if TYPE_CHECKING:\n    from .core import Engine\nfrom .tracking.task import step",
        "alone": "from .core import Engine",
        "tracking/__init__": "",
        "tracking/task": "from ...vision import Box\nfrom . import box",
        "tracking/box": "def f():\n    from .task import step",
    }.items():
        (folder / f"{name}.py").write_text(code)
    assert circles_of(imported_by(folder)) == [
        ["engine.core", "engine.session"],
        ["engine.tracking.box", "engine.tracking.task"],
    ]


def imported_by(folder: Path) -> dict[str, set[str]]:
    """The modules of a folder that each of its modules imports, in whatever way."""
    root = folder.parent
    modules: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found: dict[str, set[str]] = {name: set() for name in modules}
    for module, path in modules.items():
        parent = path.relative_to(root).parts[:-1]
        for _, level, name in imports(ast.parse(path.read_text("utf-8"))):
            target = ".".join([*parent[: len(parent) - level + 1], *name.split(".")] if level else [])
            while target and target not in modules:  # a name that a module holds
                target = target.rpartition(".")[0]
            if target and target != module:
                found[module].add(target)
    return found


def circles_of(imported: dict[str, set[str]]) -> list[list[str]]:
    """Every set of modules, sorted, that each reach each other."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        left = [start]
        while left:
            new = imported[left.pop()] - seen
            seen |= new
            left += new
        return seen

    behind = {module: reached(module) for module in imported}
    knots = {
        tuple(sorted(other for other in behind[module] if module in behind[other]))
        for module in imported
        if module in behind[module]
    }
    return sorted(list(knot) for knot in knots)


def sources(checkout: Path) -> list[Path]:
    """Every Python file of the folders that install as the package."""
    found = [path for folder in MAY_IMPORT for path in sorted((checkout / folder).rglob("*.py"))]
    assert found
    return found


def faults_in(code: str, path: Path, root: Path) -> Iterator[str]:
    """One line for each import in ``code`` that the table does not allow."""
    parts = path.relative_to(root).with_suffix("").parts
    parent = parts[:-1]  # the package that relative imports start from, for a module and for __init__ alike
    module = ".".join(parent if parts[-1] == "__init__" else parts)
    allowed = {parts[0], EVERYONE_MAY_IMPORT, *MAY_IMPORT[parts[0]]}
    for prefix, more in ALSO.items():
        if module == prefix or module.startswith(prefix + "."):
            allowed |= more
    for line, level, name in imports(ast.parse(code)):
        where = f"{'/'.join(parts)}.py:{line}"
        if level == 0:
            if name.split(".")[0] in {PACKAGE, *MAY_IMPORT}:
                yield f"{where}: {name}: the tree has to import its own folders relatively"
            continue
        above = level - 1
        if above > len(parent):
            yield f"{where}: {'.' * level}{name} lies above the root"
            continue
        target = ".".join([*parent[: len(parent) - above], name]).split(".")[0]
        if target not in allowed:
            yield f"{where}: {parts[0]} may not import {target}"


def imports(tree: ast.AST) -> Iterator[tuple[int, int, str]]:
    """Line, level (0: absolute) and dotted name of every import, however it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}" if node.module else alias.name
                yield node.lineno, node.level, name
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"} and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                name = argument.value.lstrip(".")
                yield node.lineno, len(argument.value) - len(name), name


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
