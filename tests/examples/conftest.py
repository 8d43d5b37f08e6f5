"""Examples are scripts, not a package: each is loaded from its file, as the module that its test names."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def example(request: pytest.FixtureRequest, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``examples/<name>.py`` for ``test_<name>.py``."""
    name = request.path.stem.removeprefix("test_")
    spec = importlib.util.spec_from_file_location(name, checkout / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
