"""`rehearse`: a throw-away file is written first, so that what is refused is known before any work."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from ..errors import FramestateError, OptionError, VideoWriteError
from .opening import is_pipe
from .passengers import Passengers
from .pixels import as_uint8
from .target import beside, clear, make_folder
from .writer import VideoWriter

Aboard = Callable[[Collection[int] | None], Passengers]
"""Makes passengers anew: all of them for None, or the streams of these indices only; `briefly`."""
Opened = Callable[[Path, Passengers], VideoWriter]
"""Opens a writer for a path, with passengers, as the real one will be opened."""
_FRAMES = 2


def rehearse(path: Path, aboard: Aboard, opened: Opened, *, deep: bool = False) -> None:
    """Write two black frames and the first packet of each stream beside ``path``, finish, and delete it.

    Args:
        path: the real target.
        aboard, opened: how passengers and writer are made.
        deep: the frames will have more than 8 bits.

    Raises:
        OptionError: the container or the encoder refuses something; a stream that does not fit is named.
        VideoWriteError: the folder cannot be written to.
    """
    is_piped = is_pipe(path)
    name = "framestate.mkv" if is_piped else path.name
    folder = beside(Path(tempfile.gettempdir()) / name if is_piped else path, "try").with_suffix("")
    try:
        if path.parent.is_dir():  # the writer says so where it is not
            make_folder(folder, path)
        _rehearsed(path, folder / name, aboard, opened, deep)
    finally:
        clear(folder)


def _rehearsed(path: Path, place: Path, aboard: Aboard, opened: Opened, deep: bool) -> None:
    with aboard(None) as everybody:
        failure = _tried(path, place, everybody, opened, deep)
        seated = everybody.seated
    if failure is None:
        return
    if _is_of_the_disk(failure):
        raise failure
    for index, what in seated.items():
        with aboard({index}) as alone:
            found = _tried(path, place, alone, opened, deep)
        if found is None:
            continue
        with aboard(()) as nobody:
            if _tried(path, place, nobody, opened, deep) is not None:
                break  # it is the pictures that do not fit
        raise OptionError(
            f"{path} cannot hold {what}: {found.problem.rpartition('(')[2].rstrip(')') or 'refused'}",
            "Keep to the container of the source (.mkv holds most), "
            + ("have it encoded (--audio aac), " if what.startswith("audio") else "")
            + f"or leave such streams out: --without {what.split()[0]}.",
        )
    if isinstance(failure, VideoWriteError):
        raise OptionError(
            f"{path} cannot hold the video ({failure.problem})",
            "Choose another suffix (.mkv holds most) or another --codec.",
        )
    raise failure


def _tried(
    path: Path, place: Path, passengers: Passengers, opened: Opened, deep: bool
) -> FramestateError | None:
    """What goes wrong; None where everything fits."""
    try:
        with opened(place, passengers) as writer:
            black = as_uint8(np.zeros((writer.height, writer.width, 3), np.uint16 if deep else np.uint8))
            for _ in range(_FRAMES):
                writer.write(black)
    except (OptionError, VideoWriteError) as error:
        return type(error)(error.problem.replace(str(place), str(path)), error.remedy)
    return None


def _is_of_the_disk(error: FramestateError) -> bool:
    return isinstance(error, VideoWriteError) and "free space" in error.remedy
