"""The Jetson's files, as far as they go without one: syntax, paths, and the counted budget."""

from __future__ import annotations

import configparser
import importlib.util
import json
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
    assert unit["Service"]["PrivateTmp"] == "no", "/tmp/argus_socket is the way to a CSI camera"
    assert "DynamicUser" not in unit["Service"], "it brings a /tmp of its own"
    assert "--model /var/lib/framestate/plans" in unit["Service"]["ExecStart"]
    served = re.search(r"^CMD (.+)$", recipe, re.MULTILINE)
    built = re.search(r"--out (\S+)", recipe)
    assert served
    assert built
    assert json.loads(served[1])[:3] == ["serve", "--model", built[1]], "a model that has plans"
    assert unit["Service"]["NoNewPrivileges"] == "yes"


def stand_in(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("whole", [True, False])
def test_the_script_installs_what_a_build_needs(checkout: Path, tmp_path: Path, whole: bool) -> None:
    """Over stand-ins for the programs that it calls: what it asks for, in which order."""
    tools = tmp_path / "tools"
    tools.mkdir()
    said = tmp_path / "said"
    for name in ("sudo", "apt-get", "git", "nvcc"):
        stand_in(tools, name, f'echo "{name} $*" >>{said}')
    stand_in(tools, "sudo", '"$@"')
    stand_in(tools, "uname", "echo aarch64")
    stand_in(tools, "id", "echo 1000")
    stand_in(tools, "mktemp", f"mkdir -p {tmp_path}/source/TensorRT/python; echo {tmp_path}/source")
    target = tmp_path / "venv"
    (tools / "installed").mkdir()
    for name in ("pip", "framestate"):
        stand_in(tools / "installed", name, f'echo "{name} $*" >>{said}')
    stand_in(
        tools,
        "python3.11",
        f"""echo "python $*" >>{said}
case "$*" in
*ensurepip*) exit {int(not whole)} ;;
*"import tensorrt"*) exit 1 ;;
*version_info.minor*) echo 11 ;;
*python%d.%d*) echo python3.11 ;;
*include*) mkdir -p {tmp_path}/include; echo {tmp_path}/include ;;
"-m venv"*) mkdir -p {target}/bin; cp {tools}/installed/* {target}/bin ;;
esac""",
    )
    stand_in(tmp_path, "build.sh", f'echo "build with $(dirname "$(command -v pip)")" >>{said}')
    (tmp_path / "source/TensorRT/python").mkdir(parents=True)
    (tmp_path / "build.sh").rename(tmp_path / "source/TensorRT/python/build.sh")
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "PYTHON": "python3.11", "TARGET": str(target)}
    done = subprocess.run(
        ["bash", str(checkout / "deploy/jetson/install.sh")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = said.read_text().splitlines()
    asked = "\n".join(lines)
    assert ("apt-get install --yes --no-install-recommends python3.11-dev python3.11-venv" in asked) != whole
    order = [
        next(place for place, line in enumerate(lines) if part in line)
        for part in (
            "-m venv", "release/10.3", "submodule update --init --depth 1 parsers/onnx",
            "pip install setuptools wheel", f"build with {target}/bin", "pycuda", "framestate doctor",
        )
    ]  # fmt: skip
    assert order == sorted(order), asked
