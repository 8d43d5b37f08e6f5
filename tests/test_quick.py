"""What ``make quick`` chooses, and what every run says at its end."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

LONG = "tests/models/vil_tracker/test_vil_overfit.py"
"""A file with a test that takes minutes."""


@pytest.fixture
def quick(checkout: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("quick", checkout / "tests" / "quick.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_the_nearest_tests_come_first(quick: ModuleType, tmp_path: Path) -> None:
    write(
        tmp_path,
        cli__main_py="",
        tests__cli__test_other_py="",
        tests__cli__test_main_py="",
        tests__bench__test_far_py="import framestate.bench",
        tests__bench__test_near_py="from framestate.cli.main import app",
        tests__bench__test_alike_py="from framestate.cli.mainly import app",
    )
    found = quick.nearest(["cli/main.py", "tests/bench/test_far.py", "README.md"], tmp_path)
    assert found == [
        "tests/bench/test_far.py", "tests/cli/test_main.py",
        "tests/bench/test_near.py", "tests/cli/test_other.py",
    ]  # fmt: skip


def test_what_changed_is_found_committed_or_not(quick: ModuleType, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        name = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True)

    write(tmp_path, a_py="", b_py="", c_py="")
    git("init", "--quiet", "--initial-branch", "main")
    git("add", "a.py", "b.py", "c.py")
    git("commit", "--quiet", "--message", "first")
    git("switch", "--quiet", "--create", "work")
    write(tmp_path, a_py="1")
    git("commit", "--quiet", "--all", "--message", "second")
    write(tmp_path, b_py="2", d_py="")
    (tmp_path / "c.py").unlink()
    assert quick.changed(tmp_path, "main") == ["a.py", "b.py", "d.py"]


def test_the_end_says_what_was_not_run_and_why(checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "long", LONG],
        cwd=checkout, capture_output=True, text=True, check=False, timeout=120,
        env={name: value for name, value in os.environ.items() if name != "FRAMESTATE_LONG"},
    )  # fmt: skip
    end = done.stdout.partition("not run, and why")[2]
    assert "takes minutes; set FRAMESTATE_LONG=1 to run it" in end, done.stdout + done.stderr
