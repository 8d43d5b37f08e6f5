"""Zones: areas of the picture that a session watches, given as polygons in its options"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ..errors import OptionError
from ..vision import Box

Zones = Mapping[str, tuple[tuple[float, float], ...]]
OPTION = "zones"
MOST_ZONES, MOST_POINTS, FAR = 16, 64, 1e6
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REMEDY = 'give them as {"zones": {"door": [[0, 0], [80, 0], [80, 60]]}}: three points or more, in pixels'


def split_zones(options: Mapping[str, Any]) -> tuple[dict[str, Any], Zones]:
    """Options of a task, and the zones that stood among them. Raises OptionError."""
    rest = dict(options)
    return rest, zones_in(rest.pop(OPTION, {}))


def zones_in(given: Any) -> Zones:
    """Zones as JSON has them. Raises OptionError."""
    if not isinstance(given, Mapping) or len(given) > MOST_ZONES:
        raise OptionError(f"the zones are no object of at most {MOST_ZONES} polygons", _REMEDY)
    return {_named(name): _polygon(name, points) for name, points in given.items()}


def _named(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise OptionError(f"a zone cannot be called {str(name)[:80]!r}", "use letters, digits, - and _")
    return name


def _polygon(name: str, points: Any) -> tuple[tuple[float, float], ...]:
    if not isinstance(points, list | tuple) or not 3 <= len(points) <= MOST_POINTS:
        raise OptionError(f"the zone {name!r} has not between 3 and {MOST_POINTS} points", _REMEDY)
    corners = []
    for point in points:
        pair = point if isinstance(point, list | tuple) and len(point) == 2 else ()
        numbers = [float(one) for one in pair if isinstance(one, int | float) and not isinstance(one, bool)]
        if len(numbers) != 2 or not all(math.isfinite(one) and abs(one) <= FAR for one in numbers):
            raise OptionError(f"the zone {name!r} has the point {str(point)[:60]}", _REMEDY)
        corners.append((numbers[0], numbers[1]))
    area = sum(x * v - u * y for (x, y), (u, v) in zip(corners, corners[1:] + corners[:1], strict=True))
    if area == 0:
        raise OptionError(f"the zone {name!r} has no area", _REMEDY)
    return tuple(corners)


def is_inside(box: Box, polygon: tuple[tuple[float, float], ...]) -> bool:
    """Whether the middle of a box lies in a polygon (even-odd rule)."""
    x, y = box.x + box.w / 2, box.y + box.h / 2
    inside = False
    for (ax, ay), (bx, by) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            inside = not inside
    return inside
