"""Rows of state that stay on the GPU, for TensorRT: read where a call puts them, and written, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..bundles import ModelSpec
from .checks import check_row
from .protocol import Arrays, State
from .tensorrt_device import CudaMemory, DeviceTensor


class Described(NamedTuple):
    """A tensor as checks see it."""

    shape: tuple[int, ...]
    dtype: str


class PoolRows(Mapping[str, DeviceTensor]):
    """States of some rows: a call moves them straight into its buffers.

    A tensor that is asked for is a view where its rows follow one another, else a copy.
    """

    def __init__(self, pools: Mapping[str, DeviceTensor], rows: Sequence[int], memory: CudaMemory) -> None:
        self.pools, self.rows, self._memory = pools, tuple(rows), memory

    def __getitem__(self, name: str) -> DeviceTensor:
        pool, first, count = self.pools[name], self.rows[0], len(self.rows)
        if self.rows == tuple(range(first, first + count)):
            return pool.rows(first, count)
        with self._memory.current():
            batch = self._memory.empty(name, (count, *pool.shape[1:]), pool.dtype)
            self._memory.gather([pool], self.rows, [batch])
        return batch

    def __iter__(self) -> Iterator[str]:
        return iter(self.pools)

    def __len__(self) -> int:
        return len(self.pools)

    def part(self, first: int, count: int) -> PoolRows:
        """Some of the rows."""
        return PoolRows(self.pools, self.rows[first : first + count], self._memory)

    def described(self) -> Mapping[str, Described]:
        """Shapes and types of the tensors, for checks: nothing is copied."""
        count = len(self.rows)
        return {name: Described((count, *pool.shape[1:]), pool.dtype) for name, pool in self.pools.items()}


class DeviceRows:
    """One tensor a state tensor on the device, (capacity + 1, ...); the last row is the padding row."""

    def __init__(self, spec: ModelSpec, capacity: int, memory: CudaMemory) -> None:
        self.spec, self.capacity, self._memory = spec, capacity, memory
        with memory.current():
            self._pools = {
                tensor.name: memory.empty(tensor.name, tensor.concrete(capacity + 1), tensor.dtype)
                for tensor in spec.state
            }
            for tensor in self._pools.values():
                memory.clear(tensor)

    def read(self, rows: Sequence[int]) -> State:
        """See ``StateStore.read``."""
        return PoolRows(self._pools, rows, self._memory)

    def write(self, rows: Sequence[int], state: Mapping[str, Any]) -> None:
        """See ``StateStore.write``."""
        for name, batch in state.items():
            assert len(batch) == len(rows), f"{name} has {len(batch)} rows for {len(rows)}"
        with self._memory.current():
            self._memory.scatter(list(state.values()), rows, [self._pools[name] for name in state])

    def save_row(self, row: int) -> Arrays:
        """See ``StateStore.save_row``."""
        found = self._memory.fetched([pool.rows(row, 1) for pool in self._pools.values()])
        return {name: array[0] for name, array in zip(self._pools, found, strict=True)}

    def load_row(self, row: int, arrays: Arrays) -> None:
        """See ``StateStore.load_row``."""
        check_row(self.spec, arrays)
        with self._memory.current():
            whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            for name, array in whole.items():
                self._memory.upload(array, self._pools[name].rows(row, 1))
            self._memory.wait()

    def clear(self, row: int) -> None:
        """See ``StateStore.clear``."""
        with self._memory.current():
            for pool in self._pools.values():
                self._memory.clear(pool.rows(row, 1))
