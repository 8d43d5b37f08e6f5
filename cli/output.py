"""What verbs print and write: results on stdout, the rest on stderr, files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import FramestateError, RunError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

COMMANDS = ("framestate", "pip", "python", "apt", "make", "torchrun")
"""Words that keep their small letter at the beginning of a sentence."""
_OF_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES)
"""Errors of a file's name, which is the user's."""
MORE_MEMORY = "Allow more, or ask for less: smaller frames, fewer sessions."
_SHOWN = 80  # characters of such a name


@contextmanager
def guarded(debug: bool) -> Iterator[None]:
    """Turn what ends a verb early into one line on stderr and an exit code; ``debug`` shows the traceback."""
    try:
        yield
    except FramestateError as error:
        if debug:
            traceback.print_exc()
        _line("error", "red", f"{error.problem}. {sentence(error.remedy)}")
        raise typer.Exit(error.exit_code) from None
    except OSError as error:
        if error.filename is None or error.errno not in _OF_NAMES:
            raise
        if debug:
            traceback.print_exc()
        name = os.fsdecode(error.filename)
        short = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
        _line("error", "red", f"{short} cannot be used: {error.strerror}. Give another file name.")
        raise typer.Exit(2) from None
    except MemoryError as error:
        if debug:
            traceback.print_exc()
        why = f" ({error})" if str(error) else ""
        _line("error", "red", f"there is not enough memory{why}. {MORE_MEMORY}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        if debug:
            traceback.print_exc()
        _line("interrupted", "yellow", "no half-written file is left")
        raise typer.Exit(130) from None


def sentence(text: str) -> str:
    """A text with a full stop, and with a capital, unless it begins with a name or a command."""
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    if re.fullmatch(r"[a-z]+[,:;]?", first) and first not in COMMANDS:
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def note(text: str) -> None:
    """Say something on stderr."""
    print(_flat(text), file=sys.stderr)


def warn(text: str) -> None:
    """Say on stderr that something is not as it should be."""
    _line("warning", "yellow", text)


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """Send what libraries print to stderr, so that stdout holds the result and nothing else."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def print_json(report: Mapping[str, Any], *, on_stderr: bool = False) -> None:
    """Print one JSON object on stdout, or stderr; numbers that are not finite become null."""
    text = json.dumps(plain(report), indent=2, ensure_ascii=False, allow_nan=False)
    print(text, file=sys.stderr if on_stderr else sys.stdout, flush=True)


def show(*items: RenderableType, on_stderr: bool = False) -> None:
    """Print tables or text for people on stdout, or on stderr where stdout holds something else."""
    from rich.console import Console

    console = Console(highlight=False, stderr=on_stderr)
    for item in items:
        console.print(item, soft_wrap=isinstance(item, str), markup=False)


def stderr_console() -> Console:
    """Where progress bars go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, which becomes ``path`` when the block ends well and goes otherwise.

    Raises:
        RunError: the disk or the permissions do not allow it.
    """
    from ..vision.target import beside, remove

    temporary = beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({error.strerror or error})",
            "Check the free space and the permissions of its folder.",
        ) from error
    finally:
        remove(temporary)


def plain(value: Any) -> Any:
    """As JSON has it: paths as text, tuples as lists, numbers that are not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def _line(word: str, colour: str, text: str) -> None:
    """One line on stderr that nothing wraps, its first word in colour on a terminal."""
    code = {"red": "\x1b[1;31m", "yellow": "\x1b[1;33m"}[colour]
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        word = f"{code}{word}\x1b[0m"
    note(f"{word}: {text}")


def _flat(text: str) -> str:
    """On one line."""
    return " ".join(text.split())
