"""Any recurrent model of frames as a task, by its manifest alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from ...errors import BundleError, OptionError, StateError
from ...runtimes import Runtime
from ...vision import Frame
from ...wire import Output
from ..codec import DAMAGED, KeptFrame, Seconds, check_state, table
from ..task import OWN, Next, Steps, Task, call
from .views import StreamView


@dataclass(frozen=True, slots=True, eq=False)
class StreamMemory:
    """What is remembered beside the row of state.

    Attributes:
        begun: whether there was a frame.
        seconds: when the last one was.
        frames: those that an input looks back at, the newest first.
        state: the model's, where it depends on the size of the frames, and so has no row.
    """

    begun: bool = False
    seconds: Seconds = 0.0
    frames: tuple[KeptFrame, ...] = ()
    state: Annotated[dict[str, Any], table()] | None = None


class Streaming(Task[StreamMemory, Output]):
    """Runs ``step`` on each frame. State starts at zero, or as ``init`` gives it.

    Args:
        runtime: of a model whose manifest says how it sees frames, see ``StreamView``.

    Raises BundleError: it does not say enough, or its state is neither sized nor the frames'.
    """

    name = "stream"
    Memory = StreamMemory
    most_bytes = 256 * 1024 * 1024

    def __init__(self, runtime: Runtime, options: None = None) -> None:
        if options is not None:
            raise OptionError("a model of the task stream has no options", "leave them out")
        self._runtime, self._spec = runtime, runtime.spec
        self._view = StreamView(runtime.spec)
        self.has_rows = bool(runtime.spec.state) and runtime.spec.is_sized
        self._names = [tensor.name for tensor in runtime.spec.state]
        step = runtime.spec.function(self._view.function)
        missing = set(self._names) - set(step.writes_state)
        if not self._view.has_init and missing:
            raise BundleError(
                f"step of {runtime.spec.name!r} never writes {sorted(missing)[0]!r}, and there is no init",
                "have init or step write every state tensor",
            )

    def open(self) -> Steps[StreamMemory, Output]:  # type: ignore[override]
        """Begins with nothing seen."""
        yield from ()
        return Next(StreamMemory())

    def step(self, memory: StreamMemory, frame: Frame) -> Steps[StreamMemory, Output]:
        """What the model gives for the next frame."""
        inputs = self._inputs(memory, frame)
        row: dict[str, Any] = {}
        state: Any = OWN if self.has_rows else memory.state
        if not memory.begun:
            seen = self._view.frames[0].padded(frame.height, frame.width)
            if not self.has_rows and self._names:
                state = dict(self._runtime.allocate(1, seen).read([0]))
            if self._view.has_init:
                given = {name: inputs[name] for name in self._view.init_inputs}
                started = yield from call(self._view.init, given, None)
                row = {name: started.state[name] for name in started.state}
                state = {**(self._zeros() if self.has_rows else state or {}), **row}
        made = yield from call(self._view.function, inputs, state if self._names else None)
        row |= {name: made.state[name] for name in made.state}
        kept = (frame, *memory.frames)[: self._view.memory_frames]
        now = StreamMemory(
            True, frame.seconds, kept, None if self.has_rows or not row else {**(state or {}), **row}
        )
        return Next(now, self._answer(made.outputs, frame), row if self.has_rows else None)

    def stored(self, memory: StreamMemory) -> StreamMemory:
        """See ``Task``."""
        if memory.state is None:
            return memory
        return replace(memory, state={n: self._runtime.to_host(value) for n, value in memory.state.items()})

    def restored(self, memory: StreamMemory) -> StreamMemory:
        """See ``Task``."""
        state = memory.state
        if (state is not None) != (memory.begun and not self.has_rows and bool(self._names)):
            raise StateError("the snapshot has state where it should have none, or lacks it", DAMAGED)
        if len(memory.frames) > self._view.memory_frames:
            raise StateError("the snapshot keeps more frames than the model looks back at", DAMAGED)
        if state is None:
            return memory
        check_state(state, self._spec.state)
        return replace(memory, state={n: self._runtime.from_host(n, value) for n, value in state.items()})

    def distance(self, one: Output, other: Output) -> float:
        """The largest difference of a number, over the largest of its tensor."""
        worst = 0.0
        for name, value in one.tensors.items():
            apart = np.abs(value.astype(np.float64) - other.tensors[name]).max(initial=0.0)
            worst = max(worst, float(apart / max(1e-3, np.abs(value).max(initial=0.0))))
        return worst

    def _inputs(self, memory: StreamMemory, frame: Frame) -> dict[str, Any]:
        inputs: dict[str, Any] = dict(self._view.values)
        for one in self._view.frames:
            shown = frame
            if one.back and memory.frames:
                shown = memory.frames[min(one.back, len(memory.frames)) - 1]
            inputs[one.name] = one.of(shown.image)
        passed = frame.seconds - memory.seconds if memory.begun else 0.0
        for tensor in self._view.seconds:
            inputs[tensor.name] = np.full(tensor.concrete(1), passed, tensor.dtype)
        return inputs

    def _zeros(self) -> dict[str, Any]:
        """A row that nothing was written into."""
        zeros = {one.name: np.zeros(one.concrete(1), one.dtype) for one in self._spec.state}
        return {name: self._runtime.from_host(name, value) for name, value in zeros.items()}

    def _answer(self, outputs: Any, frame: Frame) -> Output:
        size = frame.height, frame.width
        seen = self._view.frames[0].padded(*size)
        tensors = {one.name: np.asarray(outputs[one.name])[0, ...] for one in self._view.outputs}
        pictures = {
            one.name: one.picture(tensors[one.name], size, seen)
            for one in self._view.outputs
            if one.kind != "tensor"
        }
        return Output(tensors, pictures, frame.index, frame.seconds)
