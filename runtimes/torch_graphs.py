"""Calls of the eager runtime as CUDA graphs: one for each function, padded batch size and store.

A graph is what a call queues on the GPU, recorded once and replayed as one piece; it reads and writes the
same memory every time. All are recorded when a store is opened, none while frames wait. What is recorded:
gathering the rows from the store's resident memory, the model,
and whether its next state is finite. What goes in is copied into the graph's own buffers, what comes out is
copied out of them, so a call stays pure.

On a GPU this was NOT RUN. The bookkeeping knows nothing of CUDA and is tested on a CPU, with a recorder that
does the work again at each replay.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy.typing as npt
import torch
from torch import Tensor

from ..bundles import ModelSpec
from ..plugins.state_rows import StateRows
from .checks import not_finite
from .cuda_graphs import CaptureError
from .device_crops import LEFT, PIECE, is_crop
from .protocol import Arrays, DeviceInput
from .tensorrt_plan import graph_sizes, padded_size
from .torch_crops import Launch, TorchCrops, cuda_launch
from .torch_store import Pool, RowsState

Tensors = dict[str, Tensor]
Compute = Callable[[str, Tensors, Mapping[str, Any]], tuple[Tensors, Tensors]]
"""A function by name over inputs and state: its outputs and the state that it writes."""

LARGEST = 64
"""Rows of the largest graph; larger batches run without one."""
WARM_UPS = 3
"""Runs before recording, in which libraries choose their kernels and take their memory."""


class Recorder(Protocol):
    """Makes work repeatable."""

    launch: Launch | None
    """Queues the kernel that makes crops; None where there is none."""

    def record(self, work: Callable[[], Tensors]) -> tuple[Callable[[], None], Tensors]:
        """What does the work again, and the memory that it leaves its results in. It is not done yet.

        Raises CaptureError where it cannot be recorded, and what the work raises where it cannot be done.
        """


class CudaRecorder:
    """CUDA graphs by ``torch.cuda``, on one stream, in one pool of memory: no two run side by side."""

    def __init__(self) -> None:
        self._stream, self._memory = torch.cuda.Stream(), torch.cuda.graph_pool_handle()
        self.launch: Launch | None = None
        with contextlib.suppress(RuntimeError):  # then crops are made on the host
            self.launch = cuda_launch()

    def record(self, work: Callable[[], Tensors]) -> tuple[Callable[[], None], Tensors]:
        """See ``Recorder.record``."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                work()
        torch.cuda.current_stream().wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(
                graph, pool=self._memory, stream=self._stream, capture_error_mode="thread_local"
            ):
                results = work()
        except torch.cuda.OutOfMemoryError:
            raise  # it may be there another time
        except RuntimeError as error:  # PyTorch's class for all that CUDA refuses; the work itself went well
            raise CaptureError(reason(error)) from error
        return graph.replay, results


@dataclass(frozen=True, eq=False)
class Recording:
    """One graph and its memory: inputs, the rows that it reads, results, and the host's copies of both.

    ``told`` is what the kernel is told of inputs that are crops, as bytes.
    """

    inputs: Tensors
    told: Tensors
    index: Tensor | None
    results: Tensors
    replay: Callable[[], None]
    staged: Tensors
    fetched: Tensors


