"""What is remembered of one target on the host: a frozen value. The model's own state lives in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from ...vision import Box
from ...wire import Status
from ..codec import Count, Positive, Real, array, derived
from ..inputs import Clock
from .belief import Belief
from .looks import Looks

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class TargetMemory:
    """What is believed of a target.

    Attributes:
        clock: at the last frame.
        box: where it is, in pixels of the frame; while lost, where it was last believed.
        belief: of the filter.
        usual_size: slow mean of its size, in pixels; an occluder shrinks the box long before this.
        fill: colour (3,) of what lies outside the frame; None is black.
        frames: seen since the first one.
        unseen: frames in a row without an accepted measurement.
        unconfirmed: sure frames in a row that are still to come until a target that was lost is followed.
        since_refresh: frames since the template was renewed.
        status, score: as they were last told; the score is the model's own.
        candidate: seen once elsewhere in the frame while lost: looked at again.
        elsewhere: whether the look at this frame was not at where the target is believed.
        recent: the last boxes, oldest first, where the model is told them.
        first_view: the first template's pixels, kept small, where it gets refreshed.
        looks: how it and others look, where the model can tell.
        renew: whether the template is to be made anew where the next frame is expected to show it.
        first_row: what the model makes of them, once it is needed.
    """

    clock: Clock
    box: Box
    belief: Belief
    usual_size: tuple[Positive, Positive]
    fill: Annotated[Pixels, array("uint8", 3)] | None = None
    frames: Count = 0
    unseen: Count = 0
    unconfirmed: Count = 0
    since_refresh: Count = 0
    status: Status = "tracking"
    score: Real = 1.0
    candidate: Box | None = None
    elsewhere: bool = False
    recent: tuple[Box, ...] = ()
    first_view: Annotated[Pixels, array("uint8", None)] | None = None
    looks: Looks | None = None
    renew: bool = False
    first_row: Annotated[Any, derived()] = None

    def but(self, changes: Mapping[str, Any]) -> TargetMemory:
        """The same with other values: ``dataclasses.replace``, in a third of its time, twice a frame."""
        values = list(_values(self))
        for name, value in changes.items():
            values[_NAMES.index(name)] = value
        return TargetMemory(*values)


_NAMES = TargetMemory.__match_args__
_values = attrgetter(*_NAMES)
