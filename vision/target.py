"""`Target`: a file that appears whole or not at all, or a pipe that is written as it comes."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path

import av
import av.error

from ..errors import FramestateError, OptionError, VideoWriteError
from .opening import NUMBERED, is_pipe, reason

_LONGEST_NAME = 255  # bytes, on every file system in use
_SEQUENCE = "image2"
_PIPED, _PIPED_SUFFIX = "matroska", ".mkv"  # what can be written without going back, and holds most
_OF_THE_DISK = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.ENOENT}
    | {errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.EPIPE, errno.EBADF}
)


def beside(path: Path, mark: str = "part") -> Path:
    """A hidden name beside ``path`` that nobody has, no longer than names may be, with its suffix."""
    tail = f".{secrets.token_hex(4)}.{mark}{path.suffix}"
    stem = (
        path.stem.replace("%", "").encode()[: _LONGEST_NAME - len(tail.encode()) - 1].decode(errors="ignore")
    )
    return path.absolute().with_name(f".{stem}{tail}")


def remove(path: Path) -> None:
    """Delete a file that may never have been made; what cannot be deleted is left."""
    with contextlib.suppress(OSError):
        path.unlink()


def clear(folder: Path) -> None:
    """Delete a folder that may never have been made, even when Ctrl-C comes in the middle of it."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def make_folder(folder: Path, target: Path) -> None:
    """Make a folder beside ``target``. Raises VideoWriteError."""
    try:
        folder.mkdir()
    except OSError as error:
        raise VideoWriteError(
            f"{target} cannot be written ({reason(error)})",
            "Check the free space and the permissions of its folder.",
        ) from None


class Target:
    """Where a video goes.

    Args:
        path: a file name whose suffix chooses the container; a pipe (``-`` is standard output): Matroska; or
            a pattern for numbered images (frames/%04d.png), which appear together.

    Raises:
        VideoWriteError: it is a folder, or its folder does not exist or cannot be written to.
        OptionError: no container has this suffix.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_pipe = is_pipe(path)
        self.is_sequence = not self.is_pipe and bool(NUMBERED.search(path.name))
        if not self.is_pipe and (path.is_dir() or not path.parent.is_dir()):
            raise VideoWriteError(
                f"{path} cannot be written: "
                + ("it is a folder" if path.is_dir() else f"there is no folder {path.parent}"),
                "Give a file name in a folder that exists.",
            )
        self.temporary = path if self.is_pipe else beside(path)
        self.form = _PIPED if self.is_pipe else _SEQUENCE if self.is_sequence else _form_of(path)
        """The name of the container's format, as FFmpeg has it."""
        if self.is_sequence:
            make_folder(self.temporary, path)

    @property
    def address(self) -> str:
        """What FFmpeg writes to."""
        if self.is_pipe:
            return "pipe:1" if str(self.path) in ("-", "/dev/stdout") else f"file:{self.path}"
        return f"file:{self.temporary / self.path.name if self.is_sequence else self.temporary}"

    @property
    def suffix(self) -> str:
        """Of the container, in lower case."""
        return _PIPED_SUFFIX if self.is_pipe else self.path.suffix.lower()

    def settle(self) -> None:
        """Put the finished file, or files, in place. Raises OSError."""
        if self.is_sequence:
            for image in self.temporary.iterdir():
                os.replace(image, self.path.parent / image.name)
            self.temporary.rmdir()
        elif not self.is_pipe:
            os.replace(self.temporary, self.path)

    def discard(self) -> None:
        """Remove what was written so far."""
        if self.is_sequence:
            clear(self.temporary)
        elif not self.is_pipe:
            remove(self.temporary)

    def failed(self, error: BaseException, frames: int) -> VideoWriteError:
        """What to say when writing broke off."""
        if getattr(error, "errno", None) == errno.EPIPE:
            remedy = "Whoever read the pipe has gone: check the command after it."
        elif is_of_the_disk(error):
            remedy = "Check the free space and the permissions of its folder."
        else:
            remedy = f"{self.form} or the encoder refused a packet: try another suffix (.mkv) or --codec."
        return VideoWriteError(f"Writing {self.path} failed after {frames} frames ({reason(error)})", remedy)

    def refused(self, error: BaseException, what: str, remedy: str) -> FramestateError:
        """What to say when writing cannot begin: the disk's fault, or that of what was asked for."""
        if is_of_the_disk(error):
            return VideoWriteError(
                f"{self.path} cannot be written ({reason(error)})",
                "Check the free space and the permissions of its folder.",
            )
        return OptionError(f"{self.path}: {what} ({reason(error)})", remedy)


def is_of_the_disk(error: BaseException) -> bool:
    """Whether an error is one of the file system, and not of what was to be written."""
    number = getattr(error, "errno", None)
    return number in _OF_THE_DISK if number is not None else isinstance(error, OSError)


def _form_of(path: Path) -> str:
    try:
        with av.open(f"file:x{path.suffix.lower()}", "w") as guess:  # nothing is written before the header
            return str(guess.format.name)
    except (ValueError, av.error.FFmpegError):
        raise OptionError(
            f"{path} has the suffix {path.suffix!r}, which no container has",
            "Give .mp4, .mkv, .mov, .webm, .avi or another one that FFmpeg knows.",
        ) from None
