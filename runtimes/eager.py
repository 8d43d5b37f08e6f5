"""PyTorch, the reference runtime: the model itself, on a CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from ..bundles import Bundle, ModelSpec, Size
from ..errors import OptionError, RuntimeUnavailableError, StepError
from ..models import Build, build_model, load_weights
from ..plugins import Operators, eager_operators
from .protocol import Arrays, State, check_call, check_finite, check_open, check_row, sized_spec


class TorchStateStore:
    """One tensor a state tensor on the device, (capacity + 1, ...); the last row is the padding row."""

    def __init__(self, spec: ModelSpec, capacity: int, device: torch.device) -> None:
        self.spec, self.capacity = spec, capacity
        self._rows: dict[str, Tensor] = {
            t.name: torch.zeros(t.concrete(capacity + 1), dtype=getattr(torch, t.dtype), device=device)
            for t in spec.state
        }

    def read(self, rows: Sequence[int]) -> State:
        """See ``StateStore.read``."""
        if len(rows) == 1:
            return {name: tensor[rows[0] : rows[0] + 1] for name, tensor in self._rows.items()}
        return {name: tensor[list(rows)] for name, tensor in self._rows.items()}

    def write(self, rows: Sequence[int], state: State) -> None:
        """See ``StateStore.write``."""
        for name, batch in state.items():
            assert len(batch) == len(rows), f"{name} has {len(batch)} rows for {len(rows)}"
            if len(rows) == 1:
                self._rows[name][rows[0]].copy_(batch[0])
            else:
                self._rows[name][list(rows)] = batch

    def save_row(self, row: int) -> Arrays:
        """See ``StateStore.save_row``."""
        return {name: tensor[row].cpu().numpy().copy() for name, tensor in self._rows.items()}

    def load_row(self, row: int, arrays: Arrays) -> None:
        """See ``StateStore.load_row``."""
        check_row(self.spec, arrays)
        for name, array in arrays.items():
            self._rows[name][row] = torch.from_numpy(array.copy()).to(self._rows[name].device)

    def clear(self, row: int) -> None:
        """See ``StateStore.clear``."""
        for tensor in self._rows.values():
            tensor[row] = 0


class EagerRuntime:
    """A bundle's ``weights.safetensors`` in the PyTorch model.

    Args:
        bundle: a checked bundle with weights.
        device: "cpu" or "cuda".
        threads: of one call on a CPU; process-wide in PyTorch.
        precision: "fp32", or "bf16" for autocast to bfloat16; states, outputs and the recurrent operators
            stay float32.
        compile: put each function through ``torch.compile``: minutes of work at the first call of each batch
            size, which on a CPU needs a C++ compiler; 1.6 times as fast afterwards (tracker-nano, CPU).
        build: makes the model; for an architecture of one's own. A bundle cannot name code to run, so whoever
            opens it hands the code over.

    Raises:
        BundleError: the bundle has no weights, they do not fit, or the architecture is not known here.
        RuntimeUnavailableError: there is no such device.
        OptionError: there is no such precision.
    """

    name = "eager"

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cpu",
        threads: int = 1,
        precision: Literal["fp32", "bf16"] = "fp32",
        compile: bool = False,
        build: Build = build_model,
    ) -> None:
        if precision not in ("fp32", "bf16"):
            raise OptionError(f"the precision {precision!r} is unknown", "choose fp32 or bf16")
        if device == "cuda" and not torch.cuda.is_available():
            raise RuntimeUnavailableError(
                "device 'cuda' was asked for and PyTorch sees none", "use --device cpu"
            )
        self.spec: ModelSpec = bundle.spec
        self.device = device
        self._device = torch.device(device)
        if device == "cpu":
            torch.set_num_threads(threads)
        operators = eager_operators(device)
        self._autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
        if precision == "bf16":
            operators = in_float32(operators, self._device.type)
            self._autocast = lambda: torch.autocast(self._device.type, torch.bfloat16)
        model = build(self.spec, operators).eval()
        load_weights(model, bundle.weights())
        self._model = model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._functions: dict[str, Any] = model.functions()  # type: ignore[operator]
        if compile:
            self._functions = {name: torch.compile(function) for name, function in self._functions.items()}

    def allocate(self, capacity: int, size: Size | None = None) -> TorchStateStore:
        """See ``Runtime.allocate``."""
        return TorchStateStore(sized_spec(self.spec, size), capacity, self._device)

    @torch.inference_mode()
    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """See ``Runtime.call``. Raises DataError, StateError or StepError."""
        check_open(self.name, self._functions)
        spec = self.spec.function(function)
        check_call(function, self.spec, spec, inputs, state)
        tensors = {name: torch.from_numpy(array).to(self._device) for name, array in inputs.items()}
        try:
            with self._autocast():
                outputs, written = self._functions[function](tensors, dict(state or {}))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise StepError(f"PyTorch failed in {function} ({reason})", "the state is unchanged") from error
        outputs, written = raised(outputs), raised(written)
        arrays = {name: value.cpu().numpy() for name, value in outputs.items()}
        check_finite(function, arrays)
        if not all(bool(torch.isfinite(value).all()) for value in written.values()):
            check_finite(function, {name: value.cpu().numpy() for name, value in written.items()})
        return arrays, written

    def close(self) -> None:
        """See ``Runtime.close``."""
        self._functions = {}


def raised(value: Any) -> Any:
    """Tensors in half precision, alone or in tuples and dicts, as float32; all else as it is."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if isinstance(value, tuple):
        return tuple(raised(one) for one in value)
    if isinstance(value, dict):
        return {name: raised(one) for name, one in value.items()}
    return value


def in_float32(operators: Operators, device_type: str) -> Operators:
    """The same recurrent operators kept out of autocast: whatever comes in, they compute in float32."""

    def kept(operator: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with torch.autocast(device_type, enabled=False):
                return operator(*(raised(argument) for argument in arguments), **options)

        return call

    return replace(
        operators,
        ssd_scan=kept(operators.ssd_scan),
        causal_conv1d=kept(operators.causal_conv1d),
        selective_scan=kept(operators.selective_scan),
        mlstm_scan=kept(operators.mlstm_scan),
    )
