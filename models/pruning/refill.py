"""Refill: single weights say how many units of each group are needed, and those that count most stay whole.

A mask of single weights leaves holes all over. Counted together, what it leaves of a group amounts to n whole
units; ``k = int(n + (C - n) · fillback)`` of its C units stay, with all their weights, and the rest goes.
Source: Chen et al., "Coarsening the Granularity: Towards Structurally Sparse Lottery Tickets", section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import OptionError
from .groups import Group, Weights
from .importance import places_of
from .selection import Counts, rounded
from .unstructured import Masks, global_masks


def masks_of(weights: Weights, layers: Sequence[str], groups: Sequence[Group], ratio: float) -> Masks:
    """The mask of the layers that the groups lie in, by one threshold for all of them."""
    inside = {places.tensor for group in groups for places in group.places}
    return global_masks(weights, [name for name in layers if name in inside], ratio)


def effective_units(group: Group, weights: Weights, masks: Masks) -> float:
    """How many whole units what a mask leaves of a group amounts to."""
    found = [places for places in places_of(group, weights) if places.tensor in masks]
    if not found:
        return float(group.units)
    parts = [places.of(masks[places.tensor].float()) for places in found]
    per_unit = sum(part[0].numel() for part in parts)
    return float(sum(part.sum() for part in parts)) / per_unit


def refill_counts(groups: Sequence[Group], weights: Weights, masks: Masks, fillback: float) -> Counts:
    """How many units of each group stay. Raises OptionError for a fill-back rate that is none."""
    if not 0 <= fillback < 1:
        raise OptionError(f"the fill-back rate is {fillback}", "give 0 to below 1")
    wanted = {}
    for group in groups:
        n = effective_units(group, weights, masks)
        wanted[group.name] = float(int(n + (group.units - n) * fillback))
    return rounded(groups, wanted)
