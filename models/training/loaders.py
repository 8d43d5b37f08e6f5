"""Samples of any task into batches, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

AHEAD = 4
"""Batches that each loader process keeps ready."""


def batches_of(data: Dataset[dict[str, Any]], batch: int, workers: int) -> Iterator[dict[str, Tensor]]:
    """Batches of a data set's samples; ``workers`` processes make them, or this one where it is 0."""
    yield from DataLoader(
        data,
        batch,
        num_workers=workers,
        worker_init_fn=one_thread,
        prefetch_factor=AHEAD if workers else None,
    )


def one_thread(_: int) -> None:
    """Loader processes stay on one thread each: two multi-threaded programs slow each other down badly."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
