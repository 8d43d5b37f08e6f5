"""The Jetson's files, as far as they go without one: syntax, paths, and the counted budget."""

from __future__ import annotations

import configparser
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from framestate.bundles import load_bundle
from onnx import helper


@pytest.fixture(scope="module")
def budget() -> Any:
    path = Path(__file__).parents[2] / "deploy/jetson/budget.py"
    spec = importlib.util.spec_from_file_location("budget", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["budget"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["budget"]


def test_products_are_counted_as_they_are_made(budget: Any) -> None:
    """Against the operations of the same products written out."""
    shapes = {"x": [1, 3, 8, 8], "w": [4, 3, 5, 5], "y": [1, 4, 4, 4], "a": [2, 6], "b": [6, 7], "c": [2, 7]}
    windows = np.lib.stride_tricks.sliding_window_view(np.zeros((3, 8, 8)), (3, 5, 5))
    conv = helper.make_node("Conv", ["x", "w"], ["y"])
    assert budget.operations_of(conv, shapes) == 2 * windows.size * 4
    assert budget.operations_of(helper.make_node("MatMul", ["a", "b"], ["c"]), shapes) == 2 * 2 * 6 * 7
    assert budget.operations_of(helper.make_node("Add", ["c", "c"], ["c"]), shapes) == 14
    assert budget.operations_of(helper.make_node("Reshape", ["c"], ["c"]), shapes) == 0


def test_the_budget_of_the_tracker_is_that_of_its_graphs(budget: Any, checkout: Path) -> None:
    bundle = load_bundle("tracker-nano")
    costs = {name: budget.cost_of(bundle, name) for name in bundle.spec.functions}
    for name, cost in costs.items():
        graph = onnx.load(bundle.file(f"{name}.onnx"), load_external_data=False).graph
        assert cost.nodes == len(graph.node)
        least = sum(tensor.bytes_per_row for tensor in bundle.spec.function(name).inputs)
        assert least < cost.boundary < least + 2 * bundle.spec.state_bytes + 10**5
        for module in budget.MODULES:
            assert 0 < cost.floor(module, half=True) < cost.floor(module, half=False) < 0.01
    assert costs["step"].operations > costs["init"].operations  # its crop is larger
    page = checkout.joinpath("docs/jetson.md").read_text("utf-8")
    assert budget.table(bundle) in page, "run deploy/jetson/budget.py again and put its tables into the page"


@pytest.mark.parametrize("script", ["deploy/jetson/install.sh", "bench/jetson.sh", "bench/gpu.sh"])
def test_scripts_parse_and_stop_where_they_do_not_belong(checkout: Path, script: str, tmp_path: Path) -> None:
    path = checkout / script
    assert path.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    text = path.read_text("utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert "NOT RUN YET" in text


def test_the_image_and_the_unit_name_what_there_is(checkout: Path) -> None:
    folder = checkout / "deploy/jetson"
    recipe = folder.joinpath("Dockerfile").read_text("utf-8")
    assert "NOT BUILT YET" in recipe
    for named in re.findall(r"/source/(\S+\.sh)", recipe):
        assert (checkout / named).is_file()
    for kept in re.findall(
        r"^!([\w/.]+)$", folder.joinpath("Dockerfile.dockerignore").read_text(), re.MULTILINE
    ):
        assert (checkout / kept).exists()
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(folder.joinpath("framestate.service").read_text("utf-8"))
    assert unit.sections() == ["Unit", "Service", "Install"]
    assert " serve " in unit["Service"]["ExecStart"]
    assert unit["Service"]["NoNewPrivileges"] == "yes"
