"""A task of your own, in one file: docs/own-task.md walks through it.

It tells how much a frame surprises a model: what the model expects goes on in the session's row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from framestate.engine import Next, Steps, Task, call
from framestate.vision import Frame


@dataclass(frozen=True)
class Seen:
    """What a session remembers beside its row of state: any frozen dataclass of plain values."""

    frames: int = 0


@dataclass(frozen=True)
class Surprise:
    """The answer: any frozen dataclass. ``dropped`` and ``timings`` are filled in where it has them."""

    frame_index: int
    score: float


class Surprised(Task[Seen, Surprise]):
    """One model call a frame."""

    name, Memory = "surprise", Seen

    def open(self) -> Steps[Seen, Surprise]:  # type: ignore[override]  # nothing is given
        """Begins with no frame."""
        yield from ()
        return Next(Seen())

    def step(self, memory: Seen, frame: Frame) -> Steps[Seen, Surprise]:
        """One frame."""
        image = frame.image.astype(np.float32).transpose(2, 0, 1)[None] / 255
        seen = yield from call("step", {"image": image})
        score = float(seen.outputs["far"][0])
        return Next(Seen(memory.frames + 1), Surprise(frame.index, score), seen.state)

    def distance(self, one: Surprise, other: Surprise) -> float:
        """Of two answers to one frame; proofs and benchmarks ask."""
        return abs(one.score - other.score)
