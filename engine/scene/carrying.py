"""All targets moved on to a frame, without the model: by their filters, the flow, and the camera's motion."""

from __future__ import annotations

import numpy as np

from ...vision import Box
from ..tracking import Belief, BoxFilter, nominal_steps
from .desk import Desk, boxes_of, spread
from .memory import Known
from .motion import Grey, Motion, Numbers, motion_between, warped

_LEAST_TRUST = 0.25
_REGAINED = 0.1  # trust that the flow gains a frame, until the target is seen again
_OUT = 0.3  # share of a box in the frame, below which its target has left


def carry(desk: Desk, grey: Grey) -> None:
    """Every target at the frame's time."""
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


def let_go(desk: Desk) -> None:
    """Targets that have left the frame are ended, or lost if pinned; not while a detector still sees them.

    Where detections come at every frame, one of an object on its way out may be missing.
    """
    frame, o = desk.frame, desk.options
    for one in list(desk.known.values()):
        inside = _shown(one.box, frame.width, frame.height)
        is_found = one.number in desk.detected or (inside > 0 and desk.seconds - one.detected < o.missed_for)
        if inside >= _OUT * one.box.area or is_found:
            continue
        if one.pinned:
            desk.change(one.number, status="lost")
        else:
            desk.end(one.number)


def _carry(desk: Desk, one: Known, motion: Motion, place: int, steps: float) -> None:
    belief = one.belief if motion.camera is None else _moved(one.belief, motion.camera)
    o, before, roamed = desk.options, one.box, one.roamed
    filter = BoxFilter.of(belief, o.filter)
    filter.predict(steps)
    trust = float(motion.trust[place]) * (1 - one.fault)
    if one.is_lost or trust < _LEAST_TRUST:
        filter.coast()
    else:
        (dx, dy), (cx, cy) = motion.moves[place].tolist(), before.centre
        moved = Box.from_centre(cx + dx, cy + dy, before.w, before.h)
        filter.update(moved, spread(moved, o.flow_place / trust, o.flow_size / trust))
        if not one.shown:  # what goes its own way is somebody, and no part of what is behind
            ax, ay = (cx, cy) if motion.camera is None else warped(motion.camera, cx, cy)
            extent = float(np.sqrt(before.area))
            roamed = roamed[0] + (cx + dx - ax) / extent, roamed[1] + (cy + dy - ay) / extent
    desk.change(
        one.number,
        belief=filter.belief,
        box=filter.box,
        trust=0.0 if one.is_lost else min(trust, one.trust + _REGAINED),
        carried=one.carried + 1,
        roamed=roamed,
        shown=one.shown or (o.camera and bool(np.hypot(*roamed) >= o.show_roamed > 0)),
    )


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
