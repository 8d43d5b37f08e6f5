"""Frozen dataclasses ↔ JSON and arrays, each field checked: what snapshots are made of.

Fields are read by pydantic, strictly, by the types that they are annotated with. Arrays leave their place in
the JSON and go into a table by number; ``array`` says which dtype and shape is expected back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from pydantic import Field, SerializationInfo, TypeAdapter, ValidationError
from pydantic import ValidationInfo as Info
from pydantic_core import core_schema

from ..bundles import TensorSpec
from ..errors import FrameError, FramestateError, StateError
from ..runtimes import Arrays
from ..vision import Frame

DAMAGED = "take the snapshot again, or get an undamaged copy of it"

Value = TypeVar("Value")

Count = Annotated[int, Field(ge=0, lt=2**62)]
"""A counter, or ticks."""
Side = Annotated[int, Field(ge=1, lt=2**31)]
"""Of a frame, in pixels."""
Seconds = Annotated[float, Field(ge=0, le=1e12)]
"""A time, or how long something takes."""
Real = Annotated[float, Field(ge=-1e6, le=1e6)]
"""A finite number, none beyond a million."""
Positive = Annotated[float, Field(gt=0, le=1e6)]
"""A finite number above 0."""


def derived() -> Any:
    """A field that is computed again: no snapshot holds it, and it comes back as its default."""
    return Field(exclude=True)


def array(dtype: str, *shape: int | None) -> Any:
    """For ``Annotated[npt.NDArray[...], array(dtype, *shape)]``; None is any length of an axis."""

    def read(value: Any, info: Info) -> Any:
        found = _taken(value, info)
        fits = len(found.shape) == len(shape) and all(
            want in (None, have) for want, have in zip(shape, found.shape, strict=True)
        )
        if found.dtype != dtype or not fits:
            expected = " x ".join("any" if one is None else str(one) for one in shape)
            raise ValueError(f"it is {found.dtype} {found.shape}, not {dtype} ({expected})")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise ValueError("it holds a number that is not finite")
        return found

    return _Both(read, _put)


def table() -> Any:
    """For ``Annotated[dict[str, Any], table()]``: host arrays of any kind, by name."""

    def read(value: Any, info: Info) -> Any:
        if not isinstance(value, dict):
            raise ValueError("it is no table of arrays")
        return {str(name): _taken(one, info) for name, one in value.items()}

    def write(value: Mapping[str, Any], info: SerializationInfo) -> Any:
        return {name: _put(np.asarray(one), info) for name, one in value.items()}

    return _Both(read, write)


def grouped(apart: Callable[[Any], Any], whole: Callable[..., Any], *kinds: tuple[str, int]) -> Any:
    """For values that are a few finite arrays: how they come apart and together, each one's dtype, axes."""

    def read(value: Any, info: Info) -> Any:
        if not isinstance(value, list) or len(value) != len(kinds):
            raise ValueError(f"it is not {len(kinds)} arrays")
        found = [_taken(one, info) for one in value]
        for one, (dtype, axes) in zip(found, kinds, strict=True):
            if one.dtype != dtype or one.ndim != axes or not np.isfinite(one).all():
                raise ValueError(f"it is {one.dtype} {one.shape}, not {dtype} of {axes} axes, all finite")
        if len({one.shape for one in found}) > 1:
            raise ValueError("its arrays are of different shapes")
        return whole(*found)

    def write(value: Any, info: SerializationInfo) -> Any:
        return [_put(one, info) for one in apart(value)]

    return _Both(read, write)


def _read_fraction(value: Any, info: Info) -> Fraction:
    whole = isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value)
    if not whole or not (0 < value[1] < 2**62 and 0 < value[0] < 2**62):
        raise ValueError(f"{str(value)[:40]} is no fraction above 0")
    return Fraction(*value)


def _write_fraction(value: Fraction, info: SerializationInfo) -> list[int]:
    return [value.numerator, value.denominator]


