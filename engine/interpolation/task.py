"""Interpolation as a task: encode once a frame, motion once a pair, interpolate once a moment."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import FrameError, OptionError, StateError
from ...runtimes import Runtime
from ...vision import Frame
from ...wire import Made
from ..codec import DAMAGED, check_state
from ..inputs import Clock
from ..task import Early, Next, Part, Steps, Task
from .cuts import Sketch, is_cut
from .duplicates import Sameness, between_alike, compare
from .memory import Counts, Kind, Pair, Seen, Timed, VideoMemory
from .model import InterpolationModel
from .options import InterpolationOptions, Number
from .sized_model import PairMotion, SizedModel
from .timeline import Source

_HALF = Fraction(1, 2)
_LARGEST = 3840 * 2160  # pixels of a frame that a snapshot may hold
ALIKE: dict[Kind, Sameness] = {"still": Sameness.IDENTICAL, "alike": Sameness.DUPLICATE}
PSNR_CEILING = 200.0  # of equal frames, whose error is nothing


class Interpolating(Task[VideoMemory, Made]):
    """Turns frames into more frames: each is answered by those that can be shown by then.

    Pushed frames come back as they are (the same array) where the timeline shows them; those in between are
    made. Across a scene cut, or a gap longer than ``options.longest_gap``, they repeat the nearer frame;
    between duplicates they repeat the earlier one, or mix both where these differ by what a codec did. A
    frame is encoded at most once, and only where a pair needs it. How the pair before moved tells how the
    motion bends, where the model asks for that.

    Args:
        runtime: of an interpolator.
        options: what is made unless a session says otherwise.

    Raises BundleError: the model is no interpolator.
    """

    name = "interpolation"
    Memory = VideoMemory
    has_rows = False  # its state depends on the size of the frames, and goes from call to call
    most_bytes = 2 * (6 * _LARGEST) + 32 * 1024 * 1024  # two frames of 16 bits, and flows

    def __init__(self, runtime: Runtime, options: InterpolationOptions | None = None) -> None:
        self.options = options or InterpolationOptions()
        self._runtime, self._model = runtime, InterpolationModel(runtime)

    def open(  # type: ignore[override]
        self,
        factor: Number | None = None,
        fps: Number | None = None,
        slow_motion: Number | None = None,
        scale: Number = "auto",
        cuts: bool = True,
        duplicates: bool = True,
        lookahead: bool = False,
        options: InterpolationOptions | None = None,
    ) -> Steps[VideoMemory, Made]:
        """Twice as many frames, or as ``InterpolationOptions`` says; ``options`` instead of all others."""
        named = (factor, fps, slow_motion, scale, cuts, duplicates, lookahead)
        plain = named == (None, None, None, "auto", True, True, False)
        if options is not None and not plain:
            raise OptionError("options is given beside others", "give one or the others")
        chosen = options or (self.options if plain else InterpolationOptions.of(
            factor, fps, slow_motion, scale, cuts=cuts, duplicates=duplicates, lookahead=lookahead
        ))  # fmt: skip
        yield from ()
        return Next(VideoMemory(chosen))

    def step(self, memory: VideoMemory, frame: Frame) -> Steps[VideoMemory, Made]:
        """The frames after the last one, up to this one; a frame later where the session looks ahead."""
        answer, last = Made(frame.index), memory.last
        sketch = Sketch.of(frame.image) if memory.options.cuts else None
        seen = Seen(frame, 0 if last is None else last.number + 1, sketch)
        if last is None:
            sized = SizedModel(self._model, frame.height, frame.width, memory.options)
            memory = replace(
                memory, start=frame.pts, last=seen, sized=sized, counts=Counts(frames_in=1, frames_out=1)
            )
            first = memory.timeline.first()
            yield Part(moved(frame, first.pts, memory.timeline.time_base, first.number))
            return Next(memory, answer)
        memory, pair = yield from self._paired(memory, last, seen)
        if not memory.options.lookahead:
            memory = yield from self._shown(memory, pair, None)
            return Next(memory, answer)
        ready, memory = memory.waiting, replace(memory, waiting=pair)
        if ready is not None:
            second, after = pair.first, pair.timed
            memory = yield from self._shown(memory, ready, after, second)
        return Next(memory, answer)

    def flush(self, memory: VideoMemory) -> Steps[VideoMemory, Made]:
        """What waits, and one more frame where the timeline has not shown the last one."""
        last, waiting = memory.last, memory.waiting
        if last is None or memory.before is None:
            return Next(memory, Made(0 if last is None else last.frame.index))
        if waiting is not None:
            memory = yield from self._shown(replace(memory, waiting=None), waiting, None)
        assert memory.before is not None, "there is a frame before the last"
        before = Source(last.number - 1, memory.before)
        end = memory.timeline.end(before, last.source, memory.counts.frames_out)
        if end is not None:
            counts = replace(memory.counts, frames_out=memory.counts.frames_out + 1)
            memory = replace(memory, counts=counts)
            yield Part(moved(last.frame, end.pts, memory.timeline.time_base, end.number))
        return Next(memory, Made(last.frame.index))

    def check(self, before: Clock, frame: Frame) -> None:
        """Raises FrameError unless ``frame`` is later than the last, of its size, and counts in its ticks."""
        if (frame.width, frame.height) != (before.width, before.height):
            raise FrameError(
                f"frame {frame.index} is {frame.width}x{frame.height}, "
                f"the last one {before.width}x{before.height}",
                "bring all frames to one size, or start a new session when it changes",
            )
        if frame.time_base != before.time_base:
            raise FrameError(
                f"frame {frame.index} counts in ticks of {frame.time_base} s, "
                f"those before in {before.time_base} s",
                "keep to one time base",
            )
        if frame.pts <= before.pts:
            raise FrameError(
                f"frame {frame.index} has pts {frame.pts}, the last one {before.pts}",
                "push frames in order, each later than the one before",
            )

    def side_by_side(self, memory: VideoMemory, lanes: int) -> int:
        """Frames too large to go through the model whole fly alone, for the memory's sake."""
        return 1 if (memory.num_tiles or 1) > 1 else lanes

    def stored(self, memory: VideoMemory) -> VideoMemory:
        """See ``Task``."""
        if memory.motion is None:
            return memory
        host = self._runtime.to_host
        tables = tuple({name: host(value) for name, value in tile.items()} for tile in memory.motion)
        return replace(memory, motion=tables)

    def restored(self, memory: VideoMemory) -> VideoMemory:
        """See ``Task``."""
        if memory.last is None:
            return memory
        wrong = what_is_wrong(memory)
        if wrong:
            raise StateError(f"the snapshot of a video cannot be gone on with: {wrong}", DAMAGED)
        frame, waiting = memory.last.frame, memory.waiting
        try:
            sized = SizedModel(self._model, frame.height, frame.width, memory.options)
        except OptionError as error:
            raise StateError(
                f"the snapshot cannot be gone on with ({error.problem})", error.remedy
            ) from error
        flows = [memory.link] + ([] if waiting is None else [waiting.timed, waiting.before])
        sized.check_flows([one.flows for one in flows if one is not None])
        motion = memory.motion
        if motion is not None:
            expected = sized.motion_state()
            if not expected or len(motion) != len(expected):
                raise StateError(f"the snapshot holds motion of {len(motion)}, not {len(expected)}", DAMAGED)
            for one, tensors in zip(motion, expected, strict=True):
                check_state(one, tensors)
            native = self._runtime.from_host
            motion = tuple({name: native(name, value) for name, value in tile.items()} for tile in motion)
        sketch = Sketch.of(frame.image) if memory.options.cuts else None
        return replace(memory, sized=sized, motion=motion, last=replace(memory.last, sketch=sketch))

    def give_back(self) -> None:
        """See ``Task``."""
        self._model.give_back()

    def distance(self, one: Made, other: Made) -> float:
        """How many decibels the worst frame of the two answers lacks to ``PSNR_CEILING``."""
        worst = 0.0
        for ours, theirs in zip(one.frames, other.frames, strict=True):
            error = float(np.square(ours.image.astype(np.float64) - theirs.image).mean())
            worst = max(worst, 0.0 if error == 0 else PSNR_CEILING - 10 * np.log10(255**2 / error))
        return worst

    def _paired(
        self, memory: VideoMemory, last: Seen, seen: Seen
    ) -> Generator[Any, Any, tuple[VideoMemory, Pair]]:
        """What lies between the last frame and a new one, and the memory whose last frame is the new one."""
        kind, seen, counts = self._compared(memory, last, seen)
        timeline, following = memory.timeline, counts.frames_out
        after = timeline.after(last.source, seen.source, following)
        moments = timeline.between(last.source, seen.source, following)
        opening = next(moments, None)
        link = None
        if kind == "between" and opening is not None and opening.part != 1:
            shown = timeline.shows(last.source, seen.source, after - 1)
            counts = replace(counts, made=counts.made + after - following - shown)
            last = yield from self._encoded(memory.sized, last)
            seen = yield from self._encoded(memory.sized, seen)
            gap = (seen.frame.pts - last.frame.pts) * seen.frame.time_base
            link = Timed(tuple(memory.sized.flows(last.guides, seen.guides)), gap)
        pair = Pair(last, following, kind, link, memory.link)
        hands_on = link if self._model.bends else None
        memory = replace(
            memory,
            last=seen,
            before=last.frame.pts,
            counts=replace(counts, frames_out=after),
            link=hands_on,
        )
        return memory, pair

    def _compared(self, memory: VideoMemory, last: Seen, seen: Seen) -> tuple[Kind, Seen, Counts]:
        """How two frames compare; of one that repeats the other nothing is computed anew."""
        options, counts = memory.options, replace(memory.counts, frames_in=memory.counts.frames_in + 1)
        gap = (seen.frame.pts - last.frame.pts) * seen.frame.time_base
        if gap > options.longest_gap:
            return "apart", seen, replace(counts, pauses=counts.pauses + 1)
        if options.duplicates:
            sameness = compare(last.frame.image, seen.frame.image)
            if sameness is Sameness.IDENTICAL:
                seen = replace(seen, encoded=last.encoded, guides=last.guides)
            for kind, found in ALIKE.items():
                if sameness is found:
                    return kind, seen, replace(counts, duplicates=counts.duplicates + 1)
        if last.sketch is not None and seen.sketch is not None and is_cut(last.sketch, seen.sketch):
            return "apart", seen, replace(counts, scene_cuts=counts.scene_cuts + 1)
        return "between", seen, counts

    def _encoded(self, sized: SizedModel, seen: Seen) -> Generator[Any, Any, Seen]:
        if seen.encoded is None:
            seen = replace(seen, encoded=(yield from sized.encode(seen.frame.image)))
        if seen.guides is None:
            seen = replace(seen, guides=sized.guides(seen.frame.image))
        return seen

    def _shown(
        self, memory: VideoMemory, pair: Pair, after: Timed | None, second: Seen | None = None
    ) -> Generator[Any, Any, VideoMemory]:
        """Hands over the outputs of a pair; ``second`` is its later frame, where that is not the last."""
        later = second or memory.last
        assert later is not None
        first, timeline, motion = pair.first, memory.timeline, None
        if not self._model.carries:
            yield Early(memory)
        if pair.timed is not None:
            first = yield from self._encoded(memory.sized, first)  # both anew after a snapshot
            later = yield from self._encoded(memory.sized, later)
            motion = yield from self._moved(memory, pair.timed, first, later, pair.before, after)
        if self._model.carries:
            memory = replace(memory, motion=None if motion is None else tuple(motion.tiles))
            yield Early(memory)
        for moment in timeline.between(first.source, later.source, pair.following):
            if moment.part == 1:
                image = later.frame.image
            elif pair.kind in ALIKE:
                ends = first.frame.image, later.frame.image
                image = between_alike(*ends, ALIKE[pair.kind], float(moment.part))
            elif motion is None:
                image = (first if moment.part <= _HALF else later).frame.image
            else:
                part = float(moment.part)
                image = yield from memory.sized.between(first.encoded, later.encoded, motion, part)
            pushed = next((one.frame for one in (first, later) if one.frame.image is image), None)
            stored = None if pushed is None else pushed.stored
            yield Part(Frame(image, moment.pts, timeline.time_base, moment.number, stored))
        return memory

    def _moved(
        self,
        memory: VideoMemory,
        pair: Timed,
        first: Seen,
        later: Seen,
        before: Timed | None,
        after: Timed | None,
    ) -> Generator[Any, Any, PairMotion]:
        """The motion of a pair, by what the pairs around it tell."""
        around = [None if one is None else one.beside(pair.duration) for one in (before, after)]
        carried = None if memory.motion is None else PairMotion(memory.motion, None)
        sized: SizedModel = memory.sized
        return (yield from sized.motion(first.encoded, later.encoded, carried, pair.flows, *around))


