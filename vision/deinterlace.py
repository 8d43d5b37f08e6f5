"""`Deinterlacer`: frames that are marked as interlaced, woven by FFmpeg's bwdif; a frame for a frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av.error
from av.filter import Graph


class Deinterlacer:
    """Frames in and the same number out, one later; those that are not interlaced stay as they are.

    Args:
        tick: seconds a tick of the frames' times.
    """

    def __init__(self, tick: Fraction) -> None:
        self._tick = tick
        self._graph: Any = None
        self._shape: tuple[int, int, str] | None = None

    def push(self, frame: Any) -> Iterator[Any]:
        """PyAV's decoded frame -> those that are ready; until the first interlaced one, itself."""
        if self._graph is None and not frame.interlaced_frame:
            yield frame
            return
        shape = frame.width, frame.height, frame.format.name
        if shape != self._shape:
            yield from self.flush()
            self._graph, self._shape = self._built(frame), shape
        self._graph.push(frame)
        yield from self._ready()

    def flush(self) -> Iterator[Any]:
        """What is still inside."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()
            self._graph = self._shape = None

    def _built(self, frame: Any) -> Any:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._tick
        )
        weave = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        source.link_to(weave)
        weave.link_to(graph.add("buffersink"))
        graph.configure()
        return graph

    def _ready(self) -> Iterator[Any]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            finer = frame.time_base / self._tick  # the filter counts half ticks
            frame.pts, frame.duration = round(frame.pts * finer), round(frame.duration * finer)
            frame.time_base = self._tick
            yield frame
