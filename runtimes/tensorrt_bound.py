"""A TensorRT engine at one size of frames: fixed buffers, and a CUDA graph a batch size.

A batch is padded with rows of zeros to the next size that has a graph. Every size has a context of its own,
since a graph that was recorded from a context stands only as long as its shapes do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..bundles import Size, TensorSpec, past_name
from ..errors import StepError
from .protocol import Arrays, State
from .tensorrt_device import CudaMemory, DeviceTensor
from .tensorrt_plan import padded_size
from .tensorrt_surface import Engine


class Recorder(Protocol):
    """``CudaGraphs``, or nothing that records."""

    def record(self, stream: int, work: Callable[[], None]) -> Callable[[], None]:
        """What ``work`` queues, as a function that queues it again."""


@dataclass(frozen=True)
class Tensors:
    """The tensors of an engine by their names in the graph."""

    inputs: Mapping[str, TensorSpec]
    past: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    present: Mapping[str, TensorSpec]

    @property
    def all(self) -> dict[str, TensorSpec]:
        """All of them."""
        return {**self.inputs, **self.past, **self.outputs, **self.present}

    @property
    def are_sized(self) -> bool:
        """Whether no shape depends on the size of the frames."""
        return all(tensor.is_sized for tensor in self.all.values())

    def sized(self, size: Size) -> Tensors:
        """The same for frames of one size (height, width)."""

        def each(tensors: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
            return {key: tensor.sized(size) for key, tensor in tensors.items()}

        return Tensors(each(self.inputs), each(self.past), each(self.outputs), each(self.present))


class BoundFunction:
    """Buffers for the largest batch, on the device and for transfers, and how each batch size is run.

    Args:
        name: of the function.
        tensors: with all sizes but the batch's.
        engine, memory, graphs: as of ``PlanFunction``.
        sizes: batch sizes that get a graph, ascending.
        profile: which of the engine's profiles takes these sizes; None where it has only one.
    """

    def __init__(
        self,
        name: str,
        tensors: Tensors,
        engine: Engine,
        memory: CudaMemory,
        graphs: Recorder | None,
        sizes: tuple[int, ...],
        profile: int | None,
    ) -> None:
        self.name, self._tensors, self._engine, self._memory = name, tensors, engine, memory
        self._graphs, self._sizes, self._profile = graphs, sizes, profile
        with memory.current():
            self._buffers = {
                key: memory.empty(key, tensor.concrete(sizes[-1]), tensor.dtype)
                for key, tensor in tensors.all.items()
            }
            self._host: dict[str, npt.NDArray[Any]] = {
                key: memory.pinned(tensor.concrete(sizes[-1]), tensor.dtype)
                for key, tensor in {**tensors.inputs, **tensors.outputs}.items()
            }
        self._runs: dict[int, Callable[[], None]] = {}
        self._contexts: list[Any] = []

    def resident(self, name: str, value: Any) -> DeviceTensor:
        """A state tensor on the device: as a store or a call gave it, or a host array, which is copied."""
        if isinstance(value, DeviceTensor):
            return value
        return self._memory.uploaded(name, np.asarray(value, self._buffers[past_name(name)].dtype))

    def run(self, inputs: Arrays, state: State, batch: int) -> tuple[Arrays, State]:
        """Outputs and written state of a batch that the plan takes. Raises StepError."""
        memory, size = self._memory, padded_size(batch, self._sizes)
        with memory.current():
            for key, array in inputs.items():
                host = self._host[key]
                host[:batch], host[batch:size] = array, 0
                memory.upload(host[:size], self._buffers[key].rows(0, size))
            for key, tensor in state.items():
                buffer = self._buffers[past_name(key)]
                memory.copy(tensor, buffer.rows(0, batch))
                memory.clear(buffer.rows(batch, size - batch))
            if size not in self._runs:
                self._runs[size] = self._prepare(size)
            self._runs[size]()
            written = {}
            for key, spec in self._tensors.present.items():
                source = self._buffers[key].rows(0, batch)
                written[spec.name] = memory.empty(spec.name, source.shape, source.dtype)
                memory.copy(source, written[spec.name])
            for key in self._tensors.outputs:
                memory.download(self._buffers[key].rows(0, batch), self._host[key][:batch])
            memory.wait()
        return {key: self._host[key][:batch].copy() for key in self._tensors.outputs}, written

    def _prepare(self, size: int) -> Callable[[], None]:
        """How to run a batch of one size; the first run of it is made here, so that all is tuned."""
        context = self._engine.create_execution_context()
        if context is None:
            raise StepError(
                f"TensorRT has no memory for {self.name} with {size} rows", "build it for smaller batches"
            )
        self._contexts.append(context)
        stream = self._memory.stream.handle
        if self._profile is not None:
            if not context.set_optimization_profile_async(self._profile, stream):
                raise StepError(f"TensorRT refuses profile {self._profile} of {self.name}", "report this")
            self._memory.wait()
        for key, tensor in {**self._tensors.inputs, **self._tensors.past}.items():
            if not context.set_input_shape(key, tensor.concrete(size)):
                raise StepError(f"TensorRT refuses {size} rows of {key!r}", "build the plan for such batches")
        for key, buffer in self._buffers.items():
            if not context.set_tensor_address(key, buffer.address):
                raise StepError(f"TensorRT refuses the address of {key!r}", "report this")

        def run() -> None:
            if not context.execute_async_v3(stream):
                raise StepError(f"TensorRT failed in {self.name}", "the state is unchanged")

        if self._graphs is None:
            return run
        run()
        self._memory.wait()
        return self._graphs.record(stream, run)
