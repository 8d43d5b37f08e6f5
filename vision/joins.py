"""`Joins`: clocks that start again inside a file (joined streams, recorders that reset), put in a row.

FFmpeg hands out times as they stand in the file. Where those of the pictures jump back, another part begins:
it goes on one frame after the last, and whatever belongs to it (sound, subtitles) moves by the same time.
What is computed depends on the packets in file order alone, so that two readers of one file agree.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

_BACK = Fraction(1, 4)
"""Seconds. A smaller step back is disorder within a stream, and no new clock."""
_REORDERED = 16
"""Frames that a picture may be shown after those that follow it in the file, as in H.264 and H.265."""
LONG = Fraction(10)
"""Seconds between two pictures from which on a file is said to have a gap."""


class Joins:
    """The offsets of the parts of one file, found as its packets pass.

    Args:
        video: index of the stream of pictures.
        step: seconds a frame, for packets that do not say how long they last.
    """

    def __init__(self, video: int, step: Fraction) -> None:
        self.offsets = [Fraction(0)]
        """Seconds to add to the times of each part known so far."""
        self.jumps_back: list[Fraction] = []
        """When, on the continued clock, each part after the first begins."""
        self.gaps: list[tuple[Fraction, Fraction]] = []
        """Gaps longer than `LONG`: from when to when, on the continued clock."""
        self._video, self._step = video, step
        self._last: dict[int, Fraction] = {}  # stream -> the last time as it stands in the file
        self._shown: set[int] = set()  # streams whose last time is that of showing, which is out of order
        self._part: dict[int, int] = {}
        self._end: Fraction | None = None  # of the last picture, on the continued clock

    def part(self, packet: Any) -> int:
        """The part that a packet belongs to: its offset is known once `offsets` is that long."""
        stream = packet.stream_index
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            return self._part.get(stream, 0)
        seconds = stamp * packet.time_base
        back = _BACK
        if packet.dts is None or stream in self._shown:  # as of Matroska's first packets
            back += _REORDERED * self._step
        starts_again = stream in self._last and seconds < self._last[stream] - back
        self._last[stream] = seconds
        (self._shown.add if packet.dts is None else self._shown.discard)(stream)
        part = self._part.get(stream, 0) + starts_again
        if stream == self._video:
            self._show(seconds, packet, starts_again)
        elif (
            part < len(self.offsets) - 1
        ):  # rarely seen streams: with the pictures, unless those before fit better
            part = min(range(part, len(self.offsets)), key=lambda one: self._away(seconds, one))
        self._part[stream] = part
        return part

    def _show(self, seconds: Fraction, packet: Any, starts_again: bool) -> None:
        if starts_again and self._end is not None:
            self.offsets.append(self._end - seconds)
            late = (packet.pts - packet.dts) * packet.time_base if None not in (packet.pts, packet.dts) else 0
            self.jumps_back.append(self._end + late)
        shown = seconds + self.offsets[-1]
        if self._end is not None and shown - self._end > LONG:
            self.gaps.append((self._end, shown))
        length = packet.duration * packet.time_base if packet.duration else self._step
        self._end = max(self._end or shown, shown + length)

    def _away(self, seconds: Fraction, part: int) -> Fraction:
        return abs(seconds + self.offsets[part] - (self._end or Fraction(0)))
