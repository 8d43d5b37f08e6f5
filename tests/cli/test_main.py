"""What all verbs have in common."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from framestate.cli.main import FIRST, REST, app
from framestate.errors import FramestateError, InputError, RunError
from typer.testing import CliRunner, Result

Invoke = Callable[..., Result]
MakeClip = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]

HEAVY = ("av", "cv2", "filterpy", "numpy", "onnxruntime", "scipy", "torch")


@pytest.mark.parametrize("verb", [*FIRST, *REST, "eval tracking", "bench precisions"])
def test_every_verb_explains_itself(invoke: Invoke, verb: str) -> None:
    result = invoke(*verb.split(), "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_help_imports_nothing_heavy() -> None:
    script = f"""
import sys
sys.argv = ["framestate", "--help"]
from framestate.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_version(invoke: Invoke) -> None:
    result = invoke("--version")
    assert (result.exit_code, result.stdout.split()[0]) == (0, "framestate")


@pytest.mark.parametrize(
    "arguments",
    [["fly"], ["--fly"], ["track", "a.mp4", "--box", "1,2,3,4", "--fly"], ["track"], ["models", "extra"]],
)
def test_bad_usage(invoke: Invoke, arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage:" in result.stderr


def test_debug_shows_the_traceback(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, box: str) -> None:
    plain = invoke("track", "nope.mp4", "--box", box)
    debug = invoke("track", "nope.mp4", "--box", box, "--debug")
    monkeypatch.setenv("FRAMESTATE_DEBUG", "1")
    by_variable = invoke("track", "nope.mp4", "--box", box)
    assert "Traceback" not in plain.stderr
    for result in (debug, by_variable):
        assert result.exit_code == 2
        assert "Traceback" in result.stderr
        assert result.stderr.splitlines()[-1] == plain.stderr.strip()


@pytest.mark.parametrize("error", [InputError, RunError])
def test_the_exit_code_is_the_errors_own(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: type[FramestateError]
) -> None:
    def fail() -> None:
        raise error("The value\nis 3", "Give 4.")

    monkeypatch.setattr("framestate.bundles.default_bundles", fail)
    result = invoke("models", "--json")
    assert (result.exit_code, result.stdout) == (error.exit_code, "")
    assert result.stderr == "error: The value is 3. Give 4.\n"


def test_a_closed_pipe_is_quiet(start: Start) -> None:
    with start("models", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_run_leaves_nothing(
    start: Start, make_clip: MakeClip, work: Path, box: str, number: int, code: int
) -> None:
    clip = make_clip(frames=2000)
    process = start(
        "track", clip, "--box", box, "--out", "out.mp4", "--boxes", "boxes.csv", "--threads", 1, "--json"
    )
    deadline = time.monotonic() + 60
    while len(list(work.iterdir())) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (code, "")
    assert "Traceback" not in stderr
    assert list(work.iterdir()) == []


def test_help_shows_what_is_typed_after_an_option() -> None:
    for verb in ("track", "serve", "demo"):
        shown = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"}).output
        assert "--help" in shown
        assert not re.search("<(bool|int|float)", shown), verb
