"""Opening of files that may come from anyone: video containers, no playlists or addresses; pipes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import av.error

from ..errors import VideoError
from .images import IMAGE_SUFFIXES

# Video containers only. Playlists (hls, concat, dash) could make FFmpeg open other files and addresses, and
# text, subtitles and raw bytes would pass for a video.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,nut,gif,ivf,"
    "h264,hevc,obu,m4v,mjpeg,mxf,dv,wtv,yuv4mpegpipe,apng,rm"
)
_BARE_JPEG = (".mjpeg", ".mjpg")  # FFmpeg takes such files for single pictures, which are none of the above
INPUT_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "container_options": {
            "format_whitelist": _FORMATS,
            "protocol_whitelist": "file",
            "correct_ts_overflow": "0",  # `Joins` puts right a clock that starts again
        },
        "metadata_errors": "replace",
    }
)
"""How every file is opened."""
REMEDY = "Give a video file such as mp4, mkv, webm, avi or mov, or a folder of numbered images."
_MOST_FAILURES_IN_A_ROW = 1000  # of reading, without one packet between them
_STANDARD = "-"
NUMBERED = re.compile(r"%(0?)(\d*)d")
"""Where a number stands in the names of numbered images: %04d, %d."""
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+[^/]")


def reason(error: BaseException) -> str:
    """FFmpeg's words for an error, without the file name that follows them."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(words).rstrip(".")


def open_input(path: Path) -> Any:
    """PyAV's container of the file at ``path``. Raises VideoError."""
    form = "mjpeg" if path.suffix.lower() in _BARE_JPEG else None
    try:
        return av.open(f"file:{path.absolute()}", format=form, **INPUT_OPTIONS)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise VideoError(
                f"{path} cannot be opened as a video: its name is that of a picture",
                "Give a video, or the folder that holds numbered pictures.",
            ) from None
        raise VideoError(f"{path} cannot be opened as a video ({reason(error)})", REMEDY) from None


def packets_of(container: Any, streams: list[Any], on_failure: Callable[[], None]) -> Iterator[Any]:
    """Every packet of the streams that can be read, in file order; failures are told and passed over."""
    failures = 0
    packets = container.demux(streams)
    while failures < _MOST_FAILURES_IN_A_ROW:
        try:
            packet = next(packets)
        except (StopIteration, av.error.EOFError):
            return
        except (av.error.FFmpegError, ValueError):
            on_failure()
            failures += 1
            packets = container.demux(streams)
            continue
        failures = 0
        yield packet


def check_there(path: Path) -> None:
    """Raises VideoError if nothing is at ``path``, or if it is an address."""
    if address := _ADDRESS.match(str(path)):
        raise VideoError(
            f"{str(path).replace(':/', '://', 1)} is an address ({address[1]}), and only files are read",
            "Fetch it first (curl, yt-dlp), or pipe it in: curl ADDRESS | framestate ... -",
        )
    if not path.exists():
        raise VideoError(f"{path} does not exist", "Check the path of the video.")
    if path.is_file() and not path.stat().st_size:
        raise VideoError(f"{path} is empty", "Check that it was copied, or downloaded, whole.")


def is_pipe(path: Path) -> bool:
    """Whether ``path`` goes only once, from front to back: ``-``, a fifo, a terminal, a socket."""
    if str(path) in (_STANDARD, "/dev/stdout"):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


class Local:
    """A file that can be opened as often as one likes: ``path`` itself, or a temporary copy of what a pipe
    gives.

    The copy lies where ``TMPDIR`` says until `close`; it is what lets an MP4 with its index at the end come
    through a pipe, and what lets sound be read beside pictures.

    Raises:
        VideoError: there is nothing at ``path``, the pipe is a terminal or empty, or the copy has no room.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._copy: Path | None = None
        if is_pipe(path):
            self.path = self._copy = _copied(path)
        elif not NUMBERED.search(path.name) or not path.parent.is_dir():
            check_there(path)

    def close(self) -> None:
        """Remove the copy, if there is one."""
        copy, self._copy = self._copy, None
        if copy is not None:
            with contextlib.suppress(OSError):
                copy.unlink()


def _copied(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix="framestate-", suffix=".pipe")
    copy = Path(name)
    try:
        with os.fdopen(handle, "wb") as target, _opened(path) as source:
            if source.isatty():
                raise VideoError(f"{path} is a terminal", "Pipe a video in, or give the name of a file.")
            shutil.copyfileobj(source, target, 1 << 20)
        if not copy.stat().st_size:
            raise VideoError(f"Nothing came through the pipe {path}", "Check what writes into it.")
    except OSError as error:
        copy.unlink(missing_ok=True)
        raise VideoError(
            f"What came through the pipe {path} cannot be kept in {copy.parent} ({reason(error)})",
            "Free some space there, or name another folder: TMPDIR=/path framestate ...",
        ) from None
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy


def _opened(path: Path) -> Any:
    if str(path) == _STANDARD:
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    return path.open("rb")
