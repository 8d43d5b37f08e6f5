"""Kernels of ours where there is no pycuda: loaded and launched by the driver's own interface.

NOT RUN: written on a machine without a GPU.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from .cuda_graphs import LIBRARY, check


class DriverKernel:
    """The kernel of a PTX file, named as the file. The GPU's context has to be current.

    Raises RuntimeError where there is no driver, or where it does not take the kernel.
    """

    def __init__(self, path: Path, library: str = LIBRARY) -> None:
        try:
            self._cuda: Any = ctypes.CDLL(library)
        except OSError as error:
            raise RuntimeError(f"the CUDA driver cannot be opened ({error})") from error
        self._module, self._function = ctypes.c_void_p(), ctypes.c_void_p()
        code = ctypes.c_char_p(path.read_bytes())
        check(self._cuda, "cuModuleLoadData", ctypes.byref(self._module), code)
        name = ctypes.c_char_p(path.stem.encode())
        check(self._cuda, "cuModuleGetFunction", ctypes.byref(self._function), self._module, name)

    def __call__(self, grid: tuple[int, int, int], threads: int, stream: int, *arguments: Any) -> None:
        """Queues it on a stream; the arguments are values of ctypes."""
        places = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(one) for one in arguments))
        sizes = [ctypes.c_uint(side) for side in (*grid, threads, 1, 1, 0)]
        check(self._cuda, "cuLaunchKernel", self._function, *sizes, ctypes.c_void_p(stream), places, None)
