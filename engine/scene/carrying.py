"""All targets moved on to a frame, without the model: by their filters, the flow, and the camera's motion."""

from __future__ import annotations

import numpy as np

from ...vision import Box
from ..tracking import Belief, BoxFilter, nominal_steps
from .desk import Desk, boxes_of, spread
from .memory import Known
from .motion import Grey, Motion, Numbers, motion_between, warped

_PLACE, _SIZE = 0.02, 0.06  # deviations of a flow that is wholly trusted, as shares of the target's size
_LEAST_TRUST = 0.25
_OUT = 0.3  # share of a box in the frame, below which its target has left


def carry(desk: Desk, grey: Grey) -> None:
    """Every target at the frame's time; those that have left the frame are ended."""
    clock, options, frame = desk.memory.clock, desk.options, desk.frame
    targets = list(desk.known.values())
    if clock is None or not targets:
        return
    steps = nominal_steps(frame.seconds - clock.seconds, options.reference_rate)
    here = boxes_of(targets)
    expected = np.array([BoxFilter.of(one.belief, options.filter).velocity[:2] for one in targets]) * steps
    motion = motion_between(
        desk.memory.grey, grey, frame.width, here, expected, options.flow_points, options.camera
    )
    for place, one in enumerate(targets):
        _carry(desk, one, motion, place, steps)
    for one in targets:
        box = desk.known[one.number].box
        if _shown(box, frame.width, frame.height) < _OUT * box.area:
            desk.end(one.number)


def _carry(desk: Desk, one: Known, motion: Motion, place: int, steps: float) -> None:
    belief = one.belief if motion.camera is None else _moved(one.belief, motion.camera)
    filter, before = BoxFilter.of(belief, desk.options.filter), one.box
    filter.predict(steps)
    trust = float(motion.trust[place])
    if one.is_lost or trust < _LEAST_TRUST:
        filter.coast()
    else:
        (dx, dy), (cx, cy) = motion.moves[place].tolist(), before.centre
        growth = float(motion.growth[place])
        moved = Box.from_centre(cx + dx, cy + dy, before.w * growth, before.h * growth)
        filter.update(moved, spread(moved, _PLACE / trust, _SIZE / trust))
    desk.change(one.number, belief=filter.belief, box=filter.box, trust=0.0 if one.is_lost else trust)


def _moved(belief: Belief, camera: Numbers) -> Belief:
    """The belief where the camera's motion takes it; velocities are beside it."""
    cx, cy, w, h = belief.axes
    x, y = warped(camera, cx.value, cy.value)
    ax, ay = warped(camera, belief.anchor[0], belief.anchor[1])
    return Belief(
        (cx._replace(value=x), cy._replace(value=y), w, h), (ax, ay, *belief.anchor[2:]), belief.missed
    )


def _shown(box: Box, width: int, height: int) -> float:
    """Square pixels of a box in the frame."""
    return box.intersection(Box(0.0, 0.0, width, height))
