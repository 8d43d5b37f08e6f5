"""The seam between the engine and whatever runs a model: a few calls over named tensors.

``Arrays`` are host arrays by name. ``State`` is a batch of state tensors by name, in whatever form the
runtime keeps them (NumPy on a CPU, device tensors elsewhere); only its own store reads and writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..bundles import ModelSpec, Size
from ..vision import Piece

Arrays = dict[str, npt.NDArray[Any]]
State = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class DeviceInput:
    """An input that a runtime's own ``crops`` made, or will make, on its device; stands in ``Arrays``.

    Attributes:
        value: in the runtime's own form.
        shape, dtype: as NumPy says them.
    """

    value: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class CropMaker(Protocol):
    """Resizes and normalises the crops of a batch on a runtime's device."""

    def __call__(self, pieces: Sequence[Piece], *, raw: bool) -> DeviceInput:
        """Pieces that become one size as (batch, 3, size, size) float32: RGB 0–255 if ``raw``, else as
        ImageNet's mean and deviation make it.
        """


class StateStore(Protocol):
    """Rows of state, one a session, resident where the runtime works, plus one spare row for padding."""

    capacity: int

    def read(self, rows: Sequence[int]) -> State:
        """The states of some rows as a batch, in that order: copies, which a model may hand on or change."""

    def write(self, rows: Sequence[int], state: State) -> None:
        """Puts a batch back, row by row; what has no row, which -1 says, is left out.

        Tensors that ``state`` does not name keep their values.
        """

    def save_row(self, row: int) -> Arrays:
        """A row as host arrays without the batch dimension, copied."""

    def load_row(self, row: int, arrays: Arrays) -> None:
        """Fills a row. Raises StateError, changing nothing, unless names, shapes and dtypes all fit."""

    def clear(self, row: int) -> None:
        """Zeros, so that a reused row carries nothing over."""


class Runtime(Protocol):
    """Runs the functions of one model. Opened by ``open_runtime``, closed once.

    ``base.HostRuntime`` has what a runtime of one's own need not write, ``base.RuntimeOver`` hands everything
    on to another runtime.
    """

    @property
    def spec(self) -> ModelSpec:
        """The model."""

    @property
    def name(self) -> str:
        """Among ``runtime_table``'s."""

    @property
    def device(self) -> str:
        """Where it runs: "cpu" or "cuda"."""

    @property
    def precision(self) -> str:
        """What it computes in: fp32, bf16, fp16 or int8; states and outputs are as the spec says."""

    @property
    def pads_batches(self) -> bool:
        """Whether it pads a batch to a size that it is fast with, so that nobody else has to."""

    @property
    def crops(self) -> CropMaker | None:
        """Makes crops where the model runs, as inputs of ``call``; None where it cannot."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was asked for and is done in a slower way, and why."""

    def allocate(self, capacity: int, size: Size | None = None) -> StateStore:
        """Zeroed rows of state for ``capacity`` sessions, and one spare row after them.

        ``size`` is that of the frames (height, width), for models whose state depends on it; without it,
        BundleError is raised for them.
        """

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """Runs a function over a batch and returns its outputs and the state that it writes.

        Pure: nothing is stored, so the state before a failed call still stands.

        Args:
            function: a name among ``spec.functions``.
            inputs: exactly its inputs, with their dtypes and shapes, of one batch size.
            state: at least what it reads, as a store or an earlier call gave it; None where it reads
                nothing. What a call wrote may come back under another name of equal shape.

        Raises:
            BundleError: the model has no such function.
            DataError: names, dtypes or shapes of the inputs differ from the spec.
            StateError: a state tensor is missing or does not fit.
            StepError: the call failed, or a result is not finite.
            RuntimeUnavailableError: the runtime was closed.
        """

    def close(self) -> None:
        """Gives back what the runtime holds. Closing twice is harmless."""

    def join(self, tensors: Sequence[Any]) -> Any:
        """Batches of one tensor in the runtime's own form, one after another, as one batch."""

    def mix(self, first: Sequence[State], fresh: Sequence[State], share: float) -> State:
        """States of one row each, of equal names, blended where they are, as a batch in that order.

        ``share`` is that of each fresh one; the rest is of the first one beside it.
        """

    def to_host(self, tensor: Any) -> npt.NDArray[Any]:
        """A state tensor, or the value of a ``DeviceInput``, on the host.

        It may be the tensor's own memory, so it is not to be changed.
        """

    def from_host(self, name: str, array: npt.NDArray[Any]) -> Any:
        """A host array as the state tensor ``name`` in the runtime's own form. It may keep the array."""

    def give_back(self) -> None:
        """Gives memory back that large frames needed and nothing needs now. Calls may go on beside it."""
