"""ONNX Runtime: one session a function, state as inputs ``past_state.*`` and outputs ``present_state.*``."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundles import Bundle, FunctionSpec, ModelSpec, Size, past_name, present_name
from ..errors import BundleError, StepError
from .base import HostRuntime, mixed_on_host
from .checker import Checker
from .checks import check_finite, check_open, not_finite, sized_spec
from .choice import exported_precision
from .host_store import HostStateStore
from .onnx_device import Copier, DeviceStateStore, DeviceTensor, bind_input
from .onnx_graphs import NO_GRAPH, GraphedSession, options_of
from .onnx_sessions import open_function, open_session, reason, shrink
from .protocol import Arrays, State, StateStore


@dataclass(frozen=True)
class Names:
    """The tensors of a function in its graph: what is asked for, outputs first, and past states' names."""

    wanted: list[str]
    outputs: tuple[str, ...]
    past: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, described: FunctionSpec) -> Names:
        """Those of a function."""
        outputs = tuple(tensor.name for tensor in described.outputs)
        wanted = [*outputs, *map(present_name, described.writes_state)]
        return cls(wanted, outputs, tuple((key, past_name(key)) for key in described.reads_state))


class OnnxRuntime(HostRuntime):
    """A bundle's ``<function>.onnx`` files on ONNX Runtime.

    On a CPU the state is NumPy arrays: one session's row goes in as it lies, without a copy. On CUDA the
    state stays on the device and is bound by address; only inputs and outputs travel. CUDA was NOT RUN: see
    ``onnx_device``.

    Args:
        bundle: a checked bundle that holds one ONNX file a function.
        device: "cpu" or "cuda".
        threads: threads of one call on a CPU; 1 when several calls run side by side.
        bound: keep the state in ONNX Runtime's own memory and bind it by address, as on CUDA; by default
            there only.
        graphs: capture each function and padded batch size as a CUDA graph; a function that cannot be opened
            so runs without one, and ``notes`` says why. Off by default: see ``onnx_graphs``.

    Raises:
        BundleError: a file is damaged, or is not what the manifest says.
        RuntimeUnavailableError: this ONNX Runtime is too old for a file, or has no such device.
    """

    name = "onnx"

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cpu",
        threads: int = 1,
        bound: bool | None = None,
        graphs: bool = False,
    ) -> None:
        self.spec: ModelSpec = bundle.spec
        self.device = device
        self.precision = exported_precision(bundle, self.name)
        self._check = Checker(self.spec)
        self._names = {name: Names.of(one) for name, one in self.spec.functions.items()}
        self._notes: tuple[str, ...] = ()
        self._sessions: dict[str, Any] = {}
        self._plain: dict[str, Any] = {}  # how a session that would capture a graph runs without
        for function in self.spec.functions:
            if graphs and self.spec.is_sized:  # no shape depends on the frames
                try:
                    self._sessions[function] = open_function(bundle, function, device, threads, graphs=True)
                    self._plain[function] = options_of(NO_GRAPH)
                    continue
                except BundleError as error:
                    self._refuse(function, error.problem)
            self._sessions[function] = open_function(bundle, function, device, threads)
        self._copier: Copier | None = None
        if device != "cpu" if bound is None else bound:
            self._copier = Copier(
                self.spec.state, device, lambda graph: open_session(graph, "a copy of state", device, threads)
            )
            for described in self.spec.functions.values():
                self._copier.prepare(described.writes_state)
        self._graphs: dict[str, GraphedSession] = {}
        self._worker: ThreadPoolExecutor | None = None
        if self._copier is not None and self._plain:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="framestate-onnx-graphs")
            for name in self._plain:
                self._capture(name, self._copier, self._worker)
        self.pads_batches = bool(self._graphs)

    def _capture(self, function: str, copier: Copier, worker: Executor) -> None:
        """Captures a function's graphs; where ONNX Runtime cannot, it runs without."""
        session, described = self._sessions[function], self.spec.function(function)
        try:
            self._graphs[function] = GraphedSession(
                session, described, self.spec, copier, self.device, worker
            )
        except Exception as error:  # ONNX Runtime raises a different class for each of its status codes
            self._refuse(function, reason(error))

    def _refuse(self, function: str, why: str) -> None:
        self._notes += (f"{function} runs without a CUDA graph ({why})",)

    @property
    def notes(self) -> tuple[str, ...]:
        """See ``Runtime.notes``."""
        return self._notes

    def allocate(self, capacity: int, size: Size | None = None) -> StateStore:
        """See ``Runtime.allocate``."""
        spec = sized_spec(self.spec, size)
        if self._copier is None:
            return HostStateStore(spec, capacity)
        return DeviceStateStore(spec, capacity, self._copier)

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """See ``Runtime.call``. Raises DataError, StateError or StepError."""
        check_open(self.name, self._sessions)
        spec = self.spec.function(function)
        batch = self._check(function, inputs, state).batch
        try:
            if self._copier is None:
                outputs, written = self._run(function, spec, inputs, state or {})
            else:
                outputs, written = self._run_bound(function, spec, inputs, state or {}, batch, self._copier)
        except StepError:
            raise
        except Exception as error:  # ONNX Runtime raises a different class for each of its status codes
            raise StepError(
                f"ONNX Runtime failed in {function} ({reason(error)})", "the state is unchanged"
            ) from error
        check_finite(function, outputs)
        return outputs, written

    def join(self, tensors: Sequence[Any]) -> Any:
        """See ``Runtime.join``."""
        return super().join(tensors) if self._copier is None else self._copier.joined(tensors)

    def mix(self, first: Sequence[State], fresh: Sequence[State], share: float) -> State:
        """See ``Runtime.mix``. On a device it takes the way over the host: no graph that is there blends."""
        if self._copier is None:
            return super().mix(first, fresh, share)
        return mixed_on_host(self, first, fresh, share)

    def from_host(self, name: str, array: npt.NDArray[Any]) -> Any:
        """See ``Runtime.from_host``."""
        return array if self._copier is None else self._copier.uploaded(name, array)

    def give_back(self) -> None:
        """See ``Runtime.give_back``: an arena shrinks at the end of a call, so each is made once."""
        if self.device != "cpu" or self.spec.is_sized:
            return  # what it holds depends on no frame
        shrink(dict(self._sessions), self.spec)

    def close(self) -> None:
        """See ``Runtime.close``."""
        self._sessions, self._graphs = {}, {}
        if self._worker is not None:
            self._worker.shutdown()

    def _run(self, function: str, spec: FunctionSpec, inputs: Arrays, state: State) -> tuple[Arrays, State]:
        """A call over host arrays, which ONNX Runtime reads where they lie."""
        names = self._names[function]
        feeds: dict[str, Any] = dict(inputs)
        for key, past in names.past:
            feeds[past] = state[key]
        arrays = [np.asarray(result) for result in self._sessions[function].run(names.wanted, feeds)]
        outputs = dict(zip(names.outputs, arrays, strict=False))
        written = dict(zip(spec.writes_state, arrays[len(names.outputs) :], strict=True))
        check_finite(function, written)
        return outputs, written

    def _run_bound(
        self, function: str, spec: FunctionSpec, inputs: Arrays, state: State, batch: int, copier: Copier
    ) -> tuple[Arrays, State]:
        """A call that reads states by address and leaves the next ones on the device."""
        graph = self._graphs.get(function)
        if graph is not None and graph.takes(batch):
            outputs, present = graph.run(inputs, state, batch)
            broken = copier.broken(list(present.values()))
            if broken is not None:
                raise not_finite(function, broken)
            return outputs, present
        session = self._sessions[function]
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for key in spec.reads_state:
            tensor = state[key]
            assert isinstance(tensor, DeviceTensor), "a store of this runtime gave it"
            bind_input(binding, past_name(key), tensor, self.device)
        for output in spec.outputs:
            binding.bind_output(output.name)
        for key in spec.writes_state:
            binding.bind_output(present_name(key), self.device, 0)
        session.run_with_iobinding(binding, self._plain.get(function))
        values = binding.get_outputs()
        outputs = {output.name: value.numpy() for output, value in zip(spec.outputs, values, strict=False)}
        written = {
            key: copier.wrap(key, value)
            for key, value in zip(spec.writes_state, values[len(spec.outputs) :], strict=True)
        }
        broken = copier.broken(list(written.values()))
        if broken is not None:
            raise not_finite(function, broken)
        return outputs, written
