"""Memory of the GPU for TensorRT, by pycuda: tensors, blocks of them, copies, and rows moved by one kernel.

All work goes to one stream, in order, queued by one thread at a time, so a row may be read and then written
without waiting. Only transfers to the host wait, for their own part of the queue. On a GPU this was NOT RUN;
the tests run it over host memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .device_crops import KERNEL as CROPS
from .tensorrt_surface import Cuda, CudaEvent, CudaFunction, CudaModule, MemoryPool

ALIGNMENT = 256
"""Bytes: where TensorRT and the kernel want tensors to begin."""
KERNEL = Path(__file__).parent / "move_rows.ptx"
MIX = KERNEL.with_name("mix_rows.ptx")
MOVE = 24
"""Bytes that the kernel is told of one tensor; then come the rows, four bytes each."""
THREADS, WIDE = 256, 16
"""Threads of a block of the kernel, and bytes that one of them moves at a time."""
MOST_BLOCKS = 64


class CudaMemory:
    """One GPU: its context, one stream, a pool of memory, and copies.

    Args:
        cuda: ``pycuda.driver``.
        pool: makes the pool once the context is there: ``pycuda.tools.DeviceMemoryPool``.
    """

    def __init__(self, cuda: Cuda, pool: Any) -> None:
        self._cuda, self._lock = cuda, threading.RLock()
        cuda.init()
        device = cuda.Device(0)
        self.gpu = device.name()
        self._context = device.retain_primary_context()
        self.notes: tuple[str, ...] = ()
        """What is done in a slower way, and why."""
        with self.current():
            self.stream = cuda.Stream()
            self._pool: MemoryPool = pool()
            self._modules: list[CudaModule] = []
            self._kernel = self._load(KERNEL, "PPI", "rows are moved one by one")
            self._crops = self._load(CROPS, "PPI", "crops are made on the host")
            self._mixes = self._load(MIX, "Pff", "states are blended on the host")

    def _load(self, path: Path, arguments: str, otherwise: str) -> CudaFunction | None:
        """A kernel from its file; None where the driver refuses it, which is noted."""
        try:
            module = self._cuda.module_from_buffer(path.read_bytes())
            kernel = module.get_function(path.stem)
            kernel.prepare(arguments)
        except Exception as error:  # pycuda raises a class for each of the driver's codes
            self.notes += (f"{otherwise}: the driver does not take the kernel {path.stem} ({error})",)
            return None
        self._modules.append(module)
        return kernel

    @property
    def moves_rows(self) -> bool:
        """Whether rows are moved by a kernel."""
        return self._kernel is not None

    @property
    def makes_crops(self) -> bool:
        """Whether crops are made by a kernel."""
        return self._crops is not None

    @property
    def mixes_rows(self) -> bool:
        """Whether states are blended by a kernel."""
        return self._mixes is not None

    def mixed(
        self,
        first: Sequence[Mapping[str, DeviceTensor]],
        fresh: Sequence[Mapping[str, DeviceTensor]],
        share: float,
    ) -> dict[str, DeviceTensor]:
        """Rows of float32 tensors blended, in memory of their own: ``share`` of the fresh ones."""
        assert self._mixes is not None, "mixes_rows says so"
        with self.current():
            like = {name: tensor.shape[1:] for name, tensor in first[0].items()}
            made = {name: self.empty(name, (len(first), *shape), "float32") for name, shape in like.items()}
            table = [
                (old[name].address, new[name].address, whole.rows(row, 1).address, old[name].bytes // 4)
                for name, whole in made.items()
                for row, (old, new) in enumerate(zip(first, fresh, strict=True))
            ]
            told = np.array(table, np.uint64).view(np.uint8).ravel()
            block = self.empty("mixes", told.shape, "uint8")
            self.upload(told, block)  # not pinned, so the driver has taken it when this returns
            most = max(count for *_, count in table)
            grid = (min(MOST_BLOCKS, -(-most // THREADS) or 1), len(table), 1)
            shares = float(np.float32(1 - share)), float(np.float32(share))
            self._mixes.prepared_async_call(grid, (THREADS, 1, 1), self.stream, block.address, *shares)
        return made

    def crop(self, table: int, out: DeviceTensor) -> None:
        """Queues the crops of ``out``, (rows, 3, size, size), as the table at an address tells of them."""
        assert self._crops is not None, "makes_crops says so"
        rows, size = out.shape[0], out.shape[-1]
        grid = (-(-size * size // THREADS), rows, 1)
        self._crops.prepared_async_call(grid, (THREADS, 1, 1), self.stream, table, out.address, size)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the GPU's context that of this thread for a while, and the stream this thread's alone.

        Calls may come from any thread. What is queued during a recording is recorded and not run, so whoever
        queues holds the GPU from the first to the last piece of a call; ``wait_for`` needs no hold.
        """
        with self._lock, self._pushed():
            yield

    @contextmanager
    def _pushed(self) -> Iterator[None]:
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

    def gather(
        self, pools: Sequence[DeviceTensor], rows: Sequence[int], batch: Sequence[DeviceTensor]
    ) -> None:
        """Queues rows of resident tensors into the places of batches; a row below 0 is zeros."""
        self._move(pools, rows, batch, scatter=False)

    def scatter(
        self, batch: Sequence[DeviceTensor], rows: Sequence[int], pools: Sequence[DeviceTensor]
    ) -> None:
        """Queues the places of batches into rows of resident tensors; a row below 0 is left out."""
        self._move(pools, rows, batch, scatter=True)

    def _move(
        self,
        pools: Sequence[DeviceTensor],
        rows: Sequence[int],
        batch: Sequence[DeviceTensor],
        *,
        scatter: bool,
    ) -> None:
        if not pools:
            return
        if self._kernel is None:
            for pool, tensor in zip(pools, batch, strict=True):
                self._move_one_by_one(pool, rows, tensor, scatter=scatter)
            return
        told = moves(pools, rows, batch)
        block = self.empty("rows", told.shape, "uint8")
        self.upload(told, block)  # not pinned, so the driver has taken it when this returns
        self.move(block.address, pools, len(rows), scatter=scatter)

    def move(self, told: int, pools: Sequence[DeviceTensor], rows: int, *, scatter: bool) -> None:
        """Queues what ``moves`` told, which lies at an address. Only where ``moves_rows``."""
        assert self._kernel is not None, "moves_rows says so"
        most = max(pool.bytes // len(pool) for pool in pools)
        grid = (min(MOST_BLOCKS, -(-most // (THREADS * WIDE)) or 1), rows, len(pools))
        places = told + MOVE * len(pools)
        self._kernel.prepared_async_call(grid, (THREADS, 1, 1), self.stream, told, places, int(scatter))

    def _move_one_by_one(
        self, pool: DeviceTensor, rows: Sequence[int], batch: DeviceTensor, *, scatter: bool
    ) -> None:
        for place, row in enumerate(rows):
            outside = batch.rows(place, 1)
            if row >= 0:
                pair = (pool.rows(row, 1), outside)
                self.copy(*(reversed(pair) if scatter else pair))
            elif not scatter:
                self.clear(outside)

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

    def fetched(self, tensors: Sequence[DeviceTensor]) -> list[npt.NDArray[Any]]:
        """The tensors on the host; all are waited for at once."""
        found = [np.empty(tensor.shape, tensor.dtype) for tensor in tensors]
        with self.current():
            for tensor, array in zip(tensors, found, strict=True):
                self.download(tensor, array)
            self.wait()
        return found

    def wait(self) -> None:
        """Until all that was queued is done."""
        self.stream.synchronize()

    def marked(self) -> CudaEvent:
        """A mark behind all that was queued by now."""
        mark = self._cuda.Event()
        mark.record(self.stream)
        return mark

    def wait_for(self, mark: CudaEvent) -> None:
        """Until all that was queued before a mark is done; others may queue meanwhile."""
        with self._pushed():
            mark.synchronize()


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
        return self.memory.fetched([self])[0]

    def rows(self, first: int, count: int) -> DeviceTensor:
        """Some rows, where they lie."""
        size = self.bytes // max(1, self.shape[0])
        shape = (count, *self.shape[1:])
        return DeviceTensor(
            self.name, self.address + first * size, shape, self.dtype, self.owner, self.memory
        )


def moves(
    pools: Sequence[DeviceTensor], rows: Sequence[int], batch: Sequence[DeviceTensor]
) -> npt.NDArray[np.uint8]:
    """What the kernel is told of rows that move between resident tensors and the places of batches."""
    sizes = [pool.bytes // len(pool) for pool in pools]
    table = [(pool.address, one.address, size) for pool, one, size in zip(pools, batch, sizes, strict=True)]
    parts = [np.array(table, np.uint64).view(np.uint8).ravel(), np.array(rows, np.int32).view(np.uint8)]
    return np.concatenate(parts)


class Layout:
    """Where tensors lie in one block of memory, so that one copy takes all of them.

    Args: ``tensors``: shape and dtype by key.
    """

    def __init__(self, tensors: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
        self.tensors, self.starts, self.bytes = dict(tensors), dict[str, int](), 0
        for key, (shape, dtype) in tensors.items():
            self.starts[key] = self.bytes
            size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            self.bytes += -(-size // ALIGNMENT) * ALIGNMENT

    def on_device(self, block: DeviceTensor) -> dict[str, DeviceTensor]:
        """The tensors in a block of bytes on the device."""
        return {
            key: DeviceTensor(key, block.address + self.starts[key], shape, dtype, block.owner, block.memory)
            for key, (shape, dtype) in self.tensors.items()
        }

    def on_host(self, block: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """The tensors in a block of bytes on the host."""
        return {
            key: np.ndarray(shape, dtype, block.data, self.starts[key])
            for key, (shape, dtype) in self.tensors.items()
        }
