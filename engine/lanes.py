"""How the frames of a step reach the runtime: one batched call, or one single-threaded call a core.

On a GPU the batch is the lever. On a CPU a batch gains nothing, since one frame keeps the matrix units busy,
and calls side by side do: so each frame is prepared, run and decoded on a core of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from ..errors import OptionError
from ..runtimes import Arrays, Runtime, State

Work = TypeVar("Work")
Result = TypeVar("Result")


def num_cores() -> int:
    """Cores that this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1


class Lanes:
    """Runs a function over the frames of a step.

    Args:
        workers: calls side by side; ignored where ``batched``.
        batched: one call for all frames of a step, padded to a power of two.
        max_batch: most frames of a step; None is ``workers``, or 16 where batched.
        padded: make batches powers of two; for runtimes that do not by themselves.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        batched: bool = False,
        max_batch: int | None = None,
        padded: bool = True,
    ) -> None:
        if workers < 1 or (max_batch is not None and max_batch < 1):
            raise OptionError(f"workers is {workers} and max_batch {max_batch}", "give 1 or more")
        self.workers = workers
        self.batched, self.padded = batched, padded
        self.max_batch = max_batch or (16 if batched else workers)
        self._pool = (
            ThreadPoolExecutor(workers - 1, thread_name_prefix="framestate-lane")
            if workers > 1 and not batched
            else None
        )

    @classmethod
    def of(cls, runtime: Runtime, workers: int = 1) -> Lanes:
        """The lanes that suit a runtime: a batched call on a GPU, ``workers`` calls side by side on a CPU."""
        return cls(workers, batched=runtime.device != "cpu", padded=not runtime.pads_batches)

    def run(self, function: Callable[[Sequence[Work]], Result], batch: Sequence[Work]) -> list[Result]:
        """The function's results over parts of the batch, in order. The caller's thread is one of the lanes.

        The function must not raise ``Exception``: what fails a part is a result too.
        """
        if self.batched or len(batch) == 1:
            return [function(batch)]
        if self._pool is None:
            return [function([work]) for work in batch]
        results: list[Result] = []
        for start in range(0, len(batch), self.workers):
            first, *others = batch[start : start + self.workers]
            futures = [self._pool.submit(function, [work]) for work in others]
            results += [function([first]), *(future.result() for future in futures)]
        return results

    def num_spare(self, size: int) -> int:
        """Padding rows that make ``size`` frames a power of two, so that a GPU sees few batch sizes."""
        if not self.batched or not self.padded or size == 1:
            return 0
        return min(1 << (size - 1).bit_length(), max(self.max_batch, size)) - size

    def close(self) -> None:
        """Ends the worker threads."""
        if self._pool is not None:
            self._pool.shutdown()


def pad(inputs: Arrays, spare: int) -> Arrays:
    """Inputs with their last row repeated ``spare`` times."""
    if not spare:
        return inputs
    return {
        name: np.concatenate([array, np.repeat(array[-1:], spare, axis=0)]) for name, array in inputs.items()
    }


def trim(state: State, size: int) -> State:
    """The first ``size`` rows of a batch of states."""
    return {name: batch[:size] for name, batch in state.items()}
