"""State rows of the eager runtime, on its device: read and written by index, without a way over the host."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..bundles import ModelSpec
from .checks import check_row
from .protocol import Arrays, State

KEPT_INDICES = 64
"""Groups of sessions whose indices stay on the device; the same ones come back frame after frame."""


class Described(NamedTuple):
    """A tensor as checks see it."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Pool:
    """One tensor a state tensor, (capacity + 1, ...), and indices of rows; the last row is for padding."""

    def __init__(self, spec: ModelSpec, capacity: int, device: torch.device) -> None:
        self.capacity, self._device = capacity, device
        self.tensors: dict[str, Tensor] = {
            t.name: torch.zeros(t.concrete(capacity + 1), dtype=getattr(torch, t.dtype), device=device)
            for t in spec.state
        }
        self._lock = threading.Lock()  # of the indices: batches of several threads ask for theirs
        self._indices: OrderedDict[tuple[int, ...], tuple[Tensor, Tensor]] = OrderedDict()
        self._row = {name: (tuple(tensor.shape[1:]), tensor.dtype) for name, tensor in self.tensors.items()}
        self._described: dict[int, dict[str, Described]] = {}

    def described(self, count: int) -> Mapping[str, Described]:
        """What a batch of so many rows looks like."""
        if count not in self._described:
            rows = {name: Described((count, *tail), dtype) for name, (tail, dtype) in self._row.items()}
            self._described[count] = rows
        return self._described[count]

    def index(self, rows: Sequence[int], size: int | None = None) -> tuple[Tensor, Tensor]:
        """Rows as int32 and as int64 on the device, filled up to ``size`` with the padding row."""
        key = (*rows, *[self.capacity] * ((size or 0) - len(rows)))
        with self._lock:
            found = self._indices.pop(key, None)
            if found is None:
                host = torch.tensor(key, dtype=torch.int64)
                if self._device.type == "cuda":
                    host = host.pin_memory()
                wide = host.to(self._device, non_blocking=True)
                found = (wide.to(torch.int32), wide)
            self._indices[key] = found
            while len(self._indices) > KEPT_INDICES:
                self._indices.popitem(last=False)
            return found


class RowsState(Mapping[str, Tensor]):
    """States of some rows of a pool; a tensor is gathered when it is asked for.

    One row is copied too: a model may hand a state on as another one, or as an output, or work in it in
    place, and what it was given must not change when the row is written, nor the row before that.
    """

    def __init__(self, pool: Pool, rows: Sequence[int]) -> None:
        self.pool, self.rows = pool, tuple(rows)

    def __getitem__(self, name: str) -> Tensor:
        return row_copies(self.pool.tensors[name], self.rows, self.pool)

    def __iter__(self) -> Iterator[str]:
        return iter(self.pool.tensors)

    def __len__(self) -> int:
        return len(self.pool.tensors)

    def described(self) -> Mapping[str, Described]:
        """Shapes and types of the tensors, for checks: nothing is copied."""
        return self.pool.described(len(self.rows))


def row_copies(tensor: Tensor, rows: Sequence[int], pool: Pool) -> Tensor:
    """Some rows of a pool's tensor, in memory of their own."""
    if len(rows) == 1:
        return tensor[rows[0] : rows[0] + 1].clone()
    return tensor.index_select(0, pool.index(rows)[0])


class TorchStateStore:
    """Rows of state as PyTorch tensors.

    Args:
        spec, capacity: as ``Runtime.allocate``.
        device: where they are.
        resident: batches are read as ``RowsState``; by default they are copied out at once.
    """

    def __init__(
        self, spec: ModelSpec, capacity: int, device: torch.device, *, resident: bool = False
    ) -> None:
        self.spec, self.capacity, self._resident = spec, capacity, resident
        self.pool = Pool(spec, capacity, device)
        self._rows = self.pool.tensors

    def read(self, rows: Sequence[int]) -> State:
        """See ``StateStore.read``."""
        if self._resident:
            return RowsState(self.pool, rows)
        return {name: row_copies(tensor, rows, self.pool) for name, tensor in self._rows.items()}

    def write(self, rows: Sequence[int], state: State) -> None:
        """See ``StateStore.write``."""
        places = [place for place, row in enumerate(rows) if row >= 0]
        kept = None if len(places) == len(rows) else self.pool.index(places)[1]
        rows = [rows[place] for place in places]
        for name, whole in state.items():
            batch = whole if kept is None else whole.index_select(0, kept)
            assert len(batch) == len(rows), f"{name} has {len(batch)} rows for {len(rows)}"
            if len(rows) == 1:
                self._rows[name][rows[0]].copy_(batch[0])
            elif self._resident:
                self._rows[name].index_copy_(0, self.pool.index(rows)[1], batch)
            else:
                self._rows[name][list(rows)] = batch

    def save_row(self, row: int) -> Arrays:
        """See ``StateStore.save_row``."""
        return {name: tensor[row].cpu().numpy().copy() for name, tensor in self._rows.items()}

    def load_row(self, row: int, arrays: Arrays) -> None:
        """See ``StateStore.load_row``."""
        check_row(self.spec, arrays)
        for name, array in arrays.items():
            self._rows[name][row] = torch.from_numpy(array.copy()).to(self._rows[name].device)

    def clear(self, row: int) -> None:
        """See ``StateStore.clear``."""
        for tensor in self._rows.values():
            tensor[row] = 0
