"""Containers that count time coarsely: what their clocks are, and palettes for those that ask for one."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import av
from av.filter import Graph

from .encoders import counts_frames

_GIF = Fraction(1, 100)
_STEADY = 20  # frames a second from which on they are taken to be evenly spread


def coarsest(form: str, codec: str, rate: Fraction, tick: Fraction) -> tuple[Fraction, int]:
    """The clock of a container's format and an encoder, for frames at ``rate`` that count in ``tick``.

    GIF counts hundredths of a second, and players show nothing for less than two of them. AVI has one rate,
    in which it counts frames: that of the frames, or a multiple of a slow one, whose times are rarely even.
    So do encoders of MPEG-1 and MPEG-2.

    Returns:
        Seconds a tick, and the fewest ticks between two frames.
    """
    if form == "gif":
        return _GIF, 2
    if form == "avi" or counts_frames(codec, tick):
        return 1 / (rate * max(1, math.ceil(_STEADY / rate))), 1
    return tick, 1


class Palette:
    """Frames with a palette of their own each, chosen for it and dithered, as GIF needs; one in, one out."""

    def __init__(self, width: int, height: int) -> None:
        graph = Graph()
        source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=_GIF)
        split, chosen = graph.add("split"), graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        used, sink = graph.add("paletteuse", "new=1:dither=sierra2_4a"), graph.add("buffersink")
        source.link_to(split)
        split.link_to(chosen, 0, 0)
        split.link_to(used, 1, 0)
        chosen.link_to(used, 0, 1)
        used.link_to(sink)
        graph.configure()
        self._graph: Any = graph

    def of(self, frame: Any) -> Any:
        """PyAV's frame in rgb24 -> in pal8, at the same time."""
        self._graph.push(frame)
        return self._graph.pull()
