"""Examples are scripts, not a package: each is loaded from its file, as the module that its test names."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def example(request: pytest.FixtureRequest, checkout: Path) -> ModuleType:
    """``examples/<name>.py`` for ``test_<name>.py``."""
    name = request.path.stem.removeprefix("test_")
    spec = importlib.util.spec_from_file_location(name, checkout / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
