"""State rows in host memory, for runtimes that work on NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..bundles import ModelSpec
from .checks import check_row
from .protocol import Arrays, State


class HostStateStore:
    """One array a state tensor, (capacity + 1, ...); the last row is the padding row."""

    def __init__(self, spec: ModelSpec, capacity: int) -> None:
        self.spec, self.capacity = spec, capacity
        self._rows: Arrays = {t.name: np.zeros(t.concrete(capacity + 1), t.dtype) for t in spec.state}

    def read(self, rows: Sequence[int]) -> State:
        """See ``StateStore.read``."""
        if len(rows) == 1:  # a copy of a slice costs a third of one by a list
            row = rows[0]
            return {name: array[row : row + 1].copy() for name, array in self._rows.items()}
        picked = list(rows)
        return {name: array[picked] for name, array in self._rows.items()}

    def write(self, rows: Sequence[int], state: State) -> None:
        """See ``StateStore.write``."""
        one = len(rows) == 1  # a slice costs a third of a list
        picked: Any = slice(rows[0], rows[0] + 1) if one else [row for row in rows if row >= 0]
        kept = None if one or len(picked) == len(rows) else [row >= 0 for row in rows]
        for name, batch in state.items():
            assert len(batch) == len(rows), f"{name} has {len(batch)} rows for {len(rows)}"
            self._rows[name][picked] = batch if kept is None else batch[kept]

    def save_row(self, row: int) -> Arrays:
        """See ``StateStore.save_row``."""
        return {name: array[row].copy() for name, array in self._rows.items()}

    def load_row(self, row: int, arrays: Arrays) -> None:
        """See ``StateStore.load_row``."""
        check_row(self.spec, arrays)
        for name, array in arrays.items():
            self._rows[name][row] = array

    def clear(self, row: int) -> None:
        """See ``StateStore.clear``."""
        for array in self._rows.values():
            array[row] = 0
