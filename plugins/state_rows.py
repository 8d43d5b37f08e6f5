"""``StateRows``: states of sessions named by their rows, where they lie, instead of copied into a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .gradients import refuse_gradients

NO_ROW = -1
"""An index that names no row: an empty state is read for it, and nothing is written."""


@dataclass(frozen=True, eq=False)
class StateRows:
    """A batch of states of one kind, as rows of the memory that holds all of them.

    Attributes:
        pool: all rows, (rows, ...), contiguous.
        index: (B,), int32, on the pool's device: the row of each place of the batch, or ``NO_ROW``. Rows
            that are written must not come twice. It is not looked at on the host, so that it may be static
            memory of a CUDA graph; who makes it sees to it that it stays within the pool.
    """

    pool: Tensor
    index: Tensor

    def __post_init__(self) -> None:
        if self.index.dim() != 1 or self.index.dtype != torch.int32:
            shape = tuple(self.index.shape)
            raise ValueError(f"index is {self.index.dtype} {shape}; it must be int32 and (batch,)")
        if not self.pool.is_contiguous():
            raise ValueError(f"the pool of shape {tuple(self.pool.shape)} is not contiguous; it must be")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the batch that the rows make."""
        return (len(self.index), *self.pool.shape[1:])

    def gathered(self, empty: float = 0.0) -> Tensor:
        """The batch as a tensor of its own; ``empty`` fills the places without a row."""
        found = self.pool.index_select(0, self.index.clamp(min=0))
        missing = (self.index < 0).reshape(-1, *(1 for _ in self.pool.shape[1:]))
        return found.masked_fill(missing, empty)

    def scatter(self, batch: Tensor) -> None:
        """Puts a batch into the rows; the places without a row are left out. For checks: it asks the host."""
        kept = self.index >= 0
        self.pool[self.index[kept].long()] = batch[kept].to(self.pool.dtype)

    def overlaps(self, other: StateRows) -> bool:
        """Whether both are rows of one memory, some of which may then be the same."""
        return self.pool.untyped_storage().data_ptr() == other.pool.untyped_storage().data_ptr()


State = Tensor | StateRows | None


def split(state: State) -> tuple[Tensor | None, Tensor | None]:
    """Memory and index of a state: its pool and rows, or the batch itself and None."""
    if isinstance(state, StateRows):
        return state.pool, state.index
    return state, None


def check_rows(operator: str, like: Tensor, state: State, into: StateRows | None) -> None:
    """Raises ValueError unless rows are of the batch, device and type that the operator's kernel reads.

    ``like`` is a batch of its states, real or on the device ``meta``.
    """
    for name, rows in (("state", state), ("into", into)):
        if not isinstance(rows, StateRows):
            continue
        refuse_gradients(f"the Triton kernel of {operator}", rows.pool)
        if rows.shape != tuple(like.shape) or rows.pool.dtype != like.dtype:
            raise ValueError(
                f"the rows of {name} are {rows.pool.dtype} {rows.shape}; "
                f"{operator} takes {like.dtype} {tuple(like.shape)}"
            )


def gathering(operator: Callable[..., Any]) -> Callable[..., Any]:
    """An operator that takes a batch of states, made to take rows too: it copies them out first."""

    def call(*arguments: Any, **options: Any) -> Any:
        return operator(
            *(as_batch(one) for one in arguments), **{key: as_batch(one) for key, one in options.items()}
        )

    return call


def as_batch(value: Any) -> Any:
    """Rows, alone or in tuples, as tensors of their own; all else as it is."""
    if isinstance(value, StateRows):
        return value.gathered()
    if isinstance(value, tuple):
        return tuple(as_batch(one) for one in value)
    return value
