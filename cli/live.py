"""``framestate track --live``: a camera, a stream or a file at its own speed; a JSON line a frame."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import ExitStack
from typing import TextIO

from ..errors import UnavailableError
from ..server.live import LiveReader, parse_source
from ..vision import Frame
from .follow import follower_of
from .followers import Detect
from .seen import Region

PATIENCE_S = 15.0
"""How long the first frame may take, and any later one of a source that is away."""
MAX_PIXELS = 64_000_000


class Newest:
    """The newest frame, handed from the reader's thread to whoever takes it."""

    def __init__(self) -> None:
        self._there = threading.Condition()
        self._frame: Frame | None = None
        self._skipped = 0

    def put(self, frame: Frame) -> None:
        """A frame; one that nobody took goes."""
        with self._there:
            self._skipped += self._frame is not None
            self._frame = frame
            self._there.notify()

    def take(self, seconds: float) -> tuple[Frame, int] | None:
        """The newest frame, and how many went before it; None when none comes in time."""
        with self._there:
            if not self._there.wait_for(lambda: self._frame is not None, seconds):
                return None
            frame, skipped = self._frame, self._skipped
            self._frame, self._skipped = None, 0
            assert frame is not None, "it was waited for"
            return frame, skipped


def address_of(where: str) -> str:
    """A camera's number as its device; anything else as it is."""
    return f"/dev/video{where}" if where.isdecimal() else where


def follow_live(
    where: str,
    regions: list[Region],
    model: str,
    detect: Detect | None,
    *,
    runtime: str,
    device: str,
    threads: int | None,
    precision: str | None = None,
    seconds: float | None,
    out: TextIO | None = None,
) -> int:
    """Follows targets until the source has been away too long, ``seconds`` have passed, or it is interrupted.

    Args:
        where: a camera's number, or an address or a file as ``framestate serve --source`` takes it.
        regions: boxes in the first frame, or at a time counted from it.
        model, runtime, device, threads, precision: of the tracker.
        detect: what finds targets.
        seconds: of the source; None: for ever.
        out: where the lines go; None is stdout.

    Returns the number of frames. Raises UnavailableError: nothing comes.
    """
    address = parse_source(f"live={address_of(where)}")
    newest, lines = Newest(), out or sys.stdout
    reader = LiveReader(address, newest.put, MAX_PIXELS)
    count = 0
    with ExitStack() as stack:
        _, follower = follower_of(
            stack, model, regions, detect,
            runtime=runtime, device=device, threads=threads, precision=precision,
        )  # fmt: skip
        reader.start()
        stack.callback(reader.stop)
        first: float | None = None
        while True:
            taken = newest.take(PATIENCE_S)
            if taken is None:
                why = reader.problem or reader.state
                raise UnavailableError(f"nothing comes from {where} ({why})", "check the source")
            frame, skipped = taken
            first = frame.seconds if first is None else first
            if seconds is not None and frame.seconds - first >= seconds:
                return count
            began = time.perf_counter()
            frame = Frame(
                frame.image, frame.pts - round(first / frame.time_base), frame.time_base, frame.index
            )
            ((_, seen, lost),) = follower(frame)
            line = {
                "frame": frame.index,
                "seconds": round(frame.seconds, 3),
                "skipped": skipped,
                "work_ms": round(1e3 * (time.perf_counter() - began), 2),
                "targets": [
                    {"target": one.target, "box": [round(value, 3) for value in one.box.xywh],
                     "score": round(one.score, 4), "status": one.status, "label": one.label}
                    for one in seen
                ],
                "lost": lost,
            }  # fmt: skip
            lines.write(json.dumps(line) + "\n")
            lines.flush()
            count += 1
