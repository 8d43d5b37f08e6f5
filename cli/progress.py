"""The progress bar of long work: on stderr, with a rate and the time left; silent where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from .output import note, stderr_console


class RateColumn(ProgressColumn):
    """Frames a second, all work included."""

    def render(self, task: Task) -> Text:
        """The rate as rich estimates it."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} FPS")


class Bar:
    """One bar that a verb moves on."""

    def __init__(self, progress: Progress, words: str, total: float | None) -> None:
        self._progress = progress
        self._task = progress.add_task(words, total=total, detail="")

    def advance(self) -> None:
        """One more frame is done."""
        self._progress.advance(self._task)

    def at(self, completed: float, words: str | None = None, detail: str = "") -> None:
        """Say how far the work is; ``detail`` stands beside the bar."""
        self._progress.update(self._task, completed=completed, description=words, detail=detail)


@contextmanager
def frames_bar(words: str, total: int | None) -> Iterator[Bar]:
    """A bar that counts frames; ``total`` is None where nobody knows."""
    with _progress(MofNCompleteColumn(), RateColumn()) as progress:
        yield Bar(progress, words, total)


@contextmanager
def stages(frames: int) -> Iterator[tuple[Callable[[str], None], Callable[[int], None]]]:
    """Two functions: one says which stage has begun, one how many frames are compared. On stderr."""
    with frames_bar("exporting", frames) as bar:

        def say(text: str) -> None:
            bar.at(0, text)
            if not sys.stderr.isatty():
                note(text)

        yield say, bar.at


@contextmanager
def share_bar(words: str) -> Iterator[Bar]:
    """A bar from 0 to 1 for work whose pace the caller knows better."""
    with _progress(TaskProgressColumn(), TextColumn("{task.fields[detail]}")) as progress:
        yield Bar(progress, words, 1.0)


def _progress(*columns: ProgressColumn) -> Progress:
    console = stderr_console()
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        speed_estimate_period=600,
    )
