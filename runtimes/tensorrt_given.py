"""What a call of TensorRT is given, in one block of pinned memory, so that one copy takes all of it.

In the block lie the small inputs, which rows of state the call reads, what the kernel is told of each crop,
and last the pixels of the crops, of which a call takes as much as it needs. Inputs that are crops have memory
of their own on the device: the kernel writes there, as a part of the recorded work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundles import TensorSpec
from .device_crops import LEFT, PIECE, USUAL_SIDE, Pending, describe, is_crop, levels, num_bytes, pack
from .protocol import Arrays, DeviceInput
from .tensorrt_device import MOVE, CudaMemory, DeviceTensor, Layout, moves

ROWS = " rows"
"""The place of what the kernel is told of rows; no tensor's name begins with a space."""


class GivenBlock:
    """Memory for what a function is given, at the largest batch; every batch size has a layout of its own.

    Args:
        tensors: the inputs, sized.
        states: how many tensors of state it reads.
        largest: rows of the largest batch.
        memory: the GPU.
    """

    def __init__(
        self, tensors: Mapping[str, TensorSpec], states: int, largest: int, memory: CudaMemory
    ) -> None:
        self._memory, self._states = memory, states
        crops = {key for key, tensor in tensors.items() if memory.makes_crops and is_crop(tensor)}
        self._small = {key: tensor for key, tensor in tensors.items() if key not in crops}
        self._wide = {key: tensor for key, tensor in tensors.items() if key in crops}
        self._levels = [memory.uploaded("levels", levels(raw=raw)) for raw in (False, True)] if crops else []
        usual = sum(3 * int(USUAL_SIDE * int(tensor.shape[2])) ** 2 for tensor in self._wide.values())
        size = self.layout(largest).bytes + largest * usual
        self._device = memory.empty("given", (size,), "uint8")
        self._host = memory.pinned((size,), "uint8")
        self._images = {key: memory.empty(key, t.concrete(largest), t.dtype) for key, t in self._wide.items()}

    def layout(self, batch: int) -> Layout:
        """Where all but the pixels lies, for a batch."""
        parts = {key: (tensor.concrete(batch), tensor.dtype) for key, tensor in self._small.items()}
        parts |= {ROWS: ((MOVE * self._states + 4 * batch,), "uint8")} if self._states else {}
        return Layout(parts | {f" {key}": ((batch * PIECE.itemsize,), "uint8") for key in self._wide})

    def at(self, batch: int) -> Given:
        """The block for a batch."""
        images = {key: tensor.rows(0, batch) for key, tensor in self._images.items()}
        return Given(self.layout(batch), self._device, self._host, images, self._levels, self._memory)


class Given:
    """What a batch of one size is given: ``tensors`` are the inputs, where the plan reads them."""

    def __init__(
        self,
        layout: Layout,
        device: DeviceTensor,
        host: npt.NDArray[np.uint8],
        images: Mapping[str, DeviceTensor],
        levels: Sequence[DeviceTensor],
        memory: CudaMemory,
    ) -> None:
        self._fixed, self._device, self._host, self._memory = layout.bytes, device, host, memory
        self._images, self._levels = images, levels
        self._at, self._on_host = layout.on_device(device), layout.on_host(host)
        self.tensors = {**{key: one for key, one in self._at.items() if key[0] != " "}, **images}

    def fill(
        self,
        inputs: Arrays,
        batch: int,
        pools: Sequence[DeviceTensor] = (),
        rows: Sequence[int] = (),
        past: Sequence[DeviceTensor] = (),
    ) -> bool:
        """Queues inputs of ``batch`` rows, zeros after them, and the rows of state that are to be read.

        Returns whether the rows were read; they are not where no kernel moves them.
        """
        memory, used = self._memory, self._fixed
        for key, given in inputs.items():
            if key not in self._images:
                self._on_host[key][:batch] = given
                self._on_host[key][batch:] = 0
            elif isinstance(given, DeviceInput):
                used = self._packed(key, given.value, used)
            else:
                self._whole(key, given, batch)
        told = bool(pools) and memory.moves_rows
        if told:
            self._on_host[ROWS][...] = moves(pools, rows, past)
        if used:
            memory.upload(self._host[:used], self._device.rows(0, used))
        if told:
            memory.move(self._at[ROWS].address, pools, len(rows), scatter=False)
        return told

    def crop(self) -> None:
        """Queues the crops of the last ``fill``; recorded once, done at every replay."""
        for key, image in self._images.items():
            self._memory.crop(self._at[f" {key}"].address, image)

    def clear(self) -> None:
        """Queues zeros, for a first run."""
        self._memory.clear(self._device.rows(0, self._fixed))

    def _table(self, key: str) -> npt.NDArray[Any]:
        return self._on_host[f" {key}"].view(PIECE)

    def _packed(self, key: str, given: Pending, used: int) -> int:
        """Puts the pixels of crops behind what is there; where they are too many, into their own block."""
        size, end = num_bytes(given.pieces), used
        if used + size <= len(self._host):
            starts, place = pack(given.pieces, self._host[used:]), self._device.address + used
            end = used + size
        else:
            host, block = np.empty(size, np.uint8), self._memory.empty("pixels", (size,), "uint8")
            starts, place = pack(given.pieces, host), block.address
            self._memory.upload(host, block)  # not pinned, so the driver has taken it when this returns
        levels = self._levels[given.raw].address
        describe(given.pieces, [place + start for start in starts], levels, self._table(key))
        return end

    def _whole(self, key: str, given: npt.NDArray[Any], batch: int) -> None:
        """An input that the host has made."""
        image = self._images[key]
        whole = np.zeros(image.shape, image.dtype)
        whole[:batch] = given
        self._memory.upload(whole, image)
        self._table(key)["side"] = LEFT


def crops_on_host(given: Pending, memory: CudaMemory) -> npt.NDArray[np.float32]:
    """Crops as the device makes them, (batch, 3, size, size), for a look at them."""
    size, rows = given.pieces[0].size, len(given.pieces)
    spec = TensorSpec("crops", "float32", ("batch", 3, size, size))
    with memory.current():
        made = GivenBlock({spec.name: spec}, 0, rows, memory).at(rows)
        inputs: dict[str, Any] = {spec.name: given.part(0, rows)}
        made.fill(inputs, rows)
        made.crop()
        return memory.fetched([made.tensors[spec.name]])[0]
