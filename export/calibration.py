"""What a model's functions are fed on real frames: the engine's own crops and states while it tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np

from ..bundles import past_name
from ..engine import Engine
from ..errors import ExportError
from ..runtimes import Arrays, Runtime, RuntimeOver, State
from ..vision import Box, Frame
from ..vision.synthetic import demo_clip

Feeds = dict[str, list[Arrays]]
"""For each function, what its graph was fed: inputs and past states by the names of the graph."""


@dataclass(frozen=True)
class Clip:
    """A video with a target to follow.

    Attributes:
        name: for reports.
        box: the target in the first frame, in pixels.
        frames: gives the frames from the first one on, each time it is called.
    """

    name: str
    box: Box
    frames: Callable[[], Iterator[Frame]]


def synthetic_clips(frames: int = 60) -> list[Clip]:
    """Three rendered clips, for when there are no real ones."""
    return [_synthetic(seed, frames) for seed in range(11, 14)]


def _synthetic(seed: int, frames: int) -> Clip:
    def render() -> Iterator[Frame]:
        for index, (image, _, _) in enumerate(demo_clip(seed, frames)):
            yield Frame(image, index, Fraction(1, 25), index)

    _, box, _ = next(iter(demo_clip(seed, frames)))
    return Clip(f"synthetic {seed}", box, render)


class Recorder(RuntimeOver):
    """A runtime that keeps what each call was given, while ``recording``."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.crops = None  # what is kept has to be on the host
        self.feeds: Feeds = {function: [] for function in runtime.spec.functions}
        self.recording = False

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """The runtime's answer; what it was given is copied."""
        if self.recording:
            read = {key: (state or {})[key] for key in self.spec.function(function).reads_state}
            self.feeds[function].append(
                {name: np.array(value) for name, value in inputs.items()}
                | {past_name(key): np.array(value) for key, value in read.items()}
            )
        return super().call(function, inputs, state)

    def close(self) -> None:
        """Leaves the runtime within open: it belongs to whoever opened it."""


def record_feeds(runtime: Runtime, clips: Sequence[Clip], *, most: int = 96, every: int = 5) -> Feeds:
    """Follows the clips and keeps every so many frames' feeds, spread evenly over the clips.

    With each kept frame, a template is cut from where the target is believed to be, so that ``init`` sees
    more than first frames.

    Args:
        runtime: runs the model in float32 on the host; left open.
        clips: at least one.
        most: feeds of ``step`` in all.
        every: frames from one kept frame to the next.

    Raises:
        ExportError: there is no clip, or no frame after a first one.
        VideoError, BoxError, StepError: a clip cannot be followed.
    """
    recorder = Recorder(runtime)
    share = max(1, most // max(1, len(clips)))
    for clip in clips:
        engine = Engine(recorder, capacity=2)
        frames = islice(clip.frames(), share * every + 1)
        recorder.recording = True
        target = engine.open(next(frames), box=clip.box)
        for count, frame in enumerate(frames):
            recorder.recording = count % every == 0
            track = target.push(frame)
            if recorder.recording and track.status == "tracking":
                engine.open(frame, box=track.box).close()
        target.close()
    if not all(recorder.feeds.values()):
        raise ExportError(
            "the clips to calibrate on gave no frames for some function", "give videos of two frames or more"
        )
    return recorder.feeds
