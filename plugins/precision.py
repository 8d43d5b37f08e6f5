"""Half precision at an operator's edge: inside, states, sums and decays are float32, whatever comes in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

AnyScan = TypeVar("AnyScan", bound=Callable[..., Any])
WIDE = (torch.float32, torch.float64)


def in_float32(scan: AnyScan, *, keeps_inputs: bool = False) -> AnyScan:
    """An operator that computes in float32, or in float64 where an input has it, out of autocast too.

    y comes back in the type of the first argument, or wide where that holds no fractions. Final states stay
    wide, since a state that is rounded at every step drifts. With ``keeps_inputs`` the state is made of
    inputs: it has the type of the past state, or of the first argument where there is none.
    """
    names = tuple(inspect.signature(scan).parameters)

    @functools.wraps(scan)
    def call(*arguments: Any, **options: Any) -> Any:
        first = arguments[0] if arguments else options[names[0]]
        device, kind, kinds = first.device.type, first.dtype, kinds_of((*arguments, *options.values()))
        autocast = torch.is_autocast_enabled(device)
        if not autocast and len(kinds) == 1 and kind in WIDE:
            return scan(*arguments, **options)
        wide = wide_type(kinds)
        with torch.autocast(device, enabled=False) if autocast else nullcontext():
            y, final = scan(*raised(arguments, wide), **raised(options, wide))
        shown = kind if kind.is_floating_point or kind.is_complex else wide
        if keeps_inputs:
            past = (dict(zip(names, arguments, strict=False)) | options).get("state")
            final = final.to(shown if past is None else past.dtype)
        return y.to(shown), final

    return cast("AnyScan", call)


def wide_type(kinds: set[torch.dtype]) -> torch.dtype:
    """The type that holds every number of some types: float32 at least."""
    return functools.reduce(torch.promote_types, kinds, torch.float32)


def kinds_of(values: tuple[Any, ...]) -> set[torch.dtype]:
    """The types of some tensors, alone or in tuples."""
    kinds: set[torch.dtype] = set()
    for value in values:
        if isinstance(value, Tensor):
            kinds.add(value.dtype)
        elif isinstance(value, tuple):
            kinds |= kinds_of(value)
    return kinds


def raised(value: Any, wide: torch.dtype) -> Any:
    """The tensors in one type, alone or in tuples and dicts; all else as it is."""
    if isinstance(value, Tensor):
        return value.to(wide)
    if isinstance(value, tuple):
        return tuple(raised(one, wide) for one in value)
    if isinstance(value, dict):
        return {name: raised(one, wide) for name, one in value.items()}
    return value
