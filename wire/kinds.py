"""The table of answer classes: each one's name on the wire, and how it is written there and read.

An answer is a JSON object of its own values, and parts beside it: pictures, and tensors too large for JSON. A
class that is not in the table is written by its fields, and read as ``Plain``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FramestateError, WireError
from ..vision import Box, Frame
from .answers import (
    SOURCES,
    STATUSES,
    Classification,
    Made,
    Output,
    Plain,
    SceneAnswer,
    Sighting,
    Timings,
    Track,
)
from .fields import a_box, a_number, an_integer, fail, one_of

INLINE = 1024
"""Numbers of a tensor that still goes as JSON."""
COMMON = ("frame_index", "dropped", "timings")
NOTHING = "none"
"""The kind of a frame that its task has nothing to say of."""
MICROSECONDS = Fraction(1, 1_000_000)

Tensor = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Written:
    """An answer as the wire has it.

    Attributes:
        kind: which class.
        values: its own values, as JSON.
        pictures, tensors: the parts, in this order.
    """

    kind: str
    values: dict[str, Any]
    pictures: tuple[Frame, ...] = ()
    tensors: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What came with an answer: its frame, and its parts."""

    index: int
    pictures: Sequence[Frame] = ()
    tensors: Sequence[Tensor] = ()
    dropped: int = 0
    timings: Timings = Timings()  # noqa: RUF009 - frozen, so may be shared


@dataclass(frozen=True, slots=True)
class Kind:
    """One class of answers."""

    name: str
    answer: type[Any]
    write: Callable[[Any], Written]
    read: Callable[[Mapping[str, Any], Parts], Any]


def write(answer: Any) -> Written:
    """An answer as the wire has it. Raises WireError for a class with a field that JSON cannot hold."""
    if answer is None:
        return Written(NOTHING, {})
    kind = _BY_CLASS.get(type(answer))
    if kind is not None:
        return kind.write(answer)
    values = {one.name: plain(getattr(answer, one.name)) for one in fields(answer) if one.name not in COMMON}
    return Written(type(answer).__name__, values)


def read(kind: str, values: Mapping[str, Any], parts: Parts) -> Any:
    """The answer that was written. Raises WireError where something is missing or of the wrong type."""
    if kind == NOTHING:
        return None
    known = KINDS.get(kind)
    if known is None:
        return Plain(kind, values, parts.index, parts.dropped, parts.timings)
    try:
        return known.read(values, parts)
    except WireError:
        raise
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        FramestateError,
    ) as error:
        raise WireError(
            f"an answer of kind {kind} cannot be read ({str(error)[:80]})", "use a server of the same version"
        ) from error


def plain(value: Any) -> Any:
    """Any value of an answer as JSON has it. Raises WireError where it cannot."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Box):
        return list(value.xywh)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Fraction):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    fail(f"a {type(value).__name__} cannot be sent", "answer with numbers, texts, arrays and dataclasses")


def packed(tensor: Tensor) -> bytes:
    """A tensor as a file of NumPy's."""
    file = io.BytesIO()
    np.save(file, tensor, allow_pickle=False)
    return file.getvalue()


def unpacked(data: bytes) -> Tensor:
    """The tensor of a file of NumPy's. Raises WireError."""
    try:
        tensor: Tensor = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        return tensor
    except (ValueError, EOFError, MemoryError, OverflowError) as error:
        raise WireError(f"a tensor cannot be read ({str(error)[:80]})", "send a whole .npy file") from error


def _write_track(track: Track) -> Written:
    score = min(1.0, max(0.0, track.score))
    return Written("track", {"box": list(track.box.xywh), "score": score, "status": track.status})


def _read_track(values: Mapping[str, Any], parts: Parts) -> Track:
    box = Box(*a_box("box", values["box"]))
    score = a_number(0, 1)("score", values["score"])
    status: Any = one_of(*STATUSES)("status", values["status"])
    return Track(box, score, status, parts.index, parts.dropped, parts.timings)


def _write_classification(one: Classification) -> Written:
    values = {
        "labels": list(one.labels), "smoothed": one.smoothed.tolist(), "frame": one.frame.tolist(),
        "seconds": one.seconds, "label": one.label, "probability": one.probability,
    }  # fmt: skip
    return Written("classification", values)


