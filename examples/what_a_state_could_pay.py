"""What could a tracker's state be worth if it held the truth? An upper bound, before anything is trained.

Each line is a one-pass evaluation of one model. After each answer the true box sets one thing of its state:

    shipped         nothing
    first look      nothing, and the template stays that of the first frame
    place           where the target is, so that the search is never in a wrong place
    look N          the template: the true box's look, made anew every N frames
    mean N          the template: the mean of the first look and of that one
    own N           the template: the look of its own box, taken only where that overlaps the true box by 0.7
    place + look N  both

    python examples/what_a_state_could_pay.py CLIPS [--model NAME|DIR] [--every 1,10,30] [--clips A,B]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from framestate.bench.ope import overlaps, score_sequence
from framestate.bench.sequences import TrackingSequence, load_sequences
from framestate.engine import Engine, Next, Track, Tracking, call
from framestate.engine.task import mix
from framestate.engine.tracking.memory import TargetMemory
from framestate.runtimes import Parts, Runtime
from framestate.vision import Box, Frame

NEAR = 0.7


@dataclass(frozen=True, slots=True)
class Telling:
    """What a tracker is told of the truth.

    Attributes:
        place: where the target is.
        every: frames between two looks at it; 0: none.
        share: of that look in the template; the first look is the rest.
        own: look at the box that was answered, where it is nearly the true one.
        learns: make the template anew as the model's options say.
    """

    place: bool = False
    every: int = 0
    share: float = 1.0
    own: bool = False
    learns: bool = True


class Told(Tracking):
    """A tracker of one target, which is told the truth after it has answered."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.telling = Telling()
        self.truth: Mapping[int, Box] = {}
        self._first: Mapping[str, Any] = {}

    def open(self, frame: Frame, box: Any) -> Any:  # type: ignore[override]
        """As any tracker; the first look is kept."""
        made = yield from super().open(frame, box)
        assert made.row is not None, "init writes it"
        self._first = self._only_read(made.row)
        return made if self.telling.learns else replace(made, memory=made.memory.but({"first_view": None}))

    def step(self, memory: TargetMemory, frame: Frame) -> Any:
        """As any tracker; then its state is what the truth says."""
        made: Next[TargetMemory, Track] = yield from super().step(memory, frame)
        box, telling = self.truth.get(frame.index), self.telling
        if box is None:
            return made
        memory, row = made.memory, made.row
        if telling.place:
            memory = (yield from self.correct(memory, box, learn=False)).memory
        if telling.own and made.answer is not None:
            near = overlaps([made.answer.box.xywh], [box.xywh])[0] >= NEAR
            box = made.answer.box if near else None
        if box is not None and telling.every and frame.index % telling.every == 0:
            look = yield from call("init", self.template(memory, frame, box), None)
            mixed = yield from mix(self._first, self._only_read(look.state), telling.share)
            row = mixed.state if row is None else Parts(row, mixed.state)
        return Next(memory, made.answer, row)


def tellings(every: list[int]) -> Iterator[tuple[str, Telling]]:
    """What is compared, and its name."""
    yield "shipped", Telling()
    yield "first look", Telling(learns=False)
    yield "place", Telling(place=True)
    for count in every:
        yield f"look {count}", Telling(every=count)
        yield f"mean {count}", Telling(every=count, share=0.5)
        yield f"own {count}", Telling(every=count, own=True)
        yield f"place + look {count}", Telling(place=True, every=count)


def auc(engine: Engine, clip: TrackingSequence) -> float:
    """Of one clip, between 0 and 1."""
    frames = clip.frames()
    first = next(frames)
    with engine.open(first, box=clip.first_box) as session:
        boxes = [clip.first_box.xywh, *(session.push(frame).box.xywh for frame in frames)]
    scores = score_sequence(boxes, clip.truth, width=first.width, height=first.height)
    return scores.auc


def inside(row: np.ndarray[Any, Any], width: int, height: int) -> bool:
    """Whether a true box is one, and some of it is in the picture."""
    return bool(
        np.isfinite(row).all() and row[0] < width and row[1] < height and (row[:2] + row[2:] > 0).all()
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tracker-nano")
    parser.add_argument("--every", default="1,10,30")
    parser.add_argument("--clips", default="")
    given = parser.parse_args()
    clips = load_sequences(given.folder, given.clips.split(",") if given.clips else None)
    with Engine.load(given.model, task=Told, threads=1, capacity=1) as engine:
        told = engine.task
        assert isinstance(told, Told)
        for name, told.telling in tellings([int(count) for count in given.every.split(",")]):
            found = []
            for clip in clips:
                first = next(clip.frames())
                told.truth = {
                    index: Box(*row.tolist())
                    for index, row in enumerate(clip.truth)
                    if inside(row, first.width, first.height)
                }
                found.append(auc(engine, clip))
            print(
                f"{name:16} AUC {np.mean(found):.3f}   of each: {' '.join(f'{one:.2f}' for one in found)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
