"""How the frames of a step reach the runtime: one batched call, or one single-threaded call a core.

On a GPU the batch is the lever. On a CPU a batch gains nothing, since one frame keeps the matrix units busy,
and calls side by side do: so each session's frame flies on a core of its own, and waits for no other.
"""

from __future__ import annotations

import os

from ..errors import OptionError
from ..runtimes import Runtime

MOST_TOGETHER = 64
"""Frames of a batch, at most; runtimes record CUDA graphs for so many rows."""
HALVES = 2
"""Batches under way at once: while the GPU runs one, the host reads the answers of the other."""


def num_cores() -> int:
    """Cores that this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1


class Lanes:
    """How many frames fly side by side, or in one batch.

    Args:
        workers: threads that fly frames, each its own; ``HALVES`` where ``batched``.
        batched: one call for the frames of several sessions, padded to a power of two.
        max_batch: most frames of a batch; 1 where not ``batched``.
        padded: make batches powers of two; for runtimes that do not by themselves.
    """

    def __init__(
        self, workers: int = 1, *, batched: bool = False, max_batch: int = MOST_TOGETHER, padded: bool = True
    ) -> None:
        if workers < 1 or max_batch < 1:
            raise OptionError(f"workers is {workers} and max_batch {max_batch}", "give 1 or more")
        self.workers = HALVES if batched else workers
        self.batched, self.padded = batched, padded
        self.max_batch = max_batch if batched else 1

    @classmethod
    def of(cls, runtime: Runtime, workers: int = 1) -> Lanes:
        """The lanes that suit a runtime: a batched call on a GPU, ``workers`` calls side by side on a CPU."""
        return cls(workers, batched=runtime.device != "cpu", padded=not runtime.pads_batches)

    def num_spare(self, size: int) -> int:
        """Padding rows that make ``size`` frames a power of two, so that a GPU sees few batch sizes."""
        if not self.batched or not self.padded or size == 1:
            return 0
        return min(1 << (size - 1).bit_length(), max(self.max_batch, size)) - size
