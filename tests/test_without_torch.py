"""The serving stack works where neither PyTorch nor anything else of the extras is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SERVING = ["bundles", "cli", "client", "cluster", "engine", "errors", "runtimes", "server", "vision", "wire"]
NOT_WRITTEN_YET: set[str] = set()
"""Folders that are not there yet. The test below fails as soon as one is, so that none stays here."""

NEEDS_AN_EXTRA = [
    "framestate.cluster.ray_app",
    "framestate.cluster.ray_directory",
    "framestate.cluster.ray_local",
    "framestate.runtimes.eager",
    "framestate.runtimes.tensorrt",
    "framestate.runtimes.torch_crops",
    "framestate.runtimes.torch_folding",
    "framestate.runtimes.torch_graphs",
    "framestate.runtimes.torch_precision",
    "framestate.runtimes.torch_store",
]
"""Modules that may need what an extra brings: they are imported by name, when somebody asks for them."""

BLOCKED = [
    "causal_conv1d",
    "fsspec",
    "mamba_ssm",
    "matplotlib",
    "onnx",
    "onnxscript",
    "pycuda",
    "ray",
    "tensorrt",
    "torch",
    "triton",
]

SCRIPT = """
import importlib, pkgutil, sys

blocked, extra = {blocked!r}, {extra!r}

class Wall:
    def find_spec(self, name, path=None, target=None):
        if any(name == one or name.startswith(one + ".") for one in blocked):
            raise ModuleNotFoundError(f"{{name}} is blocked in this test", name=name)
        return None

sys.meta_path.insert(0, Wall())
count = 0
for folder in {folders!r}:
    package = importlib.import_module("framestate." + folder)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not any(module.name == one or module.name.startswith(one + ".") for one in extra):
            importlib.import_module(module.name)
            count += 1
assert not [name for name in sys.modules if name.split(".")[0] in blocked], "the wall has a hole"
print(count)
"""


def test_the_list_of_what_is_not_written_is_true(checkout: Path) -> None:
    assert {
        folder for folder in SERVING if not (checkout / folder / "__init__.py").exists()
    } == NOT_WRITTEN_YET


@pytest.mark.parametrize("folder", [folder for folder in SERVING if folder not in NOT_WRITTEN_YET])
def test_every_module_imports_without_the_extras(folder: str) -> None:
    done = run(SCRIPT.format(blocked=BLOCKED, extra=NEEDS_AN_EXTRA, folders=[folder]))
    assert done.returncode == 0, done.stderr


def test_the_wall_holds() -> None:
    done = run(SCRIPT.format(blocked=["numpy"], extra=[], folders=["bundles"]))
    assert done.returncode != 0
    assert "numpy is blocked in this test" in done.stderr


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run ``script`` in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
