"""Whether what is followed is the target: rules on how it looks, beside how others look, and on its size."""

from __future__ import annotations

import math
from dataclasses import replace

from ...vision import Box
from .looks import OTHERS, Vectors
from .measurement import Measurement
from .memory import TargetMemory
from .options import TrackingOptions

EDGE = 2.0
"""Pixels from the frame's edge at which a box reaches it."""


class Comparing:
    """What is made of looks, by a tracker's thresholds; without a model that can tell looks, nothing.

    Args:
        options: the thresholds.
    """

    def __init__(self, options: TrackingOptions) -> None:
        self.options = options

    def wants_look(self, memory: TargetMemory, measured: Measurement) -> bool:
        """Whether what was measured is to be compared with how the target looks, before it is believed."""
        o = self.options
        if memory.looks is None or not o.look_every:
            return False
        if memory.elsewhere or memory.status == "lost":
            return measured.score >= (o.sweep_sure if memory.elsewhere else o.sure)
        pressing = memory.unconfirmed > 0 or memory.looks.doubtful
        return measured.score >= o.seen and (pressing or memory.looks.since + 1 >= o.look_every)

    def looked(
        self, memory: TargetMemory, measured: Measurement, look: Vectors | None
    ) -> tuple[TargetMemory, float | None]:
        """Takes a look (D,) at this frame's measurement in, or none; also its margin."""
        o, looks, margin = self.options, memory.looks, self.margin(memory, measured, look)
        if looks is None:
            return memory, None
        if margin is None or (memory.elsewhere and self.unlike(margin)):  # that was not what is followed
            return replace(memory, looks=replace(looks, since=looks.since + 1)), margin
        doubtful = margin < (max(o.look_least, o.look_again) if looks.doubtful else o.look_least)
        return replace(memory, looks=replace(looks, margin=margin, since=0, doubtful=doubtful)), margin

    def margin(self, memory: TargetMemory, measured: Measurement, look: Vectors | None) -> float | None:
        """How much more alike the target than anything else it looks; less for a found one of odd size."""
        if memory.looks is None or look is None:
            return None
        margin = memory.looks.margin_of(look)
        if memory.elsewhere or memory.unconfirmed or memory.status == "lost":
            margin -= self.options.look_size * _odd_size(memory, measured.box)
        return margin

    def learns_look(self, memory: TargetMemory) -> bool:
        """After ``observe``: whether what was looked at in this frame is sure to be the target."""
        o, looks = self.options, memory.looks
        alike = looks is not None and looks.margin >= o.look_sure
        return alike and memory.status == "tracking" and memory.score >= o.refresh_sure

    def learns_others(self, memory: TargetMemory) -> bool:
        """Whether others of this frame are to be looked at: at first each time, then at every third look."""
        if memory.looks is None or memory.status != "tracking" or not self.options.look_every:
            return False
        early = len(memory.looks.others) < OTHERS and memory.frames <= OTHERS // 2
        return early or memory.frames % (3 * self.options.look_every) == 0

    def contested(self, memory: TargetMemory) -> bool:
        """Whether what is followed may not be the target, so that this frame looks elsewhere, too."""
        every = self.options.rivals_every
        if not every or memory.looks is None or memory.status == "lost" or memory.frames % every:
            return False
        return memory.unconfirmed > 0 or memory.looks.doubtful

    def outdoes(self, memory: TargetMemory, box: Box, margin: float | None) -> bool:
        """Whether what is seen elsewhere may take the place of what is followed: clearly more alike."""
        if memory.looks is None or margin is None:
            return False
        o, (cx, cy), own = self.options, box.centre, memory.box
        itself = own.x <= cx <= own.x + own.w and own.y <= cy <= own.y + own.h
        return not itself and margin >= max(o.look_found, memory.looks.margin + o.rival_lead)

    def unlike(self, margin: float | None) -> bool:
        """Whether it was looked at, and looks like something else."""
        return margin is not None and margin < self.options.look_least

    def alike(self, margin: float | None) -> bool:
        """Whether it was looked at, and is the target beyond doubt."""
        return margin is not None and margin >= self.options.look_sure


def doubted(memory: TargetMemory) -> bool:
    """Whether what is followed looked like something else the last time."""
    return memory.looks is not None and memory.looks.doubtful


def is_cut(memory: TargetMemory, box: Box) -> bool:
    """Whether a box reaches the frame's edge, beyond which the target may go on."""
    width, height = memory.clock.width, memory.clock.height
    return min(box.x, box.y, width - box.x - box.w, height - box.y - box.h) < EDGE


def _odd_size(memory: TargetMemory, box: Box) -> float:
    """How often extent and shape doubled or halved from the usual ones; 0 for a box that the edge cuts."""
    if is_cut(memory, box):
        return 0.0
    w, h = memory.usual_size
    return abs(math.log2(box.w * box.h / (w * h))) + abs(math.log2(box.w * h / (box.h * w)))