def _read_frame(value: Any, info: Info) -> Frame:
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError("it is no frame")
    image, pts, tick, index = value
    try:
        return Frame(_taken(image, info), pts, _read_fraction(tick, info), index)
    except FrameError as error:
        raise ValueError(error.problem) from error


def _write_frame(frame: Frame, info: SerializationInfo) -> list[Any]:
    return [_put(frame.image, info), frame.pts, _write_fraction(frame.time_base, info), frame.index]


class _Both:
    """How a field is read and written, for pydantic."""

    def __init__(self, read: Callable[[Any, Info], Any], write: Callable[[Any, Any], Any]) -> None:
        self._read, self._write = read, write

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._read,
            serialization=core_schema.plain_serializer_function_ser_schema(self._write, info_arg=True),
        )


Ratio = Annotated[Fraction, _Both(_read_fraction, _write_fraction)]
"""An exact number above 0."""
KeptFrame = Annotated[Frame, _Both(_read_frame, _write_frame)]
"""A frame with its pixels."""


class Codec(Generic[Value]):
    """One class as JSON and arrays, and back."""

    def __init__(self, kind: type[Value]) -> None:
        self._adapter: TypeAdapter[Value] = adapter_of(kind)  # type: ignore[arg-type]

    def write(self, value: Value) -> tuple[Any, Arrays]:
        """A value as plain JSON, and the arrays that belong to it."""
        arrays: Arrays = {}
        return self._adapter.dump_python(value, mode="json", context=arrays), arrays

    def read(self, plain: Any, arrays: Arrays) -> Value:
        """What ``write`` gave, checked: all of it and nothing else.

        Raises:
            StateError: a value is missing, unknown, of the wrong type or out of range.
        """
        left = dict(arrays)
        try:
            text = json.dumps(plain, allow_nan=False)
            value = self._adapter.validate_json(text, strict=True, context=left)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "it"
            raise StateError(
                f"{where} of the memory cannot be used ({first['msg'][:120]})", DAMAGED
            ) from error
        except FramestateError as error:
            raise StateError(f"the memory cannot be used ({error.problem[:200]})", DAMAGED) from error
        except (ValueError, TypeError, RecursionError) as error:
            raise StateError(f"the memory cannot be used ({str(error)[:120]})", DAMAGED) from error
        if left:
            raise StateError(f"the memory holds the unknown array {next(iter(left))[:64]!r}", DAMAGED)
        if self.write(value)[0] != plain:
            raise StateError(
                "the memory holds a value that is unknown, or not written as it should be", DAMAGED
            )
        return value


def check_state(found: Mapping[str, Any], expected: Sequence[TensorSpec]) -> None:
    """Raises StateError unless a table of a snapshot is just these tensors, a batch of one, all finite.

    Axes that depend on the size of the frames may be of any length.
    """
    if set(found) != {one.name for one in expected}:
        raise StateError(f"the snapshot holds {sorted(found)}, not {[one.name for one in expected]}", DAMAGED)
    for one in expected:
        array, shape = found[one.name], (1, *one.shape[1:])
        fits = array.dtype == one.dtype and len(array.shape) == len(shape)
        fits = fits and all(
            have == want if isinstance(want, int) else have > 0
            for have, want in zip(array.shape, shape, strict=True)
        )
        if not fits or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            raise StateError(
                f"{one.name!r} is {array.dtype} {array.shape}, not finite {one.dtype} {shape}",
                DAMAGED,
            )


@cache
def adapter_of(kind: type[Any]) -> TypeAdapter[Any]:
    """What reads and writes a class; made once for each."""
    return TypeAdapter(kind)


def _taken(value: Any, info: Info) -> Any:
    arrays: Arrays = info.context or {}
    if not isinstance(value, str) or value not in arrays:
        raise ValueError(f"{str(value)[:40]!r} names no array")
    return arrays.pop(value)


def _put(value: Any, info: SerializationInfo) -> str:
    arrays: Arrays = info.context  # type: ignore[assignment]
    name = str(len(arrays))
    arrays[name] = value
    return name
