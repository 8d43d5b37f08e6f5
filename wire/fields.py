"""Checks of one value of a message: each takes its name and the value, and returns it or raises WireError."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from ..errors import WireError

Check = Callable[[str, Any], Any]
MAX_INTEGER = 2**53 - 1
"""Above this a number of JSON and JavaScript is no longer exact."""


def fail(problem: str, remedy: str) -> NoReturn:
    """Raises WireError."""
    raise WireError(problem, remedy)


def an_integer(low: int, high: int = MAX_INTEGER) -> Check:
    """A whole number in this range."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            fail(f"{name} is {_shown(value)}", f"give a whole number from {low} to {high}")
        return value

    return check


def a_number(low: float, high: float = 1e15) -> Check:
    """A finite number in this range."""

    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            fail(f"{name} is {_shown(value)}", f"give a number from {low:g} to {high:g}")
        return float(value)

    return check


def a_text(length: int) -> Check:
    """Text of 1 to ``length`` characters that UTF-8 can hold."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= length or not _is_utf8(value):
            fail(f"{name} is {_shown(value)}", f"give text of 1 to {length} characters")
        return value

    return check


def a_flag(name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        fail(f"{name} is {_shown(value)}", "give true or false")
    return value


def a_box(name: str, value: Any) -> tuple[float, float, float, float]:
    """Four finite numbers: x, y, and a width and a height above 0."""
    numbers = value if isinstance(value, list | tuple) else ()
    good = len(numbers) == 4 and all(
        isinstance(one, int | float) and not isinstance(one, bool) and -1e15 < one < 1e15 for one in numbers
    )
    if not good or numbers[2] <= 0 or numbers[3] <= 0:
        fail(f"{name} is {_shown(value)}", "give x, y, width and height in pixels, the last two above 0")
    x, y, w, h = (float(one) for one in numbers)
    return x, y, w, h


def a_table(name: str, value: Any) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) and _is_utf8(key) for key in value):
        fail(f"{name} is {_shown(value)}", "give a JSON object")
    return dict(value)


def one_of(*choices: str) -> Check:
    """One of these texts."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            fail(f"{name} is {_shown(value)}", f"use one of {', '.join(choices)}")
        return value

    return check


def optional(inner: Check) -> Check:
    """None, or what ``inner`` takes."""

    def check(name: str, value: Any) -> Any:
        return None if value is None else inner(name, value)

    return check


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _shown(value: Any) -> str:
    """A value for people, short, whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**40:
        return f"a number of {math.log10(abs(value)):.0f} digits"
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
