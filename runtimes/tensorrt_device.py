"""State that stays on the GPU, for TensorRT: memory, copies and rows by pycuda.

All work goes to one stream, in order, so a row may be read and then written without waiting. Only transfers
to the host wait. On a GPU this was NOT RUN; the tests run it over host memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundles import ModelSpec
from .checks import check_row
from .protocol import Arrays, State
from .tensorrt_surface import Cuda, MemoryPool


class CudaMemory:
    """One GPU: its context, one stream, a pool of memory, and copies.

    Args:
        cuda: ``pycuda.driver``.
        pool: makes the pool once the context is there: ``pycuda.tools.DeviceMemoryPool``.
    """

    def __init__(self, cuda: Cuda, pool: Any) -> None:
        self._cuda = cuda
        cuda.init()
        device = cuda.Device(0)
        self.gpu = device.name()
        self._context = device.retain_primary_context()
        with self.current():
            self.stream = cuda.Stream()
            self._pool: MemoryPool = pool()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the GPU's context that of this thread for a while: calls may come from any."""
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def empty(self, name: str, shape: Sequence[int], dtype: str) -> DeviceTensor:
        """New memory; what is in it is not defined."""
        size = max(1, int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
        owner = self._pool.allocate(size)
        return DeviceTensor(name, int(owner), tuple(shape), dtype, owner, self)

    def pinned(self, shape: Sequence[int], dtype: str) -> npt.NDArray[Any]:
        """Host memory for transfers."""
        array: npt.NDArray[Any] = self._cuda.pagelocked_empty(tuple(shape), np.dtype(dtype))
        return array

    def copy(self, source: DeviceTensor, target: DeviceTensor) -> None:
        """Queues a copy on the device, between tensors of equal size."""
        assert source.bytes == target.bytes, f"{source.name} has {source.bytes} bytes for {target.bytes}"
        self._cuda.memcpy_dtod_async(target.address, source.address, source.bytes, self.stream)

    def clear(self, target: DeviceTensor) -> None:
        """Queues zeros."""
        if target.bytes:
            self._cuda.memset_d8_async(target.address, 0, target.bytes, self.stream)

    def upload(self, array: npt.NDArray[Any], target: DeviceTensor) -> None:
        """Queues a copy to the device; the array has to stay as it is until ``wait``."""
        self._cuda.memcpy_htod_async(target.address, array, self.stream)

    def download(self, source: DeviceTensor, array: npt.NDArray[Any]) -> None:
        """Queues a copy to the host; it is there after ``wait``."""
        self._cuda.memcpy_dtoh_async(array, source.address, self.stream)

    def joined(self, tensors: Sequence[DeviceTensor]) -> DeviceTensor:
        """Batches of one tensor, one after another, in memory of its own."""
        like, first = tensors[0], 0
        with self.current():
            rows = sum(len(tensor) for tensor in tensors)
            whole = self.empty(like.name, (rows, *like.shape[1:]), like.dtype)
            for tensor in tensors:
                self.copy(tensor, whole.rows(first, len(tensor)))
                first += len(tensor)
        return whole

    def uploaded(self, name: str, array: npt.NDArray[Any]) -> DeviceTensor:
        """A host array on the device."""
        whole = np.ascontiguousarray(array)
        with self.current():
            made = self.empty(name, whole.shape, str(whole.dtype))
            self.upload(whole, made)
            self.wait()
        return made

    def wait(self) -> None:
        """Until all that was queued is done."""
        self.stream.synchronize()


@dataclass(frozen=True, eq=False)
class DeviceTensor:
    """A batch of one tensor on the device; ``owner`` keeps its memory."""

    name: str
    address: int
    shape: tuple[int, ...]
    dtype: str
    owner: Any
    memory: CudaMemory

    @property
    def bytes(self) -> int:
        """Of all rows."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> DeviceTensor:
        first, end, step = part.indices(self.shape[0])
        assert step == 1, "rows that follow one another"
        return self.rows(first, max(0, end - first))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        found = np.empty(self.shape, self.dtype)
        with self.memory.current():
            self.memory.download(self, found)
            self.memory.wait()
        return found

    def rows(self, first: int, count: int) -> DeviceTensor:
        """Some rows, where they lie."""
        size = self.bytes // max(1, self.shape[0])
        shape = (count, *self.shape[1:])
        return DeviceTensor(
            self.name, self.address + first * size, shape, self.dtype, self.owner, self.memory
        )


class DeviceRows:
    """One tensor a state tensor on the device, (capacity + 1, ...); the last row is the padding row."""

    def __init__(self, spec: ModelSpec, capacity: int, memory: CudaMemory) -> None:
        self.spec, self.capacity, self._memory = spec, capacity, memory
        with memory.current():
            self._rows = {
                tensor.name: memory.empty(tensor.name, tensor.concrete(capacity + 1), tensor.dtype)
                for tensor in spec.state
            }
            for tensor in self._rows.values():
                memory.clear(tensor)

    def read(self, rows: Sequence[int]) -> State:
        """See ``StateStore.read``. One row, and rows that follow one another, come as views."""
        first = rows[0]
        if list(rows) == list(range(first, first + len(rows))):
            return {name: pool.rows(first, len(rows)) for name, pool in self._rows.items()}
        with self._memory.current():
            batch = {
                name: self._memory.empty(name, (len(rows), *pool.shape[1:]), pool.dtype)
                for name, pool in self._rows.items()
            }
            for place, row in enumerate(rows):
                for name, pool in self._rows.items():
                    self._memory.copy(pool.rows(row, 1), batch[name].rows(place, 1))
        return batch

    def write(self, rows: Sequence[int], state: Mapping[str, Any]) -> None:
        """See ``StateStore.write``."""
        with self._memory.current():
            for name, batch in state.items():
                assert len(batch) == len(rows), f"{name} has {len(batch)} rows for {len(rows)}"
                for place, row in enumerate(rows):
                    self._memory.copy(batch.rows(place, 1), self._rows[name].rows(row, 1))

    def save_row(self, row: int) -> Arrays:
        """See ``StateStore.save_row``."""
        return {name: np.asarray(pool.rows(row, 1))[0] for name, pool in self._rows.items()}

    def load_row(self, row: int, arrays: Arrays) -> None:
        """See ``StateStore.load_row``."""
        check_row(self.spec, arrays)
        with self._memory.current():
            whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            for name, array in whole.items():
                self._memory.upload(array, self._rows[name].rows(row, 1))
            self._memory.wait()

    def clear(self, row: int) -> None:
        """See ``StateStore.clear``."""
        with self._memory.current():
            for pool in self._rows.values():
                self._memory.clear(pool.rows(row, 1))
