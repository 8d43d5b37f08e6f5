"""State that stays on ONNX Runtime's device, moved and bound by address.

Only what ONNX Runtime documents is used: ``OrtValue`` for memory, ``IOBinding`` with addresses for reading a
row where it lies and for writing into one. With one session a call reads the row in place; with several, rows
are gathered by one copy each.

On CUDA this is NOT RUN: it was written to the documented interface (onnxruntime-gpu) on a machine without a
GPU. The same code runs in the tests with the device "cpu", where an address is an address too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from ..bundles import ModelSpec, TensorSpec
from .checks import check_row
from .onnx_small_graphs import copy_graph, sound_graph
from .protocol import Arrays, State

OpenSession = Callable[[bytes], Any]


@dataclass(frozen=True, eq=False)
class DeviceTensor:
    """A batch of one state tensor on the device; ``owner`` keeps its memory, ``copier`` moves it."""

    name: str
    address: int
    shape: tuple[int, ...]
    dtype: str
    owner: Any
    copier: Copier

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self.copier.to_host([self])[self.name]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> DeviceTensor:
        first, end, step = part.indices(self.shape[0])
        assert step == 1, "rows that follow one another"
        return self.rows(first, max(0, end - first))

    def rows(self, first: int, count: int) -> DeviceTensor:
        """Some rows, where they lie."""
        size = int(np.prod(self.shape[1:], dtype=np.int64)) * np.dtype(self.dtype).itemsize
        shape = (count, *self.shape[1:])
        return DeviceTensor(
            self.name, self.address + first * size, shape, self.dtype, self.owner, self.copier
        )


class Copier:
    """Moves tensors on a device, between it and the host, and looks for numbers that are not finite.

    Args:
        tensors: of the state.
        device: "cpu" or "cuda"; the first one of its kind.
        open_session: opens a graph on that device.
    """

    def __init__(self, tensors: Sequence[TensorSpec], device: str, open_session: OpenSession) -> None:
        self.device = device
        self._open = open_session
        self._kinds = {tensor.name: (tensor.dtype, len(tensor.shape)) for tensor in tensors}
        self._copies: dict[tuple[str, ...], Any] = {}
        self._checks: dict[tuple[str, ...], Any] = {}

    def prepare(self, names: Sequence[str]) -> None:
        """Opens what moving and checking just these tensors takes, so that no call has to."""
        key = tuple(names)
        if not key or key in self._copies:
            return
        self._copies[key] = self._open(copy_graph({name: self._kinds[name] for name in key}))
        floats = tuple(name for name in key if np.dtype(self._kinds[name][0]).kind == "f")
        if floats:
            self._checks[key] = self._open(sound_graph({name: self._kinds[name] for name in floats}))

    def empty(self, tensor: TensorSpec, batch: int) -> DeviceTensor:
        """New memory for a batch; what is in it is not defined."""
        return self._memory(tensor.name, tensor.concrete(batch), tensor.dtype)

    def _memory(self, name: str, shape: Sequence[int], dtype: str) -> DeviceTensor:
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            tuple(shape), np.dtype(dtype), self.device, 0
        )
        return self.wrap(name, value, shape)

    def wrap(self, name: str, value: Any, shape: Sequence[int] | None = None) -> DeviceTensor:
        """An OrtValue as a tensor of the state."""
        found = tuple(value.shape() if shape is None else shape)
        return DeviceTensor(name, value.data_ptr(), found, self._kinds[name][0], value, self)

    def copy(self, source: Sequence[DeviceTensor], target: Sequence[DeviceTensor]) -> None:
        """Copies tensors of equal names and shapes on the device."""
        session = self._copies[tuple(tensor.name for tensor in source)]
        binding = session.io_binding()
        for tensor in source:
            bind_input(binding, f"in.{tensor.name}", tensor, self.device)
        for tensor in target:
            binding.bind_output(
                f"out.{tensor.name}", self.device, 0, np.dtype(tensor.dtype), tensor.shape, tensor.address
            )
        session.run_with_iobinding(binding)

    def joined(self, tensors: Sequence[DeviceTensor]) -> DeviceTensor:
        """Batches of one tensor, one after another, in memory of its own."""
        like, first = tensors[0], 0
        self.prepare([like.name])
        whole = self._memory(like.name, (sum(map(len, tensors)), *like.shape[1:]), like.dtype)
        for tensor in tensors:
            self.copy([replace(tensor, name=like.name)], [whole.rows(first, len(tensor))])
            first += len(tensor)
        return whole

    def uploaded(self, name: str, array: npt.NDArray[Any]) -> DeviceTensor:
        """A host array on the device, as the state tensor ``name``."""
        self.prepare([name])
        made = self._memory(name, array.shape, str(array.dtype))
        self.to_device({name: array}, [made])
        return made

    def to_device(self, arrays: Arrays, target: Sequence[DeviceTensor]) -> None:
        """Copies host arrays into tensors of equal names and shapes."""
        session = self._copies[tuple(tensor.name for tensor in target)]
        binding = session.io_binding()
        for tensor in target:
            array = np.ascontiguousarray(arrays[tensor.name]).reshape(tensor.shape)
            binding.bind_cpu_input(f"in.{tensor.name}", array)
            binding.bind_output(
                f"out.{tensor.name}", self.device, 0, np.dtype(tensor.dtype), tensor.shape, tensor.address
            )
        session.run_with_iobinding(binding)

    def to_host(self, source: Sequence[DeviceTensor]) -> Arrays:
        """The tensors as new host arrays."""
        names = tuple(tensor.name for tensor in source)
        self.prepare(names)
        session = self._copies[names]
        binding = session.io_binding()
        for tensor in source:
            bind_input(binding, f"in.{tensor.name}", tensor, self.device)
            binding.bind_output(f"out.{tensor.name}")
        session.run_with_iobinding(binding)
        return {
            name: np.array(value) for name, value in zip(names, binding.copy_outputs_to_cpu(), strict=True)
        }

    def broken(self, tensors: Sequence[DeviceTensor]) -> str | None:
        """The name of a tensor that holds NaN or infinity, None when all are finite."""
        floats = [tensor for tensor in tensors if np.dtype(tensor.dtype).kind == "f"]
        if not floats:
            return None
        session = self._checks[tuple(tensor.name for tensor in tensors)]
        binding = session.io_binding()
        for tensor in floats:
            bind_input(binding, f"in.{tensor.name}", tensor, self.device)
            binding.bind_output(f"out.{tensor.name}")
        session.run_with_iobinding(binding)
        sums = zip(floats, binding.copy_outputs_to_cpu(), strict=True)
        return next((tensor.name for tensor, value in sums if not np.isfinite(value).all()), None)


def bind_input(binding: Any, name: str, tensor: DeviceTensor, device: str) -> None:
    """Lets a run read a tensor where it lies."""
    binding.bind_input(name, device, 0, np.dtype(tensor.dtype), tensor.shape, tensor.address)


class DeviceStateStore:
    """One tensor a state tensor on the device, (capacity + 1, ...); the last row is the padding row."""

    def __init__(self, spec: ModelSpec, capacity: int, copier: Copier) -> None:
        self.spec, self.capacity = spec, capacity
        self._copier = copier
        self._rows = {tensor.name: copier.empty(tensor, capacity + 1) for tensor in spec.state}
        copier.prepare(list(self._rows))
        for row in range(capacity + 1):
            self.clear(row)

    def read(self, rows: Sequence[int]) -> State:
        """See ``StateStore.read``. One row, and rows that follow one another, come as views."""
        first = rows[0]
        if list(rows) == list(range(first, first + len(rows))):
            return {name: pool.rows(first, len(rows)) for name, pool in self._rows.items()}
        batch = {t.name: self._copier.empty(t, len(rows)) for t in self.spec.state}
        for place, row in enumerate(rows):
            self._copier.copy(self._row(row), [tensor.rows(place, 1) for tensor in batch.values()])
        return batch

    def write(self, rows: Sequence[int], state: Mapping[str, Any]) -> None:
        """See ``StateStore.write``."""
        if not state:
            return
        for name, batch in state.items():
            assert len(batch) == len(rows), f"{name} has {len(batch)} rows for {len(rows)}"
        self._copier.prepare(list(state))
        for place, row in enumerate(rows):
            if row < 0:
                continue
            source = [tensor.rows(place, 1) for tensor in state.values()]
            self._copier.copy(source, [self._rows[name].rows(row, 1) for name in state])

    def save_row(self, row: int) -> Arrays:
        """See ``StateStore.save_row``."""
        return {name: array[0] for name, array in self._copier.to_host(self._row(row)).items()}

    def load_row(self, row: int, arrays: Arrays) -> None:
        """See ``StateStore.load_row``."""
        check_row(self.spec, arrays)
        self._copier.to_device(arrays, self._row(row))

    def clear(self, row: int) -> None:
        """See ``StateStore.clear``."""
        zeros = {tensor.name: np.zeros(tensor.concrete(1), tensor.dtype) for tensor in self.spec.state}
        self._copier.to_device(zeros, self._row(row))

    def _row(self, row: int) -> list[DeviceTensor]:
        return [pool.rows(row, 1) for pool in self._rows.values()]
