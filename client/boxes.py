"""Boxes as the client takes them, and as it sends them."""

from __future__ import annotations

from collections.abc import Sequence

from ..vision import Box
from ..wire.fields import a_box

BoxLike = Box | Sequence[float]
"""x, y, width, height in pixels."""
Four = tuple[float, float, float, float]


def numbers_of(box: BoxLike) -> Four:
    """Four numbers. Raises WireError."""
    numbers: Four = a_box("box", box.xywh if isinstance(box, Box) else tuple(box))
    return numbers


def text_of(box: BoxLike) -> str:
    """As a query has it: exact, without exponents, where numbers are neither tiny nor huge."""
    return ",".join(_decimal(number) for number in numbers_of(box))


def _decimal(number: float) -> str:
    exact = repr(number)
    return f"{number:.12f}".rstrip("0").rstrip(".") if "e" in exact else exact
