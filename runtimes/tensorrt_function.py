"""One function of a model as a TensorRT engine: fixed buffers, and a CUDA graph a batch size.

A batch is padded with rows of zeros to the next size that has a graph. Every size has a context of its own,
since a graph that was recorded from a context stands only as long as its shapes do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..bundles import FunctionSpec, ModelSpec, TensorSpec, past_name, present_name
from ..errors import BundleError, StepError
from .protocol import Arrays, State, not_finite
from .tensorrt_device import CudaMemory, DeviceTensor
from .tensorrt_plan import SOUND, padded_size
from .tensorrt_surface import Engine


class Recorder(Protocol):
    """``CudaGraphs``, or nothing that records."""

    def record(self, stream: int, work: Callable[[], None]) -> Callable[[], None]:
        """What ``work`` queues, as a function that queues it again."""


class PlanFunction:
    """A deserialised plan with its buffers.

    Args:
        name, described: the function.
        model: whose function it is.
        engine: its plan.
        memory: the GPU.
        graphs: records CUDA graphs; None runs every call anew.
        sizes: batch sizes that get a graph, ascending.

    Raises BundleError where the plan's tensors are not the manifest's.
    """

    def __init__(
        self,
        name: str,
        described: FunctionSpec,
        model: ModelSpec,
        engine: Engine,
        memory: CudaMemory,
        graphs: Recorder | None,
        sizes: tuple[int, ...],
    ) -> None:
        self.name, self.spec, self._engine, self._memory = name, described, engine, memory
        self._graphs, self._sizes = graphs, sizes
        self._states = {tensor.name: tensor for tensor in model.state}
        self._inputs = {tensor.name: tensor for tensor in described.inputs}
        self._past = {past_name(key): self._states[key] for key in described.reads_state}
        self._outputs = {tensor.name: tensor for tensor in described.outputs}
        if described.writes_state:
            self._outputs[SOUND] = TensorSpec(SOUND, "float32", ("batch",))
        self._present = {present_name(key): self._states[key] for key in described.writes_state}
        self._check()
        with memory.current():
            self._buffers = {
                key: memory.empty(key, tensor.concrete(sizes[-1]), tensor.dtype)
                for key, tensor in self._tensors().items()
            }
            self._host: dict[str, npt.NDArray[Any]] = {
                key: memory.pinned(tensor.concrete(sizes[-1]), tensor.dtype)
                for key, tensor in {**self._inputs, **self._outputs}.items()
            }
        self._runs: dict[int, Callable[[], None]] = {}
        self._contexts: list[Any] = []

    def run(self, inputs: Arrays, state: State, batch: int) -> tuple[Arrays, State]:
        """A call over checked inputs; more rows than the plan takes go in pieces.

        Raises StepError; nothing that was given has changed.
        """
        most = self._sizes[-1]
        parts = []
        for first in range(0, batch, most):
            count = min(most, batch - first)
            rows = {key: array[first : first + count] for key, array in inputs.items()}
            past = {key: state[key].rows(first, count) for key in self.spec.reads_state}
            parts.append(self._run(rows, past, count))
        return parts[0] if len(parts) == 1 else self._joined(parts, batch)

    def _joined(self, parts: list[tuple[Arrays, State]], batch: int) -> tuple[Arrays, State]:
        """The pieces of a batch, one after another."""
        outputs = {key: np.concatenate([part[key] for part, _ in parts]) for key in parts[0][0]}
        written = {}
        with self._memory.current():
            for key, one in parts[0][1].items():
                written[key] = self._memory.empty(key, (batch, *one.shape[1:]), one.dtype)
                first = 0
                for _, part in parts:
                    self._memory.copy(part[key], written[key].rows(first, len(part[key])))
                    first += len(part[key])
        return outputs, written

    def _run(self, inputs: Arrays, state: State, batch: int) -> tuple[Arrays, State]:
        """As ``run``, for a batch that the plan takes."""
        memory, size = self._memory, padded_size(batch, self._sizes)
        with memory.current():
            for key, array in inputs.items():
                host = self._host[key]
                host[:batch], host[batch:size] = array, 0
                memory.upload(host[:size], self._buffers[key].rows(0, size))
            for key in self.spec.reads_state:
                buffer, tensor = self._buffers[past_name(key)], state[key]
                assert isinstance(tensor, DeviceTensor), "a store of this runtime gave it"
                memory.copy(tensor, buffer.rows(0, batch))
                memory.clear(buffer.rows(batch, size - batch))
            if size not in self._runs:
                self._runs[size] = self._prepare(size)
            self._runs[size]()
            written = {}
            for key in self.spec.writes_state:
                source = self._buffers[present_name(key)].rows(0, batch)
                written[key] = memory.empty(key, source.shape, source.dtype)
                memory.copy(source, written[key])
            for key in self._outputs:
                memory.download(self._buffers[key].rows(0, batch), self._host[key][:batch])
            memory.wait()
        found = {key: self._host[key][:batch].copy() for key in self._outputs}
        sound = found.pop(SOUND, None)
        if sound is not None and not np.isfinite(sound).all():
            raise not_finite(self.name, "the next state")
        return found, written

    def _prepare(self, size: int) -> Callable[[], None]:
        """How to run a batch of one size; the first run of it is made here, so that all is tuned."""
        context = self._engine.create_execution_context()
        if context is None:
            raise StepError(
                f"TensorRT has no memory for {self.name} with {size} rows", "build it for smaller batches"
            )
        self._contexts.append(context)
        for key, tensor in {**self._inputs, **self._past}.items():
            if not context.set_input_shape(key, tensor.concrete(size)):
                raise StepError(f"TensorRT refuses {size} rows of {key!r}", "build the plan for such batches")
        for key, buffer in self._buffers.items():
            if not context.set_tensor_address(key, buffer.address):
                raise StepError(f"TensorRT refuses the address of {key!r}", "report this")

        def run() -> None:
            if not context.execute_async_v3(self._memory.stream.handle):
                raise StepError(f"TensorRT failed in {self.name}", "the state is unchanged")

        if self._graphs is None:
            return run
        run()
        self._memory.wait()
        return self._graphs.record(self._memory.stream.handle, run)

    def _tensors(self) -> dict[str, TensorSpec]:
        return {**self._inputs, **self._past, **self._outputs, **self._present}

    def _check(self) -> None:
        """Whether the plan has the manifest's tensors, by name, with a free batch and their own shapes."""
        names = {self._engine.get_tensor_name(place) for place in range(self._engine.num_io_tensors)}
        expected = self._tensors()
        wrong = sorted(names ^ set(expected))
        for key in names & set(expected):
            shape = [-1 if dim == "batch" else dim for dim in expected[key].shape]
            if list(self._engine.get_tensor_shape(key)) != shape:
                wrong.append(key)
        if wrong:
            raise BundleError(
                f"tensors of {self.name}.plan differ from the manifest in {', '.join(wrong)}",
                "export the model again",
            )
