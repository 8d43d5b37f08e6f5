"""What a scene remembers: frozen values, all of which a snapshot holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from ...vision import Box
from ...wire import Status
from ..codec import Count, Real, Seconds, array
from ..inputs import Clock
from ..tracking import Belief
from .appearance import UNKNOWN, KeptLook
from .motion import Grey

Label = Annotated[str, Field(max_length=64)]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of one target.

    Attributes:
        number: its id, never given twice.
        belief: of its filter.
        box: where it is, in pixels.
        label: its class; empty where nobody said.
        score: how sure we are, in [0, 1].
        status: as sessions have it; while ``lost`` it is not shown.
        shown: whether it has been confirmed.
        session: the number of its session; 0: none yet.
        begun, seen, detected, looked, learnt: times, in seconds: of its first detection; last confirmed, by
            a detection or a look; last detected; last look of the model; last template.
        hits, misses: rounds of detections with it, and in a row without it.
        unsure: looks in a row that did not see it.
        trust: of the last flow, in [0, 1].
        fault: how wrong the flow has been of late, in [0, 1], by the detections that followed.
        carried: frames in a row that only the flow told of it.
        roamed: how far it went by itself, beside the camera, while not shown: in units of its size.
        looks: how often the model looked.
        look: what it looks like.
        pinned: whether a person put it there: only a person ends it.
        led: whether its session alone says where it is, at every frame: no detection has met it yet.
    """

    number: Count
    belief: Belief
    box: Box
    label: Label
    score: Real
    begun: Seconds
    seen: Seconds
    detected: Seconds
    looked: Seconds
    learnt: Seconds
    status: Status = "tracking"
    shown: bool = False
    hits: Count = 1
    misses: Count = 0
    unsure: Count = 0
    trust: Real = 1.0
    fault: Real = 0.0
    looks: Count = 0
    carried: Count = 0
    roamed: tuple[Real, Real] = (0.0, 0.0)
    look: KeptLook = field(default_factory=lambda: UNKNOWN)
    pinned: bool = False
    led: bool = False
    session: Count = 0

    @property
    def is_lost(self) -> bool:
        """Whether it is out of sight."""
        return self.status == "lost"


@dataclass(frozen=True, slots=True, eq=False)
class SceneMemory:
    """What a scene remembers between frames.

    Attributes:
        clock: at the last frame; None before the first.
        grey: the last frame, for motion.
        targets: in the order of their numbers.
        next_number: of the next target.
        met: pairs of numbers whose boxes met, and have not parted.
    """

    clock: Clock | None = None
    grey: Annotated[Grey, array("uint8", None, None)] = field(
        default_factory=lambda: np.zeros((0, 0), np.uint8)
    )
    targets: tuple[Known, ...] = ()
    next_number: Count = 1
    met: tuple[tuple[Count, Count], ...] = ()

    def with_target(self, known: Known) -> SceneMemory:
        """The same with another value of one target."""
        targets = tuple(known if one.number == known.number else one for one in self.targets)
        return replace(self, targets=targets)
