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


class CudaGraphs:
    """Records and replays. Raises RuntimeError where there is no CUDA driver, or a call of it fails."""

    def __init__(self, library: str = LIBRARY) -> None:
        try:
            self._cuda: Any = ctypes.CDLL(library)
        except OSError as error:
            raise RuntimeError(f"the CUDA driver cannot be opened ({error})") from error

    def record(self, stream: int, work: Callable[[], None]) -> Callable[[], None]:
        """What ``work`` queues on the stream, as a function that queues it again; it is not run yet."""
        graph, ready, queue = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p(stream)
        self._check("cuStreamBeginCapture_v2", queue, ctypes.c_int(THREAD_LOCAL))
        try:
            work()
        finally:
            self._check("cuStreamEndCapture", queue, ctypes.byref(graph))
        self._check("cuGraphInstantiateWithFlags", ctypes.byref(ready), graph, ctypes.c_ulonglong(0))
        self._check("cuGraphDestroy", graph)
        return lambda: self._check("cuGraphLaunch", ready, queue)

    def _check(self, name: str, *arguments: Any) -> None:
        code = int(getattr(self._cuda, name)(*arguments))
        if code:
            raise RuntimeError(f"{name} of the CUDA driver failed with {code}")
