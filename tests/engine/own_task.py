"""A user's own task, whole: how much each frame surprises a model that remembers those before it."""

from __future__ import annotations

from dataclasses import dataclass

from framestate.engine import Next, Steps, Task, call
from framestate.runtimes import Runtime
from framestate.vision import Frame
from framestate.vision.views import middle_square, standardise


@dataclass(frozen=True)
class Seen:
    frames: int = 0


@dataclass(frozen=True)
class Surprise:
    score: float
    frame_index: int


class Anomaly(Task[Seen, Surprise]):
    name = "anomaly"
    Memory = Seen

    def __init__(self, runtime: Runtime) -> None:
        self._size = runtime.spec.function("step").inputs[0].concrete(1)[-1]

    def open(self) -> Steps[Seen, Surprise]:  # type: ignore[override]
        yield from ()
        return Next(Seen())

    def step(self, memory: Seen, frame: Frame) -> Steps[Seen, Surprise]:
        view = standardise(middle_square(frame.image, self._size), (0.5,) * 3, (0.5,) * 3)
        seen = yield from call("step", {"image": view[None]})
        score = float(seen.outputs["score"][0, 0])
        return Next(Seen(memory.frames + 1), Surprise(score, frame.index), seen.state)
