"""What somebody meets who knows nothing yet: the command alone, the other verbs, and completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from framestate.cli.main import FIRST, REST
from typer.testing import Result

Invoke = Callable[..., Result]


def test_alone_it_shows_the_first_verbs_and_what_to_type_next(invoke: Invoke) -> None:
    result = invoke()
    assert (result.exit_code, result.stderr) == (0, "")
    shown = result.stdout.splitlines()
    assert len(FIRST) == 6
    for verb in FIRST:
        (line,) = [line for line in shown if line.startswith(f"  framestate {verb} ") and "-->" not in line]
        assert line.endswith("."), "its first sentence is whole"
    assert "framestate demo --clip" in result.stdout
    assert max(map(len, shown)) <= 80, "it fits a terminal"
    assert result.stdout.isascii(), "it can be printed anywhere"


@pytest.mark.parametrize("verb", [*FIRST, "more"])
def test_help_names_the_first_verbs_and_hides_the_rest(invoke: Invoke, verb: str) -> None:
    shown = invoke("--help").stdout
    assert f" {verb} " in shown
    assert not any(f"│ {hidden} " in shown for hidden in REST)


@pytest.mark.parametrize("verb", REST)
def test_the_rest_stands_under_more_and_where_it_was(invoke: Invoke, verb: str) -> None:
    assert f"│ {verb} " in invoke("more").stdout
    under, before = invoke("more", verb, "--help"), invoke(verb, "--help")
    assert (under.exit_code, before.exit_code) == (0, 0)
    assert under.stdout.replace(f"more {verb}", verb).split() == before.stdout.split()


SCRIPTS = {
    "bash": 'source {file}; COMP_WORDS=({words} ""); COMP_CWORD={count}; _framestate_completion framestate; '
    'printf "%s\\n" "${{COMPREPLY[@]}}"',
    "zsh": "autoload -Uz compinit; compinit -u -d $PWD/dump; source {file}; "
    'compadd() {{ print -l -- "$@" }}; _arguments() {{ print -l -- "$@" }}; '
    '_describe() {{ print -l -- "${{(@P)3}}" "${{(@P)2}}" }}; words=({words} ""); CURRENT={after}; '
    "_framestate_completion",
    "fish": "source {file}; complete -C '{words} '",
}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_shell_completes(invoke: Invoke, work: Path, shell: str) -> None:
    """The lines that are printed, read by the shell itself, which then asks for what can follow."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here: apt-get install {shell}")
    printed = invoke("more", "completion", shell)
    assert (printed.exit_code, printed.stderr.startswith(shell)) == (0, True)
    (work / "lines").write_text(printed.stdout, encoding="utf-8")
    folder = work / "bin"
    folder.mkdir()
    program_text = f"#!{sys.executable}\nfrom framestate.cli.main import main\nmain()\n"
    (folder / "framestate").write_text(program_text, encoding="utf-8")
    (folder / "framestate").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(work)}
    asked = (
        ("framestate more", ("eval", "bench")),
        ("framestate track clip.mp4 --model", ("tracker-nano",)),
    )
    for words, wanted in asked:
        count = len(words.split())
        script = SCRIPTS[shell].format(file=work / "lines", words=words, count=count, after=count + 1)
        options = {"zsh": ["-f"], "fish": ["--no-config"]}.get(shell, ["--norc"])
        done = subprocess.run(
            [program, *options, "-c", script],
            cwd=work, env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert all(word in done.stdout for word in wanted), (words, done.stdout, done.stderr)


def test_an_unknown_shell_is_refused(refused: Callable[..., str]) -> None:
    assert "bash, zsh, fish" in refused("more", "completion", "tcsh")