def moved(frame: Frame, pts: int, time_base: Fraction, number: int) -> Frame:
    """A pushed frame, as it is shown."""
    return Frame(frame.image, pts, time_base, number, frame.stored)


def what_is_wrong(memory: VideoMemory) -> str:
    """Why the frames and numbers of a memory do not belong together; empty where they do."""
    last, waiting = memory.last, memory.waiting
    assert last is not None
    if memory.before is None:
        opening = (last.number, last.frame.pts, memory.counts.frames_out, waiting)
        return "" if opening == (0, memory.start, 1, None) else "its first frame is not where it should be"
    if not memory.start <= memory.before < last.frame.pts or last.number < 1:
        return "its times do not grow"
    timeline = memory.timeline
    due = timeline.after(Source(last.number - 1, memory.before), last.source, 0)
    if memory.counts.frames_out not in (due, due + 1):
        return f"{memory.counts.frames_out} frames were handed over, and {due} were due"
    if waiting is None:
        return ""
    first = waiting.first
    if (first.number, first.frame.pts) != (last.number - 1, memory.before):
        return "the pair that waits is not the last one"
    if (first.frame.image.shape, first.frame.time_base) != (last.frame.image.shape, last.frame.time_base):
        return "its frames do not belong together"
    return (
        "" if timeline.begins(first.source, last.source, waiting.following) else "its outputs are misnumbered"
    )
