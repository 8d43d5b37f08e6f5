"""What must be cut together: units of a group, and the places in a model's tensors that belong to each.

A **unit** is one channel, head or state. Its **places** are rows of weights and buffers along an axis: with
all of them zero, the model computes the same as with all of them gone. Groups that the model's configuration
gives one size (such as the heads of every layer) share an ``option``, and are cut to the same count, each
keeping the units that count most there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import OptionError

Weights = Mapping[str, Tensor]
Rows = tuple[tuple[int, ...], ...]
Kept = Mapping[str, Sequence[int]]
"""By the name of a group: which of its units stay, in rising order."""


@dataclass(frozen=True)
class Places:
    """The rows ``rows[unit]`` of ``tensor`` along ``axis``; every unit has as many.

    ``within``: the tensor is a stack along its first axis, and this is about one of its members alone
    (``axis`` is that member's); the groups of the other members cut as many rows of theirs.
    """

    tensor: str
    axis: int
    rows: Rows
    within: int | None = None

    def of(self, value: Tensor) -> Tensor:
        """(units, rows of a unit, everything else) of that tensor's ``value``."""
        value = value if self.within is None else value[self.within]
        rows = torch.tensor(self.rows, device=value.device)
        taken = value.movedim(self.axis, 0)[rows.flatten()]
        return taken.reshape(*rows.shape, -1)


@dataclass(frozen=True)
class Group:
    """Units of one kind at one place of a model.

    Attributes:
        name: of the group, such as ``stem.3``.
        kind: of its units: "channel", "head", "state" or "neuron".
        part: "stem", "ssm", "mlp", "attention" or "head"; what ``prune`` is told to cut.
        option: of the configuration, which holds how many units there are; with an index if that is a list.
        places: of the units.
        averaged: norm weights that see a mean over the units: what is left is scaled, so that it stays right.
        multiple: what a count is rounded to.
    """

    name: str
    kind: str
    part: str
    option: tuple[str, int | None]
    places: tuple[Places, ...]
    averaged: tuple[str, ...] = ()
    multiple: int = 8

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self.places[0].rows)


def spans(count: int, *starts: int, width: int = 1) -> Rows:
    """Rows of ``count`` units of ``width`` rows each, side by side from every one of ``starts``."""
    return tuple(
        tuple(start + unit * width + row for start in starts for row in range(width)) for unit in range(count)
    )


def check_kept(groups: Sequence[Group], kept: Kept) -> None:
    """Raises OptionError unless every group keeps units that it has, as many as others of its option."""
    counts: dict[tuple[str, int | None], int] = {}
    for group in groups:
        units = list(kept.get(group.name, range(group.units)))
        if not units or units != sorted(set(units)) or units[0] < 0 or units[-1] >= group.units:
            raise OptionError(
                f"group {group.name} is to keep {units}", f"give rising numbers from 0 to {group.units - 1}"
            )
        if counts.setdefault(group.option, len(units)) != len(units):
            raise OptionError(
                f"{group.name} is to keep {len(units)} units and others of {group.option[0]} "
                f"{counts[group.option]}",
                "keep as many in each",
            )


def masked(weights: Weights, groups: Sequence[Group], kept: Kept) -> dict[str, Tensor]:
    """Copies of all tensors, zero wherever a unit that is not kept has its places."""
    check_kept(groups, kept)
    result = {name: value.clone() for name, value in weights.items()}
    for (name, within, axis), rows in _dropped(groups, kept).items():
        value = result[name] if within is None else result[name][within]
        value.movedim(axis, 0)[sorted(rows)] = 0
    return result


def cut(weights: Weights, groups: Sequence[Group], kept: Kept) -> dict[str, Tensor]:
    """Copies of all tensors without the places of units that are not kept."""
    check_kept(groups, kept)
    result = {name: value.clone() for name, value in weights.items()}
    stacks: dict[str, dict[int, Tensor]] = {}
    for (name, within, axis), rows in _dropped(groups, kept).items():
        if within is None:
            result[name] = _without(result[name], axis, rows)
        else:
            stacks.setdefault(name, {})[within] = _without(result[name][within], axis, rows)
    for name, members in stacks.items():
        result[name] = torch.stack([members[index] for index in range(len(result[name]))])
    shares = {
        (name, group.option): group.units / len(kept.get(group.name, range(group.units)))
        for group in groups
        for name in group.averaged
    }
    for (name, _), share in shares.items():
        result[name] = result[name] * math.sqrt(share)
    return result


def _without(value: Tensor, axis: int, rows: set[int]) -> Tensor:
    stay = [row for row in range(value.shape[axis]) if row not in rows]
    return value.index_select(axis, torch.tensor(stay, dtype=torch.long, device=value.device))


def _dropped(groups: Iterable[Group], kept: Kept) -> dict[tuple[str, int | None, int], set[int]]:
    """By tensor, member of it and axis: the rows that go."""
    rows: dict[tuple[str, int | None, int], set[int]] = {}
    for group in groups:
        stay = set(kept.get(group.name, range(group.units)))
        for places in group.places:
            gone = rows.setdefault((places.tensor, places.within, places.axis), set())
            for unit, own in enumerate(places.rows):
                if unit not in stay:
                    gone.update(own)
    return rows
