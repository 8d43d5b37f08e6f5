"""Machine code on a GPU by the CUDA driver's own interface, for plugins that TensorRT hands a bare stream.

pycuda launches on streams that it made itself only, and a plugin is given TensorRT's as a number. What is
used here is the documented driver API: ``cuModuleLoadData``, ``cuModuleGetFunction``, ``cuLaunchKernel``.
NOT RUN: written on a machine without a GPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

LIBRARY = "libcuda.so.1"


class Driver:
    """The CUDA driver. Raises RuntimeError where there is none."""

    def __init__(self, library: str = LIBRARY) -> None:
        try:
            self._cuda = ctypes.CDLL(library)
        except OSError as error:
            raise RuntimeError(f"the CUDA driver cannot be opened ({error})") from error

    def load(self, cubin: bytes, name: str) -> int:
        """A kernel of some machine code, in the current context; it stays loaded as long as that does."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self._check("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(cubin))
        self._check("cuModuleGetFunction", ctypes.byref(function), module, ctypes.c_char_p(name.encode()))
        assert function.value is not None
        return function.value

    def launch(
        self,
        function: int,
        grid: tuple[int, int, int],
        threads: int,
        shared: int,
        stream: int,
        arguments: Sequence[ctypes._SimpleCData[int] | ctypes.c_void_p],
    ) -> None:
        """Queues a kernel on a stream; its arguments are pointers and integers, as ctypes values."""
        addresses = (ctypes.c_void_p * len(arguments))(
            *(ctypes.cast(ctypes.pointer(one), ctypes.c_void_p) for one in arguments)
        )
        sizes = [ctypes.c_uint(size) for size in (*grid, threads, 1, 1, shared)]
        handles = [ctypes.c_void_p(function), *sizes, ctypes.c_void_p(stream), addresses, None]
        self._check("cuLaunchKernel", *handles)

    def _check(self, name: str, *arguments: object) -> None:
        code = int(getattr(self._cuda, name)(*arguments))
        if code:
            raise RuntimeError(f"{name} of the CUDA driver failed with {code}")
