"""CUDA graphs by the driver's own interface: pycuda has none.

A graph is what a stream was given between two calls, kept to be queued again as one piece; that saves most of
what it costs to launch dozens of small kernels. NOT RUN: written on a machine without a GPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

LIBRARY = "libcuda.so.1"
THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on allocating


class CaptureError(RuntimeError):
    """Work cannot be recorded; it may still be done as it is."""


class Replay:
    """Recorded work: a call queues it again. Close it in the context that it was recorded in."""

    def __init__(self, cuda: Any, ready: ctypes.c_void_p, stream: ctypes.c_void_p) -> None:
        self._cuda, self._ready, self._stream = cuda, ready, stream

    def __call__(self) -> None:
        """Queues it."""
        check(self._cuda, "cuGraphLaunch", self._ready, self._stream)

    def close(self) -> None:
        """Gives its memory back to the driver. Closing twice is harmless."""
        ready, self._ready = self._ready, ctypes.c_void_p()
        if ready.value:
            check(self._cuda, "cuGraphExecDestroy", ready)


class CudaGraphs:
    """Records. Raises RuntimeError where there is no CUDA driver."""

    def __init__(self, library: str = LIBRARY) -> None:
        try:
            self._cuda: Any = ctypes.CDLL(library)
        except OSError as error:
            raise RuntimeError(f"the CUDA driver cannot be opened ({error})") from error

    def record(self, stream: int, work: Callable[[], None]) -> Replay:
        """What ``work`` queues on the stream; it is not run yet. Nobody else may use the stream meanwhile.

        Raises CaptureError where it cannot be recorded; the stream is as before.
        """
        graph, ready, queue = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p(stream)
        try:
            check(self._cuda, "cuStreamBeginCapture_v2", queue, ctypes.c_int(THREAD_LOCAL))
            try:
                work()
            finally:
                ended = int(self._cuda.cuStreamEndCapture(queue, ctypes.byref(graph)))
            if ended:
                raise RuntimeError(f"cuStreamEndCapture of the CUDA driver failed with {ended}")
            check(
                self._cuda, "cuGraphInstantiateWithFlags", ctypes.byref(ready), graph, ctypes.c_ulonglong(0)
            )
        except Exception as error:  # work was run before, so whatever it says now is about recording it
            raise CaptureError(str(error)) from error
        finally:
            if graph.value:
                check(self._cuda, "cuGraphDestroy", graph)
        return Replay(self._cuda, ready, queue)


def check(cuda: Any, name: str, *arguments: Any) -> None:
    """Calls a function of the driver. Raises RuntimeError unless it succeeds."""
    code = int(getattr(cuda, name)(*arguments))
    if code:
        raise RuntimeError(f"{name} of the CUDA driver failed with {code}")