class GraphedCalls:
    """Which calls have graphs, and running them.

    Args:
        spec: of the model; its shapes must not depend on the size of the frames.
        compute: does a call.
        recorder: makes graphs.
        device: of all tensors.
        by_row: states that the model only hands to its operators, which read them where they lie.
        crops: makes crops, as a part of the graphs; None where they are inputs like others.
    """

    def __init__(
        self,
        spec: ModelSpec,
        compute: Compute,
        recorder: Recorder,
        device: torch.device,
        by_row: frozenset[str] = frozenset(),
        crops: TorchCrops | None = None,
    ) -> None:
        self._crops = crops
        self._spec, self._compute, self._recorder, self._device = spec, compute, recorder, device
        self._by_row, self._sizes = by_row, graph_sizes(1, LARGEST)
        self._of_pools: WeakKeyDictionary[Pool, dict[tuple[str, int], Recording]] = WeakKeyDictionary()
        self._of_none: dict[tuple[str, int], Recording] = {}
        self._lock = threading.Lock()
        self.refused: dict[str, str] = {}
        """Functions that cannot be recorded, and why."""
        self.postponed: dict[str, str] = {}
        """Functions whose recording failed for another reason, with which the next store is tried again."""

    def prepare(self, pool: Pool) -> None:
        """Records every function and batch size over a store's rows, so that no call has to."""
        with self._lock:
            for function, described in self._spec.functions.items():
                known = self._of_pools.setdefault(pool, {}) if described.reads_state else self._of_none
                try:
                    self._record_sizes(function, pool, known)
                except CaptureError as error:
                    self.refused[function] = str(error)
                except RuntimeError as error:  # such as no memory left: the next store may have it
                    self.postponed[function] = reason(error)

    def _record_sizes(self, function: str, pool: Pool, known: dict[tuple[str, int], Recording]) -> None:
        """The largest size first: smaller ones find room in its memory."""
        largest = padded_size(min(pool.capacity, LARGEST), self._sizes)
        reads = bool(self._spec.function(function).reads_state)
        for size in reversed(self._sizes[: self._sizes.index(largest) + 1]):
            if (function, size) not in known and function not in self.refused:
                known[function, size] = self._record(function, size, pool if reads else None)
        self.postponed.pop(function, None)

    def find(self, function: str, state: object, batch: int) -> Recording | None:
        """The graph of a call: of a batch that is not too large, over rows of a store; None without one."""
        if batch > self._sizes[-1]:
            return None
        known: dict[tuple[str, int], Recording] | None = self._of_none
        if self._spec.function(function).reads_state:
            known = self._of_pools.get(state.pool) if isinstance(state, RowsState) else None
        return (known or {}).get((function, padded_size(batch, self._sizes)))

    def run(
        self, function: str, one: Recording, inputs: Mapping[str, Any], state: RowsState | None, batch: int
    ) -> tuple[Arrays, Tensors]:
        """A call over checked inputs. Raises StepError for a next state that is not finite."""
        with self._lock:
            self._fill(one, inputs, batch)
            if one.index is not None and state is not None:
                one.index.copy_(state.pool.index(state.rows, len(one.index))[0])
            one.replay()
            return self._collect(function, one, batch)

    def _record(self, function: str, size: int, pool: Pool | None) -> Recording:
        described = self._spec.function(function)
        inputs = {
            t.name: torch.zeros(t.concrete(size), dtype=getattr(torch, t.dtype), device=self._device)
            for t in described.inputs
        }
        told = {
            t.name: torch.zeros(size * PIECE.itemsize, dtype=torch.uint8, device=self._device)
            for t in described.inputs
            if self._crops is not None and is_crop(t)
        }
        index = None if pool is None else pool.index([], size)[0].clone()
        tensors = {} if pool is None else {name: pool.tensors[name] for name in described.reads_state}

        def work() -> Tensors:
            state: dict[str, Any] = {}
            for name, table in told.items():
                assert self._crops is not None, "there is a table where there are crops"
                made = inputs[name]
                self._crops.launch(table.data_ptr(), made.data_ptr(), size, made.shape[-1])
            for name, tensor in tensors.items():
                assert index is not None
                rows = StateRows(tensor, index)
                state[name] = rows if name in self._by_row else tensor.index_select(0, index)
            outputs, written = self._compute(function, inputs, state)
            results = {f"out.{name}": value for name, value in outputs.items()}
            results |= {f"state.{name}": value for name, value in written.items()}
            return results | ({"sound": soundness(written)} if written else {})

        replay, results = self._recorder.record(work)
        fetched = {name: self._host(value) for name, value in results.items() if name[:6] != "state."}
        staged = {name: self._host(value) for name, value in inputs.items() if name not in told}
        staged |= {name: self._host(value) for name, value in told.items()}
        return Recording(inputs, told, index, results, replay, staged, fetched)

    def _fill(self, one: Recording, inputs: Mapping[str, Any], batch: int) -> None:
        """Puts inputs into a graph's buffers, zeros after them."""
        for name, target in one.inputs.items():
            given, staged = inputs[name], one.staged[name]
            if name in one.told:
                self._tell(given, target, staged.numpy().view(PIECE), batch)
                one.told[name].copy_(staged, non_blocking=True)
                continue
            staged[:batch].copy_(torch.from_numpy(given))
            staged[batch:] = 0
            target.copy_(staged, non_blocking=True)

    def _tell(self, given: Any, target: Tensor, table: npt.NDArray[Any], batch: int) -> None:
        """Tells the kernel of crops; an image that the host has made is put where it would make them."""
        if isinstance(given, DeviceInput):
            assert self._crops is not None, "a crop is for a runtime that makes them"
            self._sent = self._crops.send(given.value, table)  # kept until the next call
            return
        target[:batch].copy_(torch.from_numpy(given))
        target[batch:] = 0
        table["side"] = LEFT

    def _collect(self, function: str, one: Recording, batch: int) -> tuple[Arrays, Tensors]:
        """Outputs on the host and the next state on the device, both as copies: the buffers are reused."""
        for name, host in one.fetched.items():
            host.copy_(one.results[name], non_blocking=True)
        written = {
            name[6:]: value[:batch].clone() for name, value in one.results.items() if name[:6] == "state."
        }
        if self._device.type == "cuda":
            torch.cuda.current_stream().synchronize()
        if written:
            sound = one.fetched["sound"][:, :batch].all(1)
            for name, good in zip(written, sound.tolist(), strict=True):
                if not good:
                    raise not_finite(function, name)
        outputs = {
            name[4:]: host[:batch].numpy().copy() for name, host in one.fetched.items() if name[:4] == "out."
        }
        return outputs, written

    def _host(self, like: Tensor) -> Tensor:
        """Host memory for transfers; where there is a GPU, such as it can reach by itself."""
        return torch.empty(like.shape, dtype=like.dtype, pin_memory=self._device.type == "cuda")


def reason(error: Exception) -> str:
    """The first line of what PyTorch says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def soundness(written: Mapping[str, Tensor]) -> Tensor:
    """Which rows of which tensors are finite: (tensors, batch), bool, on their device."""
    return torch.stack([torch.isfinite(value)[..., None].flatten(1).all(1) for value in written.values()])
