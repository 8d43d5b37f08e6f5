"""Answers on the wire: ours and anybody's come back the same, and other values are a WireError."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate.errors import WireError
from framestate.vision import Box, Frame
from framestate.wire import (
    Classification,
    Made,
    Output,
    Plain,
    SceneAnswer,
    Sighting,
    Timings,
    Track,
    format,
    kinds,
    messages,
)
from framestate.wire.format import decode_message, encode_message
from hypothesis import given
from hypothesis import strategies as st

from .anything import JSON, check_text

TIMES = Timings(1.5, 2.5, 3.5, 4.5, 5.5)
IMAGE: Any = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@dataclasses.dataclass(frozen=True)
class Mine:
    """An answer of a task of somebody's own."""

    level: float
    where: Box
    series: Any
    inner: Timings
    frame_index: int


ANSWERS = [
    Track(Box(1.5, -2.0, 3.25, 4.0), 0.25, "lost", 7, 2, TIMES),
    Classification(
        ("cat", "dog"), np.array([0.1, 0.9], np.float32), np.array([1 / 3, 2 / 3], np.float32),
        7, 0.28, 2, TIMES,
    ),
    SceneAnswer(
        7, 0.28,
        (
            Sighting(1, Box(1.5, -2.0, 3.25, 4.0), 0.25, "uncertain", "", "carried"),
            Sighting(9, Box(5, 6, 7, 8), 1.0, "tracking", "fish", "detected"),
        ),
        (2, 3), (4,), ((4, 9),), ((1, 9),), (9,), (1,), 5, ((9, "no slot"),), 2, TIMES,
    ),
    Made(7, (Frame(IMAGE, 3, Fraction(1, 50), 9), Frame(IMAGE[::-1], 4, Fraction(1, 50), 10)), 2, TIMES),
    Output(
        {
            "shown": np.zeros((3, 4, 6), np.float32),
            "level": np.array([1 / 3, 2], np.float32),
            "large": np.arange(4096, dtype=np.int64).reshape(64, 64),
        },
        {"shown": IMAGE},
        7, 0.28, 2, TIMES,
    ),
]  # fmt: skip


def across(answer: Any) -> Any:
    """An answer through bytes and back."""
    written = kinds.write(answer)
    message = messages.Answer(7, written.kind, written.values, dropped=2, timings=TIMES)
    heard = decode_message(encode_message(message), format.MOST_TEXT)
    assert isinstance(heard, messages.Answer)
    tensors = [kinds.unpacked(kinds.packed(one)) for one in written.tensors]
    parts = kinds.Parts(heard.index, written.pictures, tensors, heard.dropped, heard.timings)
    return kinds.read(heard.kind, heard.values, parts)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and np.array_equal(one, other))
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        return type(one) is type(other) and all(
            same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)
        )
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: type(one).__name__)
def test_an_answer_comes_back_the_same(answer: Any) -> None:
    found = across(answer)
    if isinstance(answer, Output):  # what is a picture comes as one
        answer = dataclasses.replace(
            answer, tensors={k: v for k, v in answer.tensors.items() if k != "shown"}
        )
    assert same(answer, found)


def test_an_answer_of_somebodys_own_comes_as_plain_values() -> None:
    mine = Mine(0.5, Box(1, 2, 3, 4), np.array([[1, 2]]), TIMES, 7)
    found = across(mine)
    values = {
        "level": 0.5, "where": [1.0, 2.0, 3.0, 4.0], "series": [[1, 2]],
        "inner": {name: getattr(TIMES, name) for name in ("prepare_ms", "model_ms", "finish_ms", "queue_ms",
                                                          "decode_ms")},
    }  # fmt: skip
    assert found == Plain("Mine", values, 7, 2, TIMES)
    assert across(None) is None
    with pytest.raises(WireError, match="a object cannot be sent"):
        kinds.write(dataclasses.replace(mine, series=object()))


MEMBERS = [
    "box",
    "score",
    "status",
    "labels",
    "smoothed",
    "frame",
    "seconds",
    "pictures",
    "tensors",
    "values",
]


@pytest.mark.parametrize("kind", list(kinds.KINDS))
@given(values=st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_values_of_anybody_are_an_answer_or_a_wire_error(kind: str, values: dict[str, Any]) -> None:
    try:
        kinds.read(kind, values, kinds.Parts(0))
    except WireError as error:
        check_text(error)


@given(st.binary(max_size=200))
def test_bytes_of_anybody_are_a_tensor_or_a_wire_error(data: bytes) -> None:
    for one in (data, kinds.packed(np.zeros(3, np.float32))[: len(data)] + data):
        try:
            kinds.unpacked(one)
        except WireError as error:
            check_text(error)
