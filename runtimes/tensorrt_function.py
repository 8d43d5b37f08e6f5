"""One function of a model as a TensorRT engine: checked tensors, batches in pieces, memory a size of frames.

What a size of frames needs is in ``tensorrt_bound``; ``tensorrt_sets`` lends it to one call at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bundles import FunctionSpec, ModelSpec, Size, TensorSpec, past_name, present_name
from ..errors import BundleError
from .checks import not_finite
from .protocol import Arrays, DeviceInput, State
from .tensorrt_bound import BoundFunction, Recorder, Scratch, Tensors
from .tensorrt_device import CudaMemory
from .tensorrt_plan import SOUND, PlanKey
from .tensorrt_rows import PoolRows
from .tensorrt_sets import BufferSets
from .tensorrt_surface import Engine


class PlanFunction:
    """A deserialised plan with its buffers.

    Args:
        name, described: the function.
        model: whose function it is.
        key: what the plan was built for.
        engine: its plan.
        memory: the GPU.
        graphs: records CUDA graphs; None runs every call anew.
        scratch: what it computes in.
        sizes: batch sizes that get a graph, ascending.

    Raises BundleError where the plan's tensors are not the manifest's.
    """

    def __init__(
        self,
        name: str,
        described: FunctionSpec,
        model: ModelSpec,
        key: PlanKey,
        engine: Engine,
        memory: CudaMemory,
        graphs: Recorder | None,
        scratch: Scratch,
        sizes: tuple[int, ...],
    ) -> None:
        self.name, self.spec, self._key, self._engine, self._memory = name, described, key, engine, memory
        self._graphs, self._scratch, self._sizes = graphs, scratch, sizes
        states = {tensor.name: tensor for tensor in model.state}
        outputs = {tensor.name: tensor for tensor in described.outputs}
        if described.writes_state:
            outputs[SOUND] = TensorSpec(SOUND, "float32", ("batch",))
        self._tensors = Tensors(
            inputs={tensor.name: tensor for tensor in described.inputs},
            past={past_name(key): states[key] for key in described.reads_state},
            outputs=outputs,
            present={present_name(key): states[key] for key in described.writes_state},
        )
        self._check()
        self._sets = BufferSets(self._bound, self._closed)
        if self._tensors.are_sized:
            with memory.current():
                self._sets.prepare(None)

    def run(self, inputs: Arrays, state: State, batch: int, size: Size | None = None) -> tuple[Arrays, State]:
        """A call over checked inputs; more rows than the plan takes go in pieces.

        ``size`` is that of the frames (height, width), where shapes depend on it.
        Raises StepError, and DataError for a size that the plan does not take; nothing that was given has
        changed.
        """
        most, parts = self._sizes[-1], []
        for first in range(0, batch, most):
            count = min(most, batch - first)
            rows: Arrays = {key: part_of(value, first, count) for key, value in inputs.items()}
            past = state if count == batch else self._part(state, first, count)
            with self._sets.lent(None if self._tensors.are_sized else size) as bound:
                with self._memory.current():
                    flying = bound.queue(rows, past, count)
                parts.append(self._checked(*bound.taken(flying)))
        return parts[0] if len(parts) == 1 else self._joined(parts)

    @property
    def refused(self) -> tuple[str, ...]:
        """Batch sizes that run without a CUDA graph, and why."""
        found = {size: why for bound in self._sets.all() for size, why in bound.refused.items()}
        return tuple(
            f"{self.name} runs without a CUDA graph for {size} rows ({why})" for size, why in found.items()
        )

    def close(self) -> None:
        """Gives back all that it holds."""
        self._sets.close()

    def _part(self, state: State, first: int, count: int) -> State:
        """Some rows of what the function reads."""
        if isinstance(state, PoolRows):
            return state.part(first, count)
        return {key: state[key][first : first + count] for key in self.spec.reads_state}

    def _bound(self, size: Size | None) -> BoundFunction:
        """A set of buffers for frames of a size. Raises DataError for one that the plan does not take."""
        profile = None if size is None else self._key.profile(size)
        tensors = self._tensors if size is None else self._tensors.sized(size)
        with self._memory.current():
            return BoundFunction(
                self.name, tensors, self._engine, self._memory, self._graphs, self._scratch, self._sizes,
                profile,
            )  # fmt: skip

    def _closed(self, one: BoundFunction) -> None:
        with self._memory.current():
            one.close()

    def _checked(self, outputs: Arrays, written: State) -> tuple[Arrays, State]:
        """A piece's results. Raises StepError where its next state is not finite."""
        sound = outputs.pop(SOUND, None)
        if sound is not None and not np.isfinite(sound).all():
            raise not_finite(self.name, "the next state")
        return outputs, written

    def _joined(self, parts: list[tuple[Arrays, State]]) -> tuple[Arrays, State]:
        """The pieces of a batch, one after another."""
        outputs = {key: np.concatenate([part[key] for part, _ in parts]) for key in parts[0][0]}
        written = {key: self._memory.joined([part[key] for _, part in parts]) for key in parts[0][1]}
        return outputs, written

    def _check(self) -> None:
        """Whether the plan has the manifest's tensors, by name, with their shapes where these are fixed."""
        names = {self._engine.get_tensor_name(place) for place in range(self._engine.num_io_tensors)}
        expected = self._tensors.all
        wrong = sorted(names ^ set(expected))
        for key in names & set(expected):
            found, shape = list(self._engine.get_tensor_shape(key)), expected[key].shape
            fits = [isinstance(dim, str) or size == dim for size, dim in zip(found, shape, strict=False)]
            if len(found) != len(shape) or not all(fits):
                wrong.append(key)
        if wrong:
            raise BundleError(
                f"tensors of {self.name}.plan differ from the manifest in {', '.join(wrong)}",
                "export the model again",
            )


def part_of(value: Any, first: int, count: int) -> Any:
    """Some rows of an input."""
    return value.value.part(first, count) if isinstance(value, DeviceInput) else value[first : first + count]
