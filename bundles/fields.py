"""Reading JSON that somebody else wrote: every field is there, is of its type, and nothing else is there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ..errors import BundleError

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None
"""What JSON can hold. Written with read-only containers, so that ``dict[str, float]`` counts as JSON too."""

MAX_DEPTH = 32


def plain_json(value: object, where: str) -> JSON:
    """A deep copy of ``value`` in dicts, lists, strings, finite numbers, booleans and ``None``.

    Tuples become lists, so a value that went to a file and back is equal to the one that stayed.

    Raises:
        BundleError: it holds something that JSON cannot (a NaN, an array, a key that is not a string), or is
            nested deeper than ``MAX_DEPTH``.
    """
    return _plain(value, where, 0)


def plain_table(value: object, where: str) -> dict[str, JSON]:
    """:func:`plain_json` of something that must be an object.

    Raises:
        BundleError: it is no mapping, or holds what JSON cannot.
    """
    if not isinstance(value, Mapping):
        raise _wrong_type(value, where, "an object")
    return {_key(key, where): _plain(item, short(f"{where}.{key}"), 1) for key, item in value.items()}


def _plain(value: object, where: str, depth: int) -> JSON:
    if depth > MAX_DEPTH:
        raise BundleError(f"{where} is nested more than {MAX_DEPTH} deep", "Flatten it.")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BundleError(f"{where} is {value}, which JSON cannot hold", "Store a finite number or null.")
        return float(value)
    if isinstance(value, Mapping):
        return {
            _key(key, where): _plain(item, short(f"{where}.{key}"), depth + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(item, short(f"{where}[{index}]"), depth + 1) for index, item in enumerate(value)]
    raise BundleError(
        f"{where} is a {type(value).__name__}, which JSON cannot hold",
        "Convert it to plain numbers, strings, lists and dicts first.",
    )


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise BundleError(f"{where} has the key {short(repr(key))}, no string", "Use strings as keys.")
    return _text(key, f"a key of {where}")


def _text(text: str, where: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BundleError(
            f"{where} is {short(repr(text))}, which is no Unicode text", "Remove the lone surrogate."
        ) from None
    return str(text)


def parse_json(text: bytes, where: str) -> JSON:
    """Parse strict JSON: UTF-8, no NaN, no key twice in one object, not nested too deep.

    Raises:
        BundleError: it is not that.
    """
    try:
        value: object = json.loads(
            text.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except RecursionError:
        raise BundleError(f"{where} is nested too deep to read", "Get an undamaged copy.") from None
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are both ValueErrors
        raise BundleError(f"{where} is not JSON ({short(str(error))})", "Get an undamaged copy.") from None
    return plain_json(value, where)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("an object holds the same key twice")
    return table


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


class Fields:
    """The fields of one JSON object, taken one by one; :meth:`done` makes sure that none is left over.

    Args:
        data: what should be the object.
        where: what it is called in errors, such as ``spec.functions['step']``.

    Raises:
        BundleError: ``data`` is no object. Every method raises it for a field that is missing or of another
            type.
    """

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise _wrong_type(data, where, "an object")
        self.where = short(where)
        self._data = data
        self._taken: set[object] = set()

    def names(self) -> list[str]:
        """The names of all fields, taken or not."""
        return [_key(key, self.where) for key in self._data]

    def value(self, key: str) -> JSON:
        """Whatever is called ``key``, as plain JSON."""
        return plain_json(self._take(key), f"{self.where}.{key}")

    def text(self, key: str) -> str:
        """The string called ``key``."""
        value = self._take(key)
        if not isinstance(value, str):
            raise _wrong_type(value, f"{self.where}.{key}", "a string")
        return value

    def integer(self, key: str, *, least: int = 0) -> int:
        """The integer called ``key``, at least ``least``."""
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(value, f"{self.where}.{key}", "an integer")
        if value < least:
            raise BundleError(f"{self.where}.{key} is {value}, below {least}", "Get an undamaged copy.")
        return value

    def array(self, key: str) -> list[object]:
        """The array called ``key``; its items are not yet checked."""
        value = self._take(key)
        if not isinstance(value, list | tuple):
            raise _wrong_type(value, f"{self.where}.{key}", "an array")
        return list(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """The array of strings called ``key``."""
        items = self.array(key)
        for index, item in enumerate(items):
            if not isinstance(item, str):
                raise _wrong_type(item, f"{self.where}.{key}[{index}]", "a string")
        return tuple(item for item in items if isinstance(item, str))

    def integers(self, key: str) -> tuple[int, ...]:
        """The array of integers called ``key``, each at least 0."""
        items = self.array(key)
        for index, item in enumerate(items):
            if isinstance(item, bool) or not isinstance(item, int) or item < 0:
                raise _wrong_type(item, f"{self.where}.{key}[{index}]", "an integer of at least 0")
        return tuple(item for item in items if isinstance(item, int))

    def table(self, key: str) -> dict[str, JSON]:
        """The object called ``key``, as plain JSON."""
        return plain_table(self._take(key), f"{self.where}.{key}")

    def done(self) -> None:
        """Say that every known field was taken.

        Raises:
            BundleError: a field is left that nobody asked for: a typing mistake must not pass as a default.
        """
        left = [key for key in self._data if key not in self._taken]
        if left:
            raise BundleError(
                f"{self.where} has the unknown field {short(repr(left[0]))}",
                "Remove it or correct its name.",
            )

    def _take(self, key: str) -> object:
        if key not in self._data:
            raise BundleError(f"{self.where} has no field {key!r}", "Add it, or get an undamaged copy.")
        self._taken.add(key)
        value: object = self._data[key]
        return value


def _wrong_type(value: object, where: str, wanted: str) -> BundleError:
    return BundleError(
        f"{where} is {short(repr(value))}, not {wanted}", "Correct it, or get an undamaged copy."
    )


def short(text: str, limit: int = 120) -> str:
    """``text``, cut to ``limit`` characters: a message must not carry a whole hostile file."""
    return text if len(text) <= limit else text[:limit] + "…"