def _floats(values: Any) -> npt.NDArray[np.float32]:
    """Numbers as float32. Raises ValueError for what is none, or too large for one."""
    found = np.array(values, np.float64)
    if (np.abs(found) > np.finfo(np.float32).max).any():
        raise ValueError("a number is too large")
    return found.astype(np.float32)


def _read_classification(values: Mapping[str, Any], parts: Parts) -> Classification:
    return Classification(
        tuple(str(one) for one in values["labels"]),
        _floats(values["smoothed"]),
        _floats(values["frame"]),
        parts.index,
        float(values["seconds"]),
        parts.dropped,
        parts.timings,
    )


def _write_made(made: Made) -> Written:
    return Written("made", {}, made.frames)


def _read_made(values: Mapping[str, Any], parts: Parts) -> Made:
    return Made(parts.index, tuple(parts.pictures), parts.dropped, parts.timings)


def _write_output(output: Output) -> Written:
    """Pictures go as pictures, and their tensors stay where they are."""
    tensors = {name: value for name, value in output.tensors.items() if name not in output.pictures}
    large = {name: value for name, value in tensors.items() if value.size > INLINE}
    small = {
        name: {"dtype": str(value.dtype), "shape": list(value.shape), "data": value.ravel().tolist()}
        for name, value in tensors.items()
        if name not in large
    }
    pts = max(0, round(output.seconds / MICROSECONDS))
    pictures = [Frame(image, pts, MICROSECONDS, output.frame_index) for image in output.pictures.values()]
    values = {
        "seconds": output.seconds, "pictures": list(output.pictures), "tensors": list(large), "values": small
    }  # fmt: skip
    return Written("output", values, tuple(pictures), tuple(large.values()))


def _read_output(values: Mapping[str, Any], parts: Parts) -> Output:
    tensors = dict(zip(values["tensors"], parts.tensors, strict=True))
    for name, one in values["values"].items():
        tensors[name] = np.array(one["data"], one["dtype"]).reshape(one["shape"])
    shown = [frame.image for frame in parts.pictures]
    pictures = dict(zip(values["pictures"], shown, strict=True))
    return Output(tensors, pictures, parts.index, float(values["seconds"]), parts.dropped, parts.timings)


def _write_scene(scene: SceneAnswer) -> Written:
    values = scene.plain
    del values["frame"]  # the message has it
    return Written("scene", values)


def _read_scene(values: Mapping[str, Any], parts: Parts) -> SceneAnswer:
    def ids(name: str) -> tuple[int, ...]:
        return tuple(an_integer(1)(name, one) for one in values[name])

    def pairs(name: str) -> tuple[tuple[int, int], ...]:
        return tuple((an_integer(1)(name, one), an_integer(1)(name, other)) for one, other in values[name])

    return SceneAnswer(
        parts.index,
        float(values["seconds"]),
        tuple(_read_sighting(one) for one in values["targets"]),
        ids("lost"),
        ids("ended"),
        pairs("merged"),
        pairs("swapped"),
        ids("looked"),
        ids("skipped"),
        an_integer(0)("ignored", values["ignored"]),
        tuple((an_integer(1)("failed", one), str(why)) for one, why in values["failed"]),
        parts.dropped,
        parts.timings,
    )


def _read_sighting(values: Mapping[str, Any]) -> Sighting:
    status: Any = one_of(*STATUSES)("status", values["status"])
    return Sighting(
        an_integer(1)("id", values["id"]),
        Box(*a_box("box", values["box"])),
        a_number(0, 1)("score", values["score"]),
        status,
        str(values["label"]),
        one_of(*SOURCES)("source", values["source"]),
    )


_TABLE = (
    Kind("track", Track, _write_track, _read_track),
    Kind("classification", Classification, _write_classification, _read_classification),
    Kind("made", Made, _write_made, _read_made),
    Kind("output", Output, _write_output, _read_output),
    Kind("scene", SceneAnswer, _write_scene, _read_scene),
)
KINDS: Mapping[str, Kind] = MappingProxyType({one.name: one for one in _TABLE})
_BY_CLASS: Mapping[type[Any], Kind] = MappingProxyType({one.answer: one for one in _TABLE})
