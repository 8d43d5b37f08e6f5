"""Samples of any task into batches, in their order; of several processes, each makes its share of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ...errors import OptionError
from .distributed import Ranks, current

AHEAD = 4
"""Batches that each loader process keeps ready."""


def batches_of(data: Dataset[dict[str, Any]], batch: int, workers: int) -> Iterator[dict[str, Tensor]]:
    """Batches of a data set's samples; ``workers`` processes make them, or this one where it is 0.

    Where several processes train (see ``distributed``), these are this one's shares of the batches.

    Raises OptionError where a batch cannot be shared out evenly.
    """
    yield from DataLoader(
        data,
        batch_sampler=Shares(len(data), batch, current()),  # type: ignore[arg-type]
        num_workers=workers,
        worker_init_fn=one_thread,
        prefetch_factor=AHEAD if workers else None,
        pin_memory=torch.cuda.is_available(),
    )


def moved(batches: Iterable[dict[str, Tensor]], device: torch.device) -> Iterator[dict[str, Tensor]]:
    """The batches on a device: the loop does this for what is learned from, a validation for itself."""
    for batch in batches:
        yield {name: value.to(device, non_blocking=True) for name, value in batch.items()}


class Shares(Sampler[list[int]]):
    """The samples of each batch in order, or one process's share of them; the last batch may be smaller."""

    def __init__(self, count: int, batch: int, ranks: Ranks) -> None:
        if batch % ranks.world:
            raise OptionError(
                f"a batch is {batch}, and {ranks.world} processes train",
                "make the batch a multiple of their number",
            )
        self.count, self.batch, self.ranks = count, batch, ranks

    def __len__(self) -> int:
        return (self.count + self.batch - 1) // self.batch

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch // self.ranks.world
        for start in range(0, self.count, self.batch):
            first = start + self.ranks.rank * share
            yield list(range(first, min(first + share, self.count)))


def one_thread(_: int) -> None:
    """Loader processes stay on one thread each: two multi-threaded programs slow each other down badly."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
