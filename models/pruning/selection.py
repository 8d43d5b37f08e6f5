"""Which units stay: how many of each group, and of those the ones that count most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import OptionError
from .groups import Group, Kept
from .importance import Scores

Counts = dict[str, int]
"""By the name of a group: how many of its units stay."""


def check_ratio(ratio: float) -> None:
    """Raises OptionError for a share of units that cannot go."""
    if not 0 <= ratio < 1:
        raise OptionError(f"the ratio is {ratio}", "give the share of units that goes: 0 to below 1")


def outermost(groups: Sequence[Group]) -> list[Group]:
    """Without the channels inside a head where whole heads can go: cut both, and twice as much would go."""
    several = any(group.option[0] == "kept_heads" and group.units > 1 for group in groups)
    inner = "head_channels" if several else "kept_heads"
    return [group for group in groups if group.option[0] != inner]


def rounded(groups: Sequence[Group], wanted: Mapping[str, float]) -> Counts:
    """Counts close to those wanted: multiples of the group's, never none, as many in all of one option.

    A group of fewer units than its multiple stays whole.
    """
    shares: dict[tuple[str, int | None], list[float]] = {}
    for group in groups:
        shares.setdefault(group.option, []).append(wanted[group.name])
    counts = {}
    for group in groups:
        mean = sum(shares[group.option]) / len(shares[group.option])
        steps = max(1, round(mean / group.multiple))
        counts[group.name] = min(steps * group.multiple, group.units)
    return counts


def best(scores: Scores, counts: Counts) -> Kept:
    """The units of the highest scores, as many as counted of each group, in rising order."""
    return {
        name: sorted(scores[name].argsort(descending=True, stable=True)[:count].tolist())
        for name, count in counts.items()
    }
