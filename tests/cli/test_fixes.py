"""``framestate doctor --fix``: one command for this machine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from framestate.cli.doctor import examine
from framestate.cli.fixes import OPENCVS, Fix, find_fix
from typer.testing import Result

USABLE = {"usable": True, "version": "1", "devices": ["cpu"], "why_not": "", "remedy": ""}
ABSENT = {"usable": False, "version": "", "devices": [], "why_not": "missing it", "remedy": "install it"}


def machine(**given: Any) -> dict[str, Any]:
    """A report of a machine where nothing has to be done, but for what is given."""
    return {
        "packages": {OPENCVS[0]: "5.0"},
        "runtimes": {"tensorrt": ABSENT, "onnx": USABLE, "eager": ABSENT},
        **given,
    }


def files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_nothing_has_to_be_done(tmp_path: Path) -> None:
    assert find_fix(machine(), tmp_path) is None


@pytest.mark.parametrize("other", OPENCVS[1:])
def test_two_builds_of_opencv(tmp_path: Path, other: str) -> None:
    fix = find_fix(machine(packages={OPENCVS[0]: "5.0", other: "4.9"}), tmp_path)
    assert isinstance(fix, Fix)
    assert f" {other} && " in fix.command
    assert fix.command.endswith(OPENCVS[0])
    assert find_fix(machine(packages={other: "4.9"}), tmp_path) is None, "somebody's own choice"


def test_no_runtime(tmp_path: Path) -> None:
    none = dict.fromkeys(("tensorrt", "onnx", "eager"), ABSENT)
    fix = find_fix(machine(runtimes=none), tmp_path)
    assert fix is not None
    assert "onnxruntime" in fix.command
    assert "missing it" in fix.why


def test_a_gpu_that_nothing_uses(tmp_path: Path) -> None:
    root = files(tmp_path, "proc/driver/nvidia/version")
    fix = find_fix(machine(), root)
    assert fix is not None
    assert "onnxruntime-gpu" in fix.command
    used = {**USABLE, "devices": ["cpu", "cuda"]}
    assert find_fix(machine(runtimes={"tensorrt": ABSENT, "onnx": used}), root) is None


def test_a_jetson(tmp_path: Path) -> None:
    root = files(tmp_path, "proc/driver/nvidia/version", "etc/nv_tegra_release")
    fix = find_fix(machine(), root)
    assert fix is not None
    assert fix.command == "deploy/jetson/install.sh"
    assert (Path(__file__).parents[2] / fix.command).is_file()


def test_every_command_can_be_pasted(tmp_path: Path) -> None:
    fix = find_fix(machine(packages=dict.fromkeys(OPENCVS, "1")), tmp_path)
    assert fix is not None
    words = shlex.split(fix.command)
    assert sys.executable in words
    assert words.count("&&") == 1


def test_the_command_alone_goes_to_stdout(
    invoke: Callable[..., Result], report: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = examine()
    for packages in ({OPENCVS[0]: "5.0", OPENCVS[1]: "5.0"}, {OPENCVS[0]: "5.0"}):
        fix = find_fix({**found, "packages": packages})
        monkeypatch.setattr("framestate.cli.doctor.examine", partial(dict, found, packages=packages))
        result = invoke("doctor", "--fix")
        assert result.exit_code == 0
        assert result.stdout == (f"{fix.command}\n" if fix else "")
        assert len(result.stderr.splitlines()) == 1
        assert report("doctor")["fix"] == (None if fix is None else {"why": fix.why, "command": fix.command})
