"""Our own engine as a maker of frames to evaluate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from fractions import Fraction

import cv2

from ..engine import Engine, InterpolationOptions
from ..engine.interpolation.model import InterpolationModel
from ..engine.interpolation.sized_model import Flows, PairMotion, SizedModel
from ..engine.step_runner import StepRunner
from ..vision.frame import Frame
from .interpolation_peers import Image, Made


class EngineMiddles:
    """A session of the engine a clip: as a video that is there already, or live.

    What is timed is all that the session does: looking for cuts and duplicates, encoding, motion, and making
    the frame. Of a video a clip is timed as a whole, and each frame is given its share.

    Args:
        engine: of an interpolation model; stays the caller's.
        options: of every session; the factor is 2.
        lanes: frames that are made side by side.
        live: pushes frame by frame, as a stream is; otherwise the pair after one tells of it, too, where the
            model asks for that.
    """

    def __init__(
        self, engine: Engine, options: InterpolationOptions | None = None, lanes: int = 1, live: bool = False
    ) -> None:
        self._engine = engine
        self._options = options or InterpolationOptions()
        self._lanes, self._live = lanes, live

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        """See `MiddleMaker`."""
        frames = (Frame(image, index, Fraction(1, 25), index) for index, image in enumerate(images))
        options = replace(self._options, lookahead=not self._live)
        with self._engine.open(options=options) as session:
            if not self._live:
                one_a_lane = opencv_threads(1) if self._lanes > 1 else nullcontext()  # more would spin beside
                with one_a_lane:
                    began = time.perf_counter()
                    shown = list(session.ahead(frames, self._lanes))
                    share = (time.perf_counter() - began) / max(1, len(images) - 1)
                yield from ((frame.image, share) for frame in shown[1::2])
                return
            for index, frame in enumerate(frames):
                began = time.perf_counter()
                shown = session.push(frame)
                seconds = time.perf_counter() - began
                if index:
                    yield shown[0].image, seconds


@contextmanager
def opencv_threads(count: int) -> Iterator[None]:
    """OpenCV with so many threads for a while: other methods keep theirs."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


class ModelMiddles:
    """The model alone, as the benchmarks' scripts run one: no look-out for cuts, and frames not rounded.

    What is timed is encoding, motion, and making the frame.

    Args:
        engine: of an interpolation model; stays the caller's.
        options: scale and tiles, as a session has them.
    """

    def __init__(self, engine: Engine, options: InterpolationOptions | None = None) -> None:
        self._model = InterpolationModel(engine.runtime)
        self._options = options or InterpolationOptions()
        self._run = StepRunner(engine.runtime)

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        """See `MiddleMaker`; frames are float32 levels."""
        height, width = images[0].shape[:2]
        sized = SizedModel(self._model, height, width, self._options)
        began = time.perf_counter()
        last, guides = self._run(sized.encode(images[0])), sized.guides(images[0])
        motion: PairMotion | None = None
        before: tuple[Flows, float] | None = None
        for image in images[1:]:
            encoded, others = self._run(sized.encode(image)), sized.guides(image)
            flows = sized.flows(guides, others)
            motion = self._run(sized.motion(last, encoded, motion, flows, before))
            made = self._run(sized.levels(last, encoded, motion, 0.5))
            yield made, time.perf_counter() - began
            last, guides, before = encoded, others, (flows, 1.0)
            began = time.perf_counter()
