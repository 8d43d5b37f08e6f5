"""Calls of one row each as one call, and its results as results of one row each.

A batch's results are cut lazily: a ``Row`` names a batch and a place in it, and what is read of it is a view.
Rows of one batch that come together again, in a write or in the next call, are that batch once more, so
nothing is copied on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..vision import Piece
from .protocol import Arrays, DeviceInput, Runtime, State, StateStore


@dataclass(frozen=True, eq=False)
class Crop:
    """An input of one row, (1, 3, size, size), that ``Runtime.crops`` is to make; ``raw`` as it takes it."""

    piece: Piece
    raw: bool


class Row(Mapping[str, Any]):
    """One row of a batch by the names of its tensors; each is a view of one row, cut when it is asked for.

    It keeps the memory of the whole batch.
    """

    __slots__ = ("batch", "place")

    def __init__(self, batch: Mapping[str, Any], place: int) -> None:
        self.batch, self.place = batch, place

    def __getitem__(self, name: str) -> Any:
        return self.batch[name][self.place : self.place + 1]

    def __contains__(self, name: object) -> bool:
        return name in self.batch

    def __iter__(self) -> Iterator[str]:
        return iter(self.batch)

    def __len__(self) -> int:
        return len(self.batch)


class Parts(Mapping[str, Any]):
    """Tensors of one row that came out of several calls; of one name, the later part's."""

    __slots__ = ("parts",)

    def __init__(self, *parts: State) -> None:
        flat = [part.parts if isinstance(part, Parts) else (part,) for part in parts]
        self.parts: tuple[State, ...] = sum(flat, ())

    def __getitem__(self, name: str) -> Any:
        for part in reversed(self.parts):
            if name in part:
                return part[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for part in self.parts for name in part))

    def __len__(self) -> int:
        return len(dict.fromkeys(self))


def stack(runtime: Runtime, rows: Sequence[Mapping[str, Any]], size: int = 0) -> Arrays:
    """Inputs of one row each as one batch, in that order.

    Args:
        runtime: makes crops and joins what is on its device.
        rows: at least one; equal names, shapes (1, ...) and dtypes. A value is an array, a ``DeviceInput``
            or a ``Crop``; of one name, all are of one kind.
        size: rows of the batch; more than there are repeats the last one.
    """
    spare = max(0, size - len(rows))
    inputs: dict[str, Any] = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        values += spare * values[-1:]
        if isinstance(first, Crop):
            assert runtime.crops is not None, "a crop is for a runtime that makes them"
            inputs[name] = runtime.crops([value.piece for value in values], raw=first.raw)
        elif len(values) == 1:
            inputs[name] = first
        elif isinstance(first, DeviceInput):
            joined = runtime.join([value.value for value in values])
            inputs[name] = DeviceInput(joined, (len(values), *first.shape[1:]), first.dtype)
        else:
            inputs[name] = np.concatenate(values)
    return inputs


def on_host(runtime: Runtime, value: Any) -> npt.NDArray[Any]:
    """An input of a call of a runtime as a host array."""
    found = runtime.to_host(value.value if isinstance(value, DeviceInput) else value)
    return found


def split(batch: Mapping[str, Any] | None, count: int) -> list[Row]:
    """The first ``count`` rows of what a call gave, outputs or written state, each a view."""
    return [Row(batch or {}, place) for place in range(count)]


def join(runtime: Runtime, states: Sequence[State], names: Sequence[str], size: int = 0) -> State:
    """The tensors ``names`` of states of one row each as one batch, in that order.

    Neighbours of one batch are a view of it. ``size`` is as in ``stack``.
    """
    spare = max(0, size - len(states))
    runs = list(_runs(states))
    if len(runs) == 1 and not spare:
        return _cut(runs[0][1], runs[0][2], len(states), names)
    joined = {}
    for name in names:
        parts = [_cut(batch, first, count, [name])[name] for _, batch, first, count in runs]
        joined[name] = runtime.join(parts + spare * [states[-1][name]])
    return joined


def write(store: StateStore, rows: Sequence[int], states: Sequence[State]) -> None:
    """Puts a state of one row into each of some rows of a store.

    Each may name other tensors; those that it does not name keep their values. The last parts of all states
    are written last, those before them before. Of each turn, all that came out of one batch is one write,
    without a copy on the way, however many of its rows are written and in whatever order.
    """
    parts = [state.parts if isinstance(state, Parts) else (state,) for state in states]
    for back in range(max(map(len, parts), default=0), 0, -1):
        turn = [(row, one[-back]) for row, one in zip(rows, parts, strict=True) if len(one) >= back]
        _write_parts(store, turn)


def _write_parts(store: StateStore, parts: Sequence[tuple[int, State]]) -> None:
    """One part of each row."""
    placed: dict[int, tuple[State, dict[int, int]]] = {}
    for row, part in parts:
        if isinstance(part, Row):
            placed.setdefault(id(part.batch), (part.batch, {}))[1][part.place] = row
        elif part:
            store.write([row], part)
    for batch, row_of in placed.values():
        if batch:
            first, last = min(row_of), max(row_of)
            told = [row_of.get(place, -1) for place in range(first, last + 1)]
            store.write(told, _cut(batch, first, len(told), list(batch)))


def _runs(states: Sequence[State]) -> Iterator[tuple[int, State, int, int]]:
    """States as parts of batches: the first of each part, its batch, its place there, and how many."""
    start = 0
    while start < len(states):
        one, count = states[start], 1
        if not isinstance(one, Row):
            yield start, one, 0, 1
        else:
            while start + count < len(states):
                other = states[start + count]
                if not isinstance(other, Row) or other.batch is not one.batch:
                    break
                if other.place != one.place + count:
                    break
                count += 1
            yield start, one.batch, one.place, count
        start += count


def _cut(batch: State, first: int, count: int, names: Sequence[str]) -> State:
    """Rows of some tensors of a batch where they lie; the tensors themselves where that is all of them."""
    tensors = {name: batch[name] for name in names}
    return {
        name: tensor if len(tensor) == count else tensor[first : first + count]
        for name, tensor in tensors.items()
    }
