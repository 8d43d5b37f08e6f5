"""A TensorRT engine at one size of frames: fixed buffers, and a CUDA graph a batch size.

A batch is padded with rows of zeros to the next size that has a graph. Every size has a context of its own,
since a graph that was recorded from a context stands only as long as its shapes do. What goes in, past state,
what comes out and the next state are a block of memory each, laid out anew for every batch size, so one copy
takes a whole block. Between calls nothing is in them that anybody needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..bundles import Size, TensorSpec, past_name
from ..errors import StepError
from .cuda_graphs import CaptureError
from .protocol import Arrays, State
from .tensorrt_device import CudaMemory, DeviceTensor, Layout
from .tensorrt_given import Given, GivenBlock
from .tensorrt_plan import padded_size
from .tensorrt_rows import PoolRows
from .tensorrt_surface import Context, CudaEvent, Engine


class Replays(Protocol):
    """``cuda_graphs.Replay``."""

    def __call__(self) -> None:
        """Queues the recorded work again."""

    def close(self) -> None:
        """Gives it back to the driver."""


class Recorder(Protocol):
    """``CudaGraphs``, or nothing that records."""

    def record(self, stream: int, work: Callable[[], None]) -> Replays:
        """What ``work`` queues, to be queued again. Raises CaptureError."""


class Scratch:
    """One block of device memory that every context of a runtime computes in, one after another.

    Args:
        memory: the GPU, whose stream all of them run on.
        engines: that will be run.
        strategy: TensorRT's name for contexts without memory of their own.
    """

    def __init__(self, memory: CudaMemory, engines: Sequence[Engine], strategy: Any) -> None:
        self._strategy = strategy
        size = max((engine.device_memory_size_v2 for engine in engines), default=0)
        self._block = memory.empty("scratch", (size,), "uint8")

    def context(self, engine: Engine) -> Context | None:
        """A context of an engine that computes in the block; None where TensorRT has no memory for it."""
        context = engine.create_execution_context(self._strategy)
        if context is not None:
            context.set_device_memory(self._block.address, self._block.bytes)
        return context


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


class Block:
    """Memory for tensors of a function at the largest batch, of state or what comes out; ``pinned``: on the
    host too.
    """

    def __init__(
        self, tensors: Mapping[str, TensorSpec], largest: int, memory: CudaMemory, pinned: bool
    ) -> None:
        self._tensors = tensors
        size = self.layout(largest).bytes
        self._device = memory.empty("block", (size,), "uint8")
        self._host: npt.NDArray[Any] = memory.pinned((size if pinned else 0,), "uint8")

    def layout(self, batch: int) -> Layout:
        """Where the tensors of a batch lie."""
        return Layout({key: (one.concrete(batch), one.dtype) for key, one in self._tensors.items()})

    def at(self, batch: int) -> Side:
        """The tensors of a batch."""
        layout = self.layout(batch)
        used = layout.bytes
        host = self._host[:used]
        return Side(
            layout, self._device.rows(0, used), layout.on_device(self._device), host,
            layout.on_host(host) if len(host) else {},
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a function at one batch size: a block and the tensors in it, on the device and the host."""

    layout: Layout
    block: DeviceTensor
    tensors: Mapping[str, DeviceTensor]
    host_block: npt.NDArray[Any]
    host: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Sized:
    """How a batch of one size is run: its sides, its context, and what queues it."""

    given: Given
    past: Side
    outputs: Side
    present: Side
    context: Context
    queue: Callable[[], None]
    replay: Replays | None


@dataclass(frozen=True, eq=False)
class Flying:
    """A batch that was queued: where its outputs will be, what it writes, and when it is done."""

    outputs: Side
    state: State
    batch: int
    mark: CudaEvent


