"""PyTorch, the reference runtime: the model itself, on a CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from ..bundles import Bundle, ModelSpec, Size
from ..errors import FramestateError, RuntimeUnavailableError, StepError
from ..models import Build, build_model, functions_of, load_weights
from ..plugins import Operators, eager_operators
from ..plugins.state_rows import StateRows, gathering
from .base import HostRuntime
from .checker import Checker
from .checks import check_finite, check_open, not_finite, sized_spec
from .device_crops import Pending, joined, pending
from .protocol import Arrays, DeviceInput, State
from .torch_crops import TorchCrops
from .torch_folding import fold_norms
from .torch_graphs import CudaRecorder, GraphedCalls, Recorder, reason, soundness
from .torch_precision import Precision, raised
from .torch_store import RowsState, TorchStateStore


class EagerRuntime(HostRuntime):
    """A bundle's ``weights.safetensors`` in the PyTorch model.

    Args:
        bundle: a checked bundle with weights.
        device: "cpu" or "cuda".
        threads: of one call on a CPU; process-wide in PyTorch.
        precision: "fp32", "bf16" or "fp16", of weights and activations; states, outputs and the recurrent
            operators stay float32. On CUDA, TF32 is off in all of them; process-wide in PyTorch.
        compile: put each function through ``torch.compile``: minutes of work at the first call of each batch
            size, which on a CPU needs a C++ compiler; 1.6 times as fast afterwards (tracker-nano, CPU).
        build: makes the model; for an architecture of one's own. A bundle cannot name code to run, so whoever
            opens it hands the code over.
        upstream: on CUDA, take the kernels of ``mamba-ssm`` and ``causal-conv1d`` before our own.
        resident: read batches of rows where they lie, as on CUDA; by default there only.
        graphs: replay calls as CUDA graphs; by default on CUDA, unless ``compile``. A ``Recorder`` of one's
            own makes them in some other way. Models whose shapes depend on the frames run without.

    Raises:
        BundleError: the bundle has no weights, they do not fit, or the architecture is not known here.
        RuntimeUnavailableError: there is no such device, or it does not compute in this precision.
        OptionError: there is no such precision.
    """

    name = "eager"

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cpu",
        threads: int = 1,
        precision: str = "fp32",
        compile: bool = False,
        build: Build = build_model,
        upstream: bool = False,
        resident: bool | None = None,
        graphs: bool | Recorder | None = None,
    ) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise RuntimeUnavailableError(
                "device 'cuda' was asked for and PyTorch sees none", "use --device cpu"
            )
        self.spec: ModelSpec = bundle.spec
        self._check = Checker(self.spec)
        self.device = device
        self._device = torch.device(device)
        if device == "cpu":
            torch.set_num_threads(threads)
        self.precision = precision
        self._precision = Precision.of(precision, self._device.type)
        self._resident = device != "cpu" if resident is None else resident
        operators = eager_operators(device, upstream=upstream)
        model = build(self.spec, by_row(operators) if self._resident else operators).eval()
        load_weights(model, bundle.weights())
        fold_norms(model)
        self._precision.apply(model)
        self._model = model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._functions: dict[str, Any] = functions_of(model, self.spec)
        self._by_row: frozenset[str] = getattr(model, "operator_states", frozenset())
        if compile:
            self._functions = {name: torch.compile(function) for name, function in self._functions.items()}
        self._graphs: GraphedCalls | None = None
        self._crops: TorchCrops | None = None
        wanted = device != "cpu" and not compile if graphs is None else graphs
        if wanted and self._resident and self.spec.is_sized:  # no shape depends on the frames
            recorder = CudaRecorder() if isinstance(wanted, bool) else wanted
            launch = recorder.launch
            self._crops = None if launch is None else TorchCrops(self._device, launch)
            self._graphs = GraphedCalls(
                self.spec, self._compute, recorder, self._device, self._by_row, self._crops
            )
        self.pads_batches = self._graphs is not None
        self.crops = None if self._crops is None else pending

    @property
    def notes(self) -> tuple[str, ...]:
        """What was asked for and is done in a slower way, and why."""
        graphs = self._graphs
        without = {} if graphs is None else {**graphs.postponed, **graphs.refused}
        slower = [f"{name} runs without a CUDA graph ({why})" for name, why in without.items()]
        if graphs is not None and self._crops is None:
            slower.append("crops are made on the host: the driver does not take the kernel")
        return tuple(slower)

    def allocate(self, capacity: int, size: Size | None = None) -> TorchStateStore:
        """See ``Runtime.allocate``."""
        spec = sized_spec(self.spec, size)
        store = TorchStateStore(spec, capacity, self._device, resident=self._resident)
        if self._graphs is not None:
            with torch.inference_mode():
                self._graphs.prepare(store.pool)
        return store

    @torch.inference_mode()
    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """See ``Runtime.call``. Raises DataError, StateError or StepError."""
        check_open(self.name, self._functions)
        known = state.described() if isinstance(state, RowsState) else state
        batch = self._check(function, inputs, known).batch
        try:
            graphs = self._graphs
            graph = None if graphs is None else graphs.find(function, state, batch)
            outputs: Arrays
            written: State
            if graphs is not None and graph is not None:
                rows = state if isinstance(state, RowsState) else None
                outputs, written = graphs.run(function, graph, inputs, rows, batch)
            else:
                outputs, written = self._run(function, inputs, state or {})
        except FramestateError:
            raise
        except RuntimeError as error:
            raise StepError(
                f"PyTorch failed in {function} ({reason(error)})", "the state is unchanged"
            ) from error
        check_finite(function, outputs)
        return outputs, written

    def join(self, tensors: Sequence[Any]) -> Any:
        """See ``Runtime.join``."""
        if isinstance(tensors[0], Pending):
            return joined(tensors)
        return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))

    @torch.inference_mode()
    def mix(self, first: Sequence[State], fresh: Sequence[State], share: float) -> State:
        """See ``Runtime.mix``."""
        return super().mix(first, fresh, share)

    def like(self, tensor: Any, other: Any) -> Any:
        """See ``HostRuntime.like``."""
        return tensor.to(other.dtype)

    def to_host(self, tensor: Any) -> npt.NDArray[Any]:
        """See ``Runtime.to_host``."""
        if isinstance(tensor, Pending):
            assert self._crops is not None, "its crops are those of this runtime"
            tensor = self._crops(tensor)
        return super().to_host(tensor.detach().cpu() if isinstance(tensor, Tensor) else tensor)

    def from_host(self, name: str, array: npt.NDArray[Any]) -> Any:
        """See ``Runtime.from_host``."""
        return torch.from_numpy(array).to(self._device)

    def close(self) -> None:
        """See ``Runtime.close``."""
        self._functions = {}
        self._graphs = None

    def _run(self, function: str, inputs: Arrays, state: State) -> tuple[Arrays, State]:
        """A call without a graph."""
        tensors = {name: self._taken(one) for name, one in inputs.items()}
        outputs, written = self._compute(function, tensors, self._given(function, state))
        if self._device.type == "cpu":  # elsewhere an input is a copy, and an output is copied
            outputs, written = apart(outputs, tensors), apart(written, tensors)
        arrays = {name: value.cpu().numpy() for name, value in outputs.items()}
        if self._device.type == "cpu":
            check_finite(function, {name: value.numpy() for name, value in written.items()})
        elif written:
            sound = soundness(written).all(1).tolist()  # one transfer for all tensors
            for name in (name for name, good in zip(written, sound, strict=True) if not good):
                raise not_finite(function, name)
        return arrays, written

    def _taken(self, given: Any) -> Tensor:
        """An input on the device."""
        if isinstance(given, DeviceInput):
            assert self._crops is not None, "its crops are those of this runtime"
            return self._crops(given.value)
        return torch.from_numpy(given).to(self._device)

    def _compute(
        self, function: str, inputs: dict[str, Tensor], state: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The model's function as it is, in the runtime's precision; what comes out is float32."""
        with self._precision.context():
            outputs, written = self._functions[function](inputs, dict(state))
        return raised(outputs), raised(written)

    def _given(self, function: str, state: State) -> Mapping[str, Any]:
        """The states that a function reads; those that only operators see as rows, where there are rows."""
        if not isinstance(state, RowsState):
            return state
        index = state.pool.index(state.rows)[0]
        names = self.spec.function(function).reads_state
        return {
            name: StateRows(state.pool.tensors[name], index) if name in self._by_row else state[name]
            for name in names
        }


def apart(found: dict[str, Tensor], given: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a model gives, in other memory than what it was given, which is its caller's."""
    taken = {tensor.untyped_storage().data_ptr() for tensor in given.values()}
    return {
        name: tensor.clone() if tensor.untyped_storage().data_ptr() in taken else tensor
        for name, tensor in found.items()
    }


def by_row(operators: Operators) -> Operators:
    """The same operators, all of which take rows of resident memory for a state: Triton's as they lie."""
    native = {choice.operator for choice in operators.chosen if choice.form == "triton"}

    def made(name: str) -> Callable[..., Any]:
        operator: Callable[..., Any] = getattr(operators, name)
        return operator if name in native else gathering(operator)

    return operators.each(made)
