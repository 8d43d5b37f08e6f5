"""What stands for CUDA graphs on a CPU: the work is done again at each replay, into the same memory."""

from __future__ import annotations

from collections.abc import Callable

from framestate.runtimes.torch_graphs import Tensors


class HostRecorder:
    """A ``Recorder`` that counts.

    Args:
        broken: what recording fails with.
    """

    def __init__(self, broken: Exception | None = None) -> None:
        self.recorded = self.replayed = 0
        self.broken = broken

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
