"""``make quick``: style, types and tests of what changed, in less than a minute.

What changed is what differs from the branch ``main`` (or from the commit that FRAMESTATE_QUICK_BASE names),
committed or not. Types are checked beside the tests. Tests begin with those nearest to the change, and none
begins after ``SECONDS``: how many were left is said.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 35.0
BIN = Path(sys.executable).parent


def changed(root: Path, base: str) -> list[str]:
    """Files that differ from ``base`` or are new, as paths from the root."""

    def git(*words: str) -> list[str]:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.splitlines() if done.returncode == 0 else []

    fork = git("merge-base", "HEAD", base) or ["HEAD"]
    files = {*git("diff", "--name-only", fork[0]), *git("ls-files", "--others", "--exclude-standard")}
    return sorted(path for path in files if (root / path).exists())


def nearest(files: Iterable[str], root: Path) -> list[str]:
    """Test files, those nearest to what changed first.

    First tests that changed, then those named as a changed module, then those that name it, then the rest of
    its folder's.
    """
    every = {path.relative_to(root).as_posix(): path for path in sorted((root / "tests").rglob("test_*.py"))}
    texts = {name: path.read_text("utf-8") for name, path in every.items()}
    ranks: dict[str, int] = {}
    for file in files:
        path = Path(file)
        module = re.escape(".".join(("framestate", *path.with_suffix("").parts)))
        for name, text in texts.items():
            if name == file:
                rank = 0
            elif path.suffix == ".py" and Path(name).stem == f"test_{path.stem}":
                rank = 1
            elif re.search(rf"{module}\b", text) or path.name in text:
                rank = 2
            elif path.suffix == ".py" and name.startswith(f"tests/{path.parts[0]}/"):
                rank = 3
            else:
                continue
            ranks[name] = min(rank, ranks.get(name, rank))
    return sorted(ranks, key=lambda name: (ranks[name], name))


class Clock:
    """Begins no test after the time is up."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.left = 0

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Pass a test over once the time is up."""
        if time.monotonic() < self.end:
            return None
        self.left += 1
        return True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how many were passed over."""
        if self.left:
            terminalreporter.write_line(
                f"the time was up: {self.left} tests were not run; make test runs them"
            )


def main() -> int:
    """Check; returns the exit code."""
    files = changed(ROOT, os.environ.get("FRAMESTATE_QUICK_BASE", "main"))
    python = [path for path in files if path.endswith(".py")]
    print(f"{len(files)} files changed", flush=True)
    for words in (["check"], ["format", "--check"]):
        if (
            python
            and subprocess.run([BIN / "ruff", *words, "--quiet", *python], cwd=ROOT, check=False).returncode
        ):
            return 1
    places = {
        path if path.startswith(("tests/", "docs/", "examples/")) else f"build/types/framestate/{path}"
        for path in python
    }
    types = [place for place in sorted(places) if (ROOT / place).exists()]
    mypy = subprocess.Popen([BIN / "mypy", *types], cwd=ROOT) if types else None
    tests = nearest(files, ROOT)
    code = 0
    if tests:
        clock = Clock(SECONDS)
        code = int(
            pytest.main(["-q", "--no-header", "-m", "not slow and not long and not alone", *tests], [clock])
        )
    if mypy is not None:
        code = mypy.wait() or code
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else code


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
