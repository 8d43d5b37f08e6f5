"""What runtimes of one's own start from: over host arrays, or over another runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundles import Size
from .protocol import Arrays, CropMaker, Runtime, State, StateStore


class HostRuntime:
    """The part of ``Runtime`` that is the same for all whose state is NumPy arrays."""

    precision: str = "fp32"
    pads_batches: bool = False
    crops: CropMaker | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """See ``Runtime.notes``."""
        return ()

    def join(self, tensors: Sequence[Any]) -> Any:
        """See ``Runtime.join``."""
        return tensors[0] if len(tensors) == 1 else np.concatenate(tensors)

    def mix(self, first: Sequence[State], fresh: Sequence[State], share: float) -> State:
        """See ``Runtime.mix``."""
        mixed = {}
        for name in first[0]:
            old, new = (self.join([one[name] for one in many]) for many in (first, fresh))
            mixed[name] = self.like((1 - share) * old + share * new, old)
        return mixed

    def like(self, tensor: Any, other: Any) -> Any:
        """A tensor in the type of numbers of another one."""
        return tensor.astype(other.dtype, copy=False)

    def to_host(self, tensor: Any) -> npt.NDArray[Any]:
        """See ``Runtime.to_host``."""
        array: npt.NDArray[Any] = np.asarray(tensor)
        return array

    def from_host(self, name: str, array: npt.NDArray[Any]) -> Any:
        """See ``Runtime.from_host``."""
        return array

    def give_back(self) -> None:
        """See ``Runtime.give_back``: by itself it keeps nothing."""


def mixed_on_host(runtime: Runtime, first: Sequence[State], fresh: Sequence[State], share: float) -> State:
    """``Runtime.mix`` by way of the host, for a device where nothing blends."""
    taken = [[{name: runtime.to_host(one[name]) for name in one} for one in many] for many in (first, fresh)]
    mixed = HostRuntime().mix(taken[0], taken[1], share)
    return {name: runtime.from_host(name, value) for name, value in mixed.items()}


class RuntimeOver:
    """A runtime that hands everything on to another one; a class made of it says what it does otherwise."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.spec, self.name, self.device = runtime.spec, runtime.name, runtime.device
        self.precision, self.pads_batches = runtime.precision, runtime.pads_batches
        self.crops: CropMaker | None = runtime.crops

    @property
    def notes(self) -> tuple[str, ...]:
        """See ``Runtime.notes``."""
        return self._runtime.notes

    def allocate(self, capacity: int, size: Size | None = None) -> StateStore:
        """See ``Runtime.allocate``."""
        return self._runtime.allocate(capacity, size)

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """See ``Runtime.call``."""
        return self._runtime.call(function, inputs, state)

    def join(self, tensors: Sequence[Any]) -> Any:
        """See ``Runtime.join``."""
        return self._runtime.join(tensors)

    def mix(self, first: Sequence[State], fresh: Sequence[State], share: float) -> State:
        """See ``Runtime.mix``."""
        return self._runtime.mix(first, fresh, share)

    def to_host(self, tensor: Any) -> npt.NDArray[Any]:
        """See ``Runtime.to_host``."""
        return self._runtime.to_host(tensor)

    def from_host(self, name: str, array: npt.NDArray[Any]) -> Any:
        """See ``Runtime.from_host``."""
        return self._runtime.from_host(name, array)

    def give_back(self) -> None:
        """See ``Runtime.give_back``."""
        self._runtime.give_back()

    def close(self) -> None:
        """See ``Runtime.close``."""
        self._runtime.close()
