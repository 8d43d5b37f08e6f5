"""PyTorch, the reference runtime: the model itself, on a CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..bundles import Bundle, ModelSpec
from ..errors import RuntimeUnavailableError, StepError
from ..models import build_model, load_weights
from ..plugins import eager_operators
from .protocol import Arrays, State, check_finite, check_inputs, check_open, check_row, check_state


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
    """A bundle's ``weights.safetensors`` in the PyTorch model. ``threads`` is process-wide in PyTorch."""

    name = "eager"

    def __init__(self, bundle: Bundle, *, device: str = "cpu", threads: int = 1) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise RuntimeUnavailableError(
                "device 'cuda' was asked for and PyTorch sees none", "use --device cpu"
            )
        self.spec: ModelSpec = bundle.spec
        self.device = device
        self._device = torch.device(device)
        if device == "cpu":
            torch.set_num_threads(threads)
        model = build_model(self.spec, eager_operators(device))
        load_weights(model, bundle.weights())
        self._model = model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._functions: dict[str, Any] = model.functions()  # type: ignore[operator]

    def allocate(self, capacity: int) -> TorchStateStore:
        """See ``Runtime.allocate``."""
        return TorchStateStore(self.spec, capacity, self._device)

    @torch.inference_mode()
    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """See ``Runtime.call``. Raises DataError, StateError or StepError."""
        check_open(self.name, self._functions)
        spec = self.spec.function(function)
        batch = check_inputs(function, spec, inputs)
        check_state(function, self.spec, spec, state, batch)
        tensors = {name: torch.from_numpy(array).to(self._device) for name, array in inputs.items()}
        try:
            outputs, written = self._functions[function](tensors, dict(state or {}))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise StepError(f"PyTorch failed in {function} ({reason})", "the state is unchanged") from error
        arrays = {name: value.cpu().numpy() for name, value in outputs.items()}
        check_finite(function, arrays)
        if not all(bool(torch.isfinite(value).all()) for value in written.values()):
            check_finite(function, {name: value.cpu().numpy() for name, value in written.items()})
        return arrays, written

    def close(self) -> None:
        """See ``Runtime.close``."""
        self._functions = {}
