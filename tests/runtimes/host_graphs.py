"""What stands for CUDA graphs on a CPU: the work is done again at each replay, into the same memory."""

from __future__ import annotations

from collections.abc import Callable

from framestate.runtimes.torch_crops import Launch
from framestate.runtimes.torch_graphs import Tensors

from .host_gpu import HostCrops, HostCuda


def host_crops(table: int, made: int, rows: int, size: int) -> None:
    """The kernel that makes crops, on the host."""
    HostCrops(HostCuda()).prepared_async_call((size**2, rows, 1), (1, 1, 1), None, table, made, size)


class HostRecorder:
    """A ``Recorder`` that counts.

    Args:
        broken: what recording fails with.
    """

    def __init__(self, broken: Exception | None = None) -> None:
        self.recorded = self.replayed = 0
        self.broken = broken
        self.launch: Launch | None = host_crops

    def record(self, work: Callable[[], Tensors]) -> tuple[Callable[[], None], Tensors]:
        """See ``Recorder.record``."""
        if self.broken is not None:
            raise self.broken
        self.recorded += 1
        results = {name: value.clone() for name, value in work().items()}

        def replay() -> None:
            self.replayed += 1
            for name, value in work().items():
                results[name].copy_(value)

        return replay, results
