"""Crops on the eager runtime's device, by the kernel ``crop_rows``, out of the pixels that the host cut.

The host copies the pixels of all pieces, as bytes, into one block of pinned memory, and one transfer takes
the block over. Where a call is a CUDA graph, the kernel is a part of it.

On a GPU this was NOT RUN; the tests run it on CPU tensors, over a stand-in for the kernel.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .device_crops import KERNEL, PIECE, Pending, describe, levels, num_bytes, pack
from .driver_kernels import DriverKernel

THREADS = 256
Launch = Callable[[int, int, int, int], None]
"""Queues the kernel: address of the table, address of what it makes, rows, size."""


def cuda_launch() -> Launch:
    """The kernel on PyTorch's current stream. Raises RuntimeError where the driver does not take it."""
    kernel = DriverKernel(KERNEL)

    def launch(table: int, made: int, rows: int, size: int) -> None:
        grid, stream = (-(-size * size // THREADS), rows, 1), torch.cuda.current_stream().cuda_stream
        kernel(grid, THREADS, stream, ctypes.c_void_p(table), ctypes.c_void_p(made), ctypes.c_uint(size))

    return launch


class TorchCrops:
    """Makes crops, and sends the pixels that they are made of.

    Args:
        device: where.
        launch: queues the kernel there.
    """

    def __init__(self, device: torch.device, launch: Launch) -> None:
        self._device, self._on_gpu, self.launch = device, device.type == "cuda", launch
        self._levels = [torch.from_numpy(levels(raw=raw).copy()).to(device) for raw in (False, True)]
        self._pinned = torch.empty(0, dtype=torch.uint8, pin_memory=self._on_gpu)
        self._taken: Any = None  # an event: the last transfer has left the pinned memory
        self._lock = threading.Lock()

    @torch.inference_mode()
    def __call__(self, given: Pending) -> Tensor:
        """The crops of a batch, (batch, 3, size, size) float32."""
        rows, size = len(given.pieces), given.pieces[0].size
        table = np.zeros(rows, PIECE)
        pixels = self.send(given, table)
        told = torch.from_numpy(table.view(np.uint8)).to(self._device)
        made = torch.empty(rows, 3, size, size, device=self._device)
        self.launch(told.data_ptr(), made.data_ptr(), rows, size)
        assert len(pixels), "they are kept until here: what is queued on one stream is done in order"
        return made

    def send(self, given: Pending, table: npt.NDArray[Any]) -> Tensor:
        """Queues the pixels' transfer, and tells of them in a table; keep them until the launch."""
        size = max(1, num_bytes(given.pieces))
        with self._lock:
            if self._taken is not None:
                self._taken.synchronize()
            if len(self._pinned) < size:
                self._pinned = torch.empty(2 * size, dtype=torch.uint8, pin_memory=self._on_gpu)
            starts = pack(given.pieces, self._pinned.numpy())
            pixels = torch.empty(size, dtype=torch.uint8, device=self._device)
            pixels.copy_(self._pinned[:size], non_blocking=True)
            if self._on_gpu:
                self._taken = torch.cuda.current_stream().record_event()
        places = [pixels.data_ptr() + start for start in starts]
        describe(given.pieces, places, self._levels[given.raw].data_ptr(), table)
        return pixels