class BoundFunction:
    """Buffers for the largest batch, and how each batch size is run.

    Args:
        name: of the function.
        tensors: with all sizes but the batch's.
        engine, memory, graphs, scratch: as of ``PlanFunction``.
        sizes: batch sizes that get a graph, ascending.
        profile: which of the engine's profiles takes these sizes; None where it has only one.

    To be made, queued and closed within ``memory.current()``.
    """

    def __init__(
        self,
        name: str,
        tensors: Tensors,
        engine: Engine,
        memory: CudaMemory,
        graphs: Recorder | None,
        scratch: Scratch,
        sizes: tuple[int, ...],
        profile: int | None,
    ) -> None:
        self.name, self._tensors, self._engine, self._memory = name, tensors, engine, memory
        self._graphs, self._scratch, self._sizes, self._profile = graphs, scratch, sizes, profile
        self._given = GivenBlock(tensors.inputs, len(tensors.past), sizes[-1], memory)
        self._past = Block(tensors.past, sizes[-1], memory, pinned=False)
        self._outputs = Block(tensors.outputs, sizes[-1], memory, pinned=True)
        self._present = Block(tensors.present, sizes[-1], memory, pinned=False)
        self._ready: dict[int, Sized] = {}
        self.refused: dict[int, str] = {}
        """Batch sizes that run without a graph, and why."""

    def prepare(self) -> None:
        """Makes all batch sizes ready, so that no call has to."""
        for size in self._sizes:
            self._at(size)

    def close(self) -> None:
        """Gives back graphs and contexts."""
        for one in self._ready.values():
            if one.replay is not None:
                one.replay.close()
        self._ready = {}

    def queue(self, inputs: Arrays, state: State, batch: int) -> Flying:
        """Queues a batch that the plan takes. Raises StepError.

        The buffers are its alone until ``taken`` has returned.
        """
        try:
            return self._queued(inputs, state, batch)
        except Exception:
            self._memory.wait()  # what was queued of it still reads the buffers
            raise

    def taken(self, flying: Flying) -> tuple[Arrays, State]:
        """Outputs and written state of what was queued, once they are there. It needs no hold of the GPU."""
        self._memory.wait_for(flying.mark)
        outputs = {key: array[: flying.batch].copy() for key, array in flying.outputs.host.items()}
        return outputs, flying.state

    def _queued(self, inputs: Arrays, state: State, batch: int) -> Flying:
        memory, size = self._memory, padded_size(batch, self._sizes)
        one = self._at(size)
        past = {spec.name: one.past.tensors[key] for key, spec in self._tensors.past.items()}
        if isinstance(state, PoolRows):
            pools, targets = [state.pools[key] for key in past], list(past.values())
            rows = [*state.rows, *(size - batch) * [-1]]
            if not one.given.fill(inputs, batch, pools, rows, targets):
                memory.gather(pools, rows, targets)
        else:
            one.given.fill(inputs, batch)
            self._read(past, state, batch, size)
        one.queue()
        written = self._taken(one.present)
        memory.download(one.outputs.block, one.outputs.host_block)
        states = {self._tensors.present[key].name: one.rows(0, batch) for key, one in written.items()}
        return Flying(one.outputs, states, batch, memory.marked())

    def _read(self, past: Mapping[str, DeviceTensor], state: State, batch: int, size: int) -> None:
        """Puts past state that is in no store into its buffers, zeros after it."""
        for key, target in past.items():
            self._memory.copy(self._resident(key, state[key]), target.rows(0, batch))
            self._memory.clear(target.rows(batch, size - batch))

    def _resident(self, name: str, value: Any) -> DeviceTensor:
        """A state tensor on the device: as a store or a call gave it, or a host array, which is copied."""
        if isinstance(value, DeviceTensor):
            return value
        dtype = self._tensors.past[past_name(name)].dtype
        return self._memory.uploaded(name, np.asarray(value, dtype))

    def _taken(self, side: Side) -> Mapping[str, DeviceTensor]:
        """The next state in memory of its own."""
        if not side.tensors:
            return {}
        own = self._memory.empty("state", side.block.shape, side.block.dtype)
        self._memory.copy(side.block, own)
        return side.layout.on_device(own)

    def _at(self, size: int) -> Sized:
        """What a batch of one size needs, made at its first use, with a first run, so that all is tuned."""
        if size in self._ready:
            return self._ready[size]
        given = self._given.at(size)
        past, outputs, present = (block.at(size) for block in (self._past, self._outputs, self._present))
        context = self._opened(
            {**given.tensors, **past.tensors}, {**outputs.tensors, **present.tensors}, size
        )
        stream = self._memory.stream.handle

        def queue() -> None:
            given.crop()
            if not context.execute_async_v3(stream):
                raise StepError(f"TensorRT failed in {self.name}", "the state is unchanged")

        replay: Replays | None = None
        if self._graphs is not None:
            given.clear()
            self._memory.clear(past.block)
            queue()
            self._memory.wait()
            try:
                replay = self._graphs.record(stream, queue)
            except CaptureError as error:
                self.refused[size] = str(error)
        self._ready[size] = Sized(given, past, outputs, present, context, replay or queue, replay)
        return self._ready[size]

    def _opened(
        self, read: Mapping[str, DeviceTensor], written: Mapping[str, DeviceTensor], size: int
    ) -> Context:
        """A context for one batch size. Raises StepError with what TensorRT refuses."""
        context = self._scratch.context(self._engine)
        if context is None:
            raise StepError(
                f"TensorRT has no memory for {self.name} with {size} rows", "build it for smaller batches"
            )
        if self._profile is not None:
            if not context.set_optimization_profile_async(self._profile, self._memory.stream.handle):
                raise StepError(f"TensorRT refuses profile {self._profile} of {self.name}", "report this")
            self._memory.wait()
        for key, tensor in read.items():
            if not context.set_input_shape(key, tensor.shape):
                raise StepError(f"TensorRT refuses {size} rows of {key!r}", "build the plan for such batches")
        for key, tensor in {**read, **written}.items():
            if not context.set_tensor_address(key, tensor.address):
                raise StepError(f"TensorRT refuses the address of {key!r}", "report this")
        return context
