"""What is remembered of an interpolated video: its last frame, how things moved, what is still to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from ...vision.motion import PairFlow
from ..codec import Count, KeptFrame, Ratio, derived, grouped, table
from .options import InterpolationOptions
from .timeline import Source, Timeline


def _apart(flow: PairFlow) -> list[Any]:
    """Its arrays, (height, width, 2) each."""
    return [flow.forth, flow.back, *(one.transpose(1, 2, 0) for one in np.split(flow.middle, 2))]


def _whole(forth: Any, back: Any, *middle: Any) -> PairFlow:
    return PairFlow(forth, back, np.concatenate([one.transpose(2, 0, 1) for one in middle]))


KeptFlow = Annotated[PairFlow, grouped(_apart, _whole, *[("float32", 3)] * 4)]
Kind = Literal["between", "still", "alike", "apart"]
"""What lies between two frames: frames to be made; the same picture, bit for bit or apart from what a codec
does; two scenes, or too long a time."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a session has done so far.

    Attributes:
        frames_in, frames_out: pushed, and handed back.
        made: of the latter, those that the model made; all others are pushed frames, bit for bit, or mixed of
            two that show the same.
        scene_cuts, duplicates, pauses: pairs between which the model made nothing, and why: another scene;
            the same picture; too long apart.
    """

    frames_in: Count = 0
    frames_out: Count = 0
    made: Count = 0
    scene_cuts: Count = 0
    duplicates: Count = 0
    pauses: Count = 0


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame, and what was computed of it.

    Attributes:
        frame: as it was pushed.
        number: of the frame in its video, from 0.
        sketch: what cuts are found by.
        encoded, guides: what the model and the flow take it for, once they were needed.
    """

    frame: KeptFrame
    number: Count
    sketch: Annotated[Any, derived()] = None
    encoded: Annotated[Any, derived()] = None
    guides: Annotated[Any, derived()] = None

    @property
    def source(self) -> Source:
        """Its place."""
        return Source(self.number, self.frame.pts)


class Timed(NamedTuple):
    """The flows of a pair, of each tile or of the small frame, and how long it lasts in seconds."""

    flows: tuple[KeptFlow, ...]
    duration: Ratio

    def beside(self, duration: Fraction) -> tuple[Sequence[PairFlow], float]:
        """The flows, and how often this pair fits in another one's ``duration``."""
        return self.flows, float(duration / self.duration)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two neighbouring frames, the first of which has been shown.

    Attributes:
        first: the earlier one; the later one is the session's last.
        following: the number of the first output after ``first``.
        kind: what lies between them.
        flows: of the pair, where frames are to be made.
        before: the flows of the pair before it, where frames were made in that.
    """

    first: Seen
    following: Count
    kind: Kind
    timed: Timed | None = None
    before: Timed | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VideoMemory:
    """What a session knows of its video.

    Attributes:
        options: what is to be made.
        start: pts of the first frame.
        last: the last frame; None before the first.
        before: pts of the frame before it.
        counts: what was done; outputs of a pair that waits are counted already.
        link: the flows of the last pair, where frames were made in it.
        motion: its motion, for models that carry it: a table a tile, on the host in a snapshot.
        waiting: the last pair, where the session looks ahead and has not shown it.
        sized: the model over frames of this size.
    """

    options: InterpolationOptions
    start: Count = 0
    last: Seen | None = None
    before: Count | None = None
    counts: Counts = Counts()
    link: Timed | None = None
    motion: tuple[Annotated[Mapping[str, Any], table()], ...] | None = None
    waiting: Pair | None = None
    sized: Annotated[Any, derived()] = None

    @property
    def timeline(self) -> Timeline:
        """Of the video, which has begun."""
        assert self.last is not None, "it begins with the first frame"
        return Timeline(self.options, self.start, self.last.frame.time_base)

    @property
    def scale(self) -> float | None:
        """At which share of the frame's size motion is estimated; None before the first frame."""
        return None if self.sized is None else float(self.sized.scale)

    @property
    def num_tiles(self) -> int | None:
        """In how many tiles a frame goes through the model; None before the first frame."""
        return None if self.sized is None else len(self.sized.tiles)

    @property
    def ends(self) -> Fraction | None:
        """When the last frame goes, in seconds of the output, if it stays as long as the one before did."""
        if self.last is None or self.before is None:
            return None
        tick, start = self.last.frame.time_base, self.start * self.last.frame.time_base
        end = (2 * self.last.frame.pts - self.before) * tick
        return start + self.options.slow_motion * (end - start)
