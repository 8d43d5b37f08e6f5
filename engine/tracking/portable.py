"""A target's memory as plain JSON and arrays, and back: the part of a snapshot that no runtime knows of.

Everything that comes back is checked before anything is built from it: a snapshot may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, get_args

import numpy as np

from ...errors import BoxError, StateError
from ...runtimes import Arrays
from ...vision import Box
from ..inputs import Clock
from ..track import Status
from .options import TrackingOptions
from .target import TargetMemory

FILTER, FILL, FIRST = "filter.", "fill", "first"
_MOST = 2**62  # counters and ticks stay below this
_FARTHEST = 1e6  # pixels
_REMEDY = "take the snapshot again, or get an undamaged copy of it"


def pack_memory(memory: TargetMemory) -> tuple[dict[str, Any], Arrays]:
    """The memory as a JSON object and arrays by name; what the options say is not in it."""
    clock, box = memory.clock, memory.box
    values = {
        "frame_size": list(memory.frame_size),
        "clock": [clock.pts, clock.time_base.numerator, clock.time_base.denominator, clock.index],
        "box": [float(value) for value in box.xywh],
        "frames": memory.frames,
        "unseen": memory.unseen,
        "status": memory.status,
        "score": float(memory.score),
        "since_refresh": memory.since_refresh,
        "usual_size": [float(side) for side in memory.usual_size],
    }
    if memory.candidate is not None:
        values["candidate"] = [float(value) for value in memory.candidate.xywh]
    if memory.recent:
        values["recent"] = [float(value) for box in memory.recent for value in box.xywh]
    arrays: Arrays = {FILTER + name: array for name, array in memory.filter.state_dict().items()}
    if memory.fill is not None:
        arrays[FILL] = memory.fill
    if memory.first_view is not None:
        arrays[FIRST] = memory.first_view
    return values, arrays


def unpack_memory(
    values: Mapping[str, Any], arrays: Arrays, options: TrackingOptions, history: int = 0
) -> TargetMemory:
    """The memory that ``pack_memory`` took apart, under these options. The caller checks ``first_view``.

    ``history`` is how many recent boxes the model is told.

    Raises:
        StateError: a value is missing, unknown, of the wrong type or out of range.
    """
    known = {
        "frame_size",
        "clock",
        "box",
        "frames",
        "unseen",
        "status",
        "score",
        "since_refresh",
        "usual_size",
    } | ({"recent"} if history else set())
    if set(values) - {"candidate"} != known:
        raise StateError(f"a target's memory holds {sorted(values)}, not {sorted(known)}", _REMEDY)
    width, height = whole(values["frame_size"], "frame_size", 2, least=1, most=2**24)
    pts, numerator, denominator, index = whole(values["clock"], "clock", 4)
    if not numerator or not denominator:
        raise StateError(f"a tick of {numerator}/{denominator} seconds is impossible", _REMEDY)
    try:
        x, y, w, h = reals(values["box"], "box", 4)
        clock = Clock(pts, Fraction(numerator, denominator), index, width, height)
        memory = TargetMemory(clock, Box(x, y, w, h), options, _fill(arrays), history)
    except BoxError as error:
        raise StateError(error.problem, _REMEDY) from error
    memory.filter.load_state_dict(
        {name.removeprefix(FILTER): array for name, array in arrays.items() if name.startswith(FILTER)}
    )
    memory.frames, memory.unseen, memory.since_refresh = whole(
        [values[key] for key in ("frames", "unseen", "since_refresh")], "counters", 3
    )
    if values["status"] not in get_args(Status):
        raise StateError(f"{values['status']!r} is no status", f"known: {', '.join(get_args(Status))}")
    memory.status = values["status"]
    (memory.score,) = reals([values["score"]], "score", 1)
    usual_w, usual_h = reals(values["usual_size"], "usual_size", 2)
    if usual_w <= 0 or usual_h <= 0:
        raise StateError(f"usual_size is {usual_w:g}, {usual_h:g}, and both must be above 0", _REMEDY)
    memory.usual_size = (usual_w, usual_h)
    if "candidate" in values:
        cx, cy, cw, ch = reals(values["candidate"], "candidate", 4)
        if cw <= 0 or ch <= 0:
            raise StateError(f"candidate is {cw:g} x {ch:g}, and both must be above 0", _REMEDY)
        memory.candidate = Box(cx, cy, cw, ch)
    if history:
        recent = reals(values["recent"], "recent", 4 * history)
        memory.recent = tuple(Box(*recent[place : place + 4]) for place in range(0, 4 * history, 4))
    memory.first_view, memory.taken_up = arrays.get(FIRST), True
    odd = [name for name in arrays if name not in (FILL, FIRST) and not name.startswith(FILTER)]
    if odd:
        raise StateError(f"a target's memory holds the unknown array {odd[0]!r}", _REMEDY)
    return memory


def whole(items: Any, what: str, count: int, *, least: int = 0, most: int = _MOST) -> list[int]:
    """``count`` integers within bounds. Raises StateError."""
    if not (isinstance(items, list) and len(items) == count):
        raise StateError(f"{what} is not {count} integers", _REMEDY)
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int) or not least <= item <= most:
            raise StateError(f"{what} holds {str(item)[:40]}, no integer from {least} to {most}", _REMEDY)
    return items


def reals(items: Any, what: str, count: int) -> list[float]:
    """``count`` finite numbers, none beyond a million. Raises StateError."""
    if not (isinstance(items, list) and len(items) == count):
        raise StateError(f"{what} is not {count} numbers", _REMEDY)
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | float) or not abs(item) <= _FARTHEST:
            raise StateError(f"{what} holds {str(item)[:40]}, no number up to {_FARTHEST:g}", _REMEDY)
    return [float(item) for item in items]


def _fill(arrays: Arrays) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    fill = arrays.get(FILL)
    if fill is not None and (fill.shape != (3,) or fill.dtype != np.uint8):
        raise StateError(f"fill is {fill.dtype} {fill.shape}, not a colour: uint8 (3,)", _REMEDY)
    return fill
