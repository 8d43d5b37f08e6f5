"""Frames between any two neighbours of a video, in any order: for those who ask as they please.

A session goes through a video once. This keeps what it computed of the last few frames and pairs instead, so
that asking in order costs what a session costs, and a frame is the same however it was reached.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ...errors import OptionError
from ...runtimes import Runtime
from ...vision import Image
from ..step_runner import StepRunner
from .cuts import Sketch, is_cut
from .duplicates import Sameness, between_alike, compare
from .model import InterpolationModel
from .options import InterpolationOptions
from .sized_model import EncodedFrame, Flows, PairMotion, SizedModel

KEPT = 6
"""Frames, and pairs, of which something is kept."""
Value = TypeVar("Value")


class Anywhere:
    """Makes frames between two neighbours, by the pairs around them. Threads may share one.

    Args:
        runtime: of an interpolation model that carries nothing from pair to pair; stays the caller's.
        height, width: of all frames, in pixels.
        options: scale, tiles, and whether cuts and duplicates are looked for.

    Raises:
        OptionError: the model carries something, so that frames cannot be made in any order.
    """

    def __init__(self, runtime: Runtime, height: int, width: int, options: InterpolationOptions) -> None:
        model = InterpolationModel(runtime)
        if model.carries:
            raise OptionError(
                f"{runtime.spec.name!r} carries its motion from pair to pair",
                "use a model that does not: frames are asked for in any order",
            )
        self._options, self._bends = options, model.bends
        self._sized = SizedModel(model, height, width, options)
        self._run = StepRunner(runtime)
        self._kept: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def between(self, place: int, part: float, frames: Mapping[int, Image], cuts: frozenset[int]) -> Image:
        """The frame ``part`` of the way from frame ``place`` to the next.

        Args:
            place: of the earlier frame in the video.
            part: in (0, 1).
            frames: RGB by their place: this one and the next, and where there are such the ones around.
            cuts: places after which another scene begins, as far as that is known.
        """
        with self._lock:
            if not self._is_between(place, frames, cuts):
                ends = frames[place], frames[place + 1]
                sameness = Sameness.DIFFERENT if place in cuts else self._sameness(place, frames)
                if sameness is Sameness.DIFFERENT:
                    return ends[part > 0.5]
                return between_alike(*ends, sameness, part)
            first, second = self._seen(place, frames), self._seen(place + 1, frames)
            motion = self._motion(place, frames, cuts)
            made: Image = self._run(self._sized.between(first, second, motion, part))
            return made

    def _motion(self, place: int, frames: Mapping[int, Image], cuts: frozenset[int]) -> PairMotion:
        def find() -> PairMotion:
            around = []
            for other in (place - 1, place + 1):
                known = self._bends and other in frames and other + 1 in frames
                told = known and self._is_between(other, frames, cuts)
                around.append((self._flows(other, frames), 1.0) if told else None)
            pair = self._seen(place, frames), self._seen(place + 1, frames)
            steps = self._sized.motion(*pair, None, self._flows(place, frames), *around)
            found: PairMotion = self._run(steps)
            return found

        return self._once(("motion", place), find)

    def _flows(self, place: int, frames: Mapping[int, Image]) -> Flows:
        def find() -> Flows:
            guides = [
                self._once(("guides", at), lambda at=at: self._sized.guides(frames[at]))  # type: ignore[misc]
                for at in (place, place + 1)
            ]
            return self._sized.flows(*guides)

        return self._once(("flows", place), find)

    def _seen(self, place: int, frames: Mapping[int, Image]) -> EncodedFrame:
        def see() -> EncodedFrame:
            found: EncodedFrame = self._run(self._sized.encode(frames[place]))
            return found

        return self._once(("seen", place), see)

    def _is_between(self, place: int, frames: Mapping[int, Image], cuts: frozenset[int]) -> bool:
        """Whether frames are made in this pair: it is one scene, and something moves."""
        if place in cuts or self._sameness(place, frames) is not Sameness.DIFFERENT:
            return False
        if not self._options.cuts:
            return True

        def cut() -> bool:
            sketches = [
                self._once(("sketch", at), lambda at=at: Sketch.of(frames[at]))  # type: ignore[misc]
                for at in (place, place + 1)
            ]
            return is_cut(*sketches)

        return not self._once(("cut", place), cut)

    def _sameness(self, place: int, frames: Mapping[int, Image]) -> Sameness:
        if not self._options.duplicates:
            return Sameness.DIFFERENT
        return self._once(("same", place), lambda: compare(frames[place], frames[place + 1]))

    def _once(self, key: tuple[str, int], make: Callable[[], Value]) -> Value:
        """What was made of a frame or a pair, made if it is not there; the oldest of its kind goes."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        alike = [other for other in self._kept if other[0] == key[0]]
        for other in alike[:-KEPT]:
            del self._kept[other]
        value: Value = self._kept[key]
        return value
