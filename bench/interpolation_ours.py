"""Our own engine as a maker of frames to evaluate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from fractions import Fraction

from ..engine import Engine, InterpolationOptions
from ..vision.frame import Frame
from .interpolation_peers import Image, Made


class EngineMiddles:
    """A session of the engine a clip, fed frame by frame as a stream is.

    What is timed is all that `InterpolationSession.push` does: looking for cuts and duplicates, encoding,
    motion, and making the frame.

    Args:
        engine: of an interpolation model; stays the caller's.
        options: of every session; the factor is 2.
    """

    def __init__(self, engine: Engine, options: InterpolationOptions | None = None) -> None:
        self._engine = engine
        self._options = options or InterpolationOptions()

    def middles(self, images: Sequence[Image]) -> Iterator[Made]:
        """See `MiddleMaker`."""
        with self._engine.interpolate(options=self._options) as session:
            for index, image in enumerate(images):
                frame = Frame(image, index, Fraction(1, 25), index)
                began = time.perf_counter()
                shown = session.push(frame)
                seconds = time.perf_counter() - began
                if index:
                    yield shown[0].image, seconds
