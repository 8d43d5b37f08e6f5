"""The check of a call, remembered: a call like one that was found good is compared with it, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bundles import ModelSpec, Size
from .checks import check_call, frame_size
from .protocol import Arrays, DeviceInput, State

REMEMBERED = 16
"""Good calls that a function is remembered by: batch sizes times sizes of frames, the newest first."""

Described = tuple[tuple[str, tuple[int, ...], Any], ...]
"""Tensors by name, shape and dtype."""


@dataclass(frozen=True, eq=False, slots=True)
class GoodCall:
    """A call that was checked.

    Attributes:
        batch: its rows.
        size: of its frames (height, width); None where no shape depends on them.
        inputs, state: what it was given, of the state only what the function reads.
    """

    batch: int
    size: Size | None
    inputs: Described
    state: Described

    def is_like(self, inputs: Arrays, state: Mapping[str, Any]) -> bool:
        """Whether a call has the same tensors, so that its check can only come out the same."""
        if len(inputs) != len(self.inputs):
            return False
        for name, shape, dtype in self.inputs:
            value = inputs.get(name)
            if type(value) is not np.ndarray and not isinstance(value, DeviceInput):
                return False
            if value.shape != shape or (value.dtype is not dtype and value.dtype != dtype):
                return False
        for name, shape, dtype in self.state:
            value = state.get(name)
            if value is None or value.shape != shape:
                return False
            if value.dtype is not dtype and value.dtype != dtype:
                return False
        return True


class Checker:
    """``check_call`` for the functions of one model. May be called from several threads at once."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._good: dict[str, tuple[GoodCall, ...]] = {}

    def __call__(self, function: str, inputs: Arrays, state: State | None) -> GoodCall:
        """Batch and size of frames of a call. Raises BundleError, DataError or StateError."""
        given: Mapping[str, Any] = state or {}
        known = self._good.get(function, ())
        for good in known:
            if good.is_like(inputs, given):
                return good
        spec = self._spec.function(function)
        batch = check_call(function, self._spec, spec, inputs, state)
        size = frame_size(function, self._spec, spec, inputs, given)
        good = GoodCall(
            batch,
            size,
            tuple((one.name, inputs[one.name].shape, inputs[one.name].dtype) for one in spec.inputs),
            tuple((key, tuple(given[key].shape), given[key].dtype) for key in spec.reads_state),
        )
        self._good[function] = (good, *known[: REMEMBERED - 1])  # one assignment: nobody sees half of it
        return good
