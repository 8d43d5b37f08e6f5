"""`InterpolationSession`: one video being interpolated, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from types import TracebackType
from typing import Self

from ...errors import FrameError, FramestateError, SessionError
from ...vision import Frame, Image
from .cuts import Sketch, is_cut
from .duplicates import Sameness, compare
from .model import InterpolationModel
from .options import InterpolationOptions
from .pairs import Link, Pair, Seen, linked, seen_by
from .side_by_side import in_order
from .sized_model import SizedModel
from .timeline import Moment, Source, Timeline


@dataclass(slots=True)
class Counts:
    """What a session has done so far.

    Attributes:
        frames_in, frames_out: pushed, and handed back.
        made: of the latter, those that the model made; all others are pushed frames, bit for bit.
        scene_cuts, duplicates, pauses: pairs between which nothing was made, and why: another scene; the same
            picture; too long apart.
    """

    frames_in: int = 0
    frames_out: int = 0
    made: int = 0
    scene_cuts: int = 0
    duplicates: int = 0
    pauses: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Last:
    """What is kept of the last frame: it, its place, and what may be needed of it for the next pair."""

    frame: Frame
    source: Source
    sketch: Sketch | None
    seen: Seen
    link: Link | None = None
    before: Source | None = None


class InterpolationSession:
    """One video. Push its frames in order; each call hands back what can be shown by then.

    ::

        with Engine.load("interp-nano") as engine, engine.interpolate(factor=2) as session:
            for frame in frames:
                for shown in session.push(frame):
                    ...
            for shown in session.flush():
                ...

    Pushed frames come back as they are (the same array) where the timeline shows them; those in between are
    made. Across a scene cut, or a gap longer than ``options.longest_gap``, they repeat the nearer frame;
    between duplicates they repeat the earlier one. A frame is encoded at most once, and only where a pair
    needs it. How the pair before moved tells how the motion bends, where the model asks for that.

    A call that fails leaves the session as it was before it: the same frame, or another, can be pushed then.
    """

    def __init__(
        self, model: InterpolationModel, options: InterpolationOptions, on_close: Callable[[], None]
    ) -> None:
        self.options = options
        self.counts = Counts()
        self._model = model
        self._on_close: Callable[[], None] | None = on_close
        self._timeline: Timeline | None = None
        self._sized: SizedModel | None = None
        self._last: _Last | None = None
        self._start = Fraction(0)
        self._flushed = False

    @property
    def scale(self) -> float | None:
        """At which share of the frame's size motion is estimated; None before the first frame."""
        return None if self._sized is None else self._sized.scale

    @property
    def num_tiles(self) -> int | None:
        """In how many tiles a frame goes through the model; None before the first frame."""
        return None if self._sized is None else len(self._sized.tiles)

    @property
    def ends(self) -> Fraction | None:
        """When the last frame pushed goes, in seconds of the output, if it stays as the one before did."""
        last = self._last
        if last is None or last.before is None:
            return None
        tick, start = last.frame.time_base, self._start
        end = (2 * last.source.pts - last.before.pts) * tick
        return start + self.options.slow_motion * (end - start)

    def push(self, frame: Frame) -> list[Frame]:
        """Takes the next frame and returns the frames after the last one, up to this one, in order.

        Raises:
            FrameError: the frame has another size or time base, or is not later than the last one.
            StepError: the model failed or gave numbers that are not finite.
            OptionError: at the first frame: this model has no such scale.
            SessionError: the session was flushed, or is closed.
        """
        return list(self.stream(frame))

    def stream(self, frame: Frame) -> Iterator[Frame]:
        """As ``push``, one by one: a frame is made when it is asked for, so few are in memory at once.

        The pushed frame counts as taken when the last one has been handed over.
        """
        for task in self._tasks(frame):
            yield task()

    def ahead(self, frames: Iterable[Frame], lanes: int) -> Iterator[Frame]:
        """All that ``push`` of each frame and then ``flush`` give, up to ``lanes`` made side by side.

        For videos that are there already: up to twice ``lanes`` frames are made before they are asked for.
        Where the model asks how the motion bends, the pair *after* tells of it, too, which ``push`` cannot
        know yet: made frames are better than those of ``push``, and one more frame is taken ahead.
        A failure ends the session: which frames it took before is then open.
        Frames too large to go through the model whole are made one after the other, for the memory's sake.
        """
        coming = iter(frames)
        for frame in coming:
            yield from self.stream(frame)
            if self._sized is not None and len(self._sized.tiles) > 1:
                lanes = 1
            break
        yield from in_order(self._tasks_ahead(coming), lanes)
        yield from self.flush()

    def _tasks_ahead(self, frames: Iterable[Frame]) -> Iterator[Callable[[], Frame]]:
        """The tasks of all frames: where it matters, those of each when the next one has been taken."""
        if not self._model.bends:
            yield from (task for frame in frames for task in self._tasks(frame))
            return
        waiting: list[Callable[[], Frame]] = []
        try:
            for frame in frames:
                earlier = self._last.link if self._last is not None else None
                tasks = list(self._tasks(frame))
                later = self._last.link if self._last is not None else None
                if earlier is not None and later is not None:
                    earlier.around.after = later.timed
                ready, waiting = waiting, tasks
                yield from ready
        except FramestateError:
            yield from waiting  # what came before the frame that failed
            raise
        yield from waiting

    def _tasks(self, frame: Frame) -> Iterator[Callable[[], Frame]]:
        """What gives each of the frames to show. The session moves on when the last one has been taken."""
        self._check_open()
        if self._last is None:
            yield from self._begin(frame)
            return
        last, timeline = self._last, self._timeline
        assert timeline is not None, "it was made with the first frame"
        check_next(frame, last.frame)
        source = Source(last.source.number + 1, frame.pts)
        counts = replace(self.counts, frames_in=self.counts.frames_in + 1)
        sketch = Sketch.of(frame.image) if self.options.cuts else None
        seen = self._seen(frame)
        pair = self._compare(last, frame, sketch, seen, counts)
        made = counts.made
        for moment in timeline.between(last.source, source, counts.frames_out):
            picture = self._picture(last, frame, pair, moment, counts)
            yield partial(_frame_at, picture, moment, timeline)
            counts.frames_out += 1
        self._check_open()
        if pair is not None:
            seen = pair.second
        hands_on = self._model.carries or self._model.bends
        link = pair.link if pair is not None and hands_on and counts.made > made else None
        self._last = _Last(frame, source, sketch, seen, link, last.source)
        self.counts = counts

    def flush(self) -> list[Frame]:
        """Ends the video and returns one more frame where the timeline has not shown the last one.

        Raises:
            SessionError: the session was flushed before, or is closed.
        """
        self._check_open()
        self._flushed = True
        if self._last is None or self._last.before is None or self._timeline is None:
            return []
        moment = self._timeline.end(self._last.before, self._last.source, self.counts.frames_out)
        if moment is None:
            return []
        self.counts.frames_out += 1
        return [Frame(self._last.frame.image, moment.pts, self._timeline.time_base, moment.number)]

    def close(self) -> None:
        """Ends the session and frees what it holds. Closing twice is harmless."""
        self._last = self._sized = None
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def _begin(self, frame: Frame) -> Iterator[Callable[[], Frame]]:
        timeline = Timeline(self.options, frame.pts, frame.time_base)
        sized = SizedModel(self._model, frame.height, frame.width, self.options)
        sketch = Sketch.of(frame.image) if self.options.cuts else None
        yield partial(_frame_at, lambda: frame.image, timeline.first(), timeline)
        self._check_open()
        self._timeline, self._sized = timeline, sized
        self._start = frame.pts * frame.time_base
        self._last = _Last(frame, Source(0, frame.pts), sketch, self._seen(frame))
        self.counts = Counts(frames_in=1, frames_out=1)

    def _seen(self, frame: Frame) -> Seen:
        assert self._sized is not None, "it was made with the first frame"
        return seen_by(self._sized, frame.image)

    def _compare(
        self, last: _Last, frame: Frame, sketch: Sketch | None, seen: Seen, counts: Counts
    ) -> Pair | None:
        """What lies between two frames: a pair to interpolate, a still one, or None where they are apart."""
        gap = (frame.pts - last.frame.pts) * frame.time_base
        if gap > self.options.longest_gap:
            counts.pauses += 1
            return None
        assert self._sized is not None, "it was made with the first frame"
        link = linked(self._sized, last.seen, seen, gap, last.link)
        if self.options.duplicates:
            sameness = compare(last.frame.image, frame.image)
            if sameness is not Sameness.DIFFERENT:
                counts.duplicates += 1
                same = sameness is Sameness.IDENTICAL
                return Pair(last.seen, last.seen if same else seen, link, is_still=True)
        if last.sketch is not None and sketch is not None and is_cut(last.sketch, sketch):
            counts.scene_cuts += 1
            return None
        return Pair(last.seen, seen, link)

    def _picture(
        self, last: _Last, frame: Frame, pair: Pair | None, moment: Moment, counts: Counts
    ) -> Callable[[], Image]:
        """What gives the picture of a moment: one of the two frames, or one that is made."""
        if moment.part == 1:
            return lambda: frame.image
        if pair is None:
            nearer = last.frame if moment.part <= Fraction(1, 2) else frame
            return lambda: nearer.image
        if pair.is_still:
            return lambda: last.frame.image
        sized = self._sized
        assert sized is not None, "it was made with the first frame"
        counts.made += 1
        return lambda: sized.between(
            pair.first.encoded.get(), pair.second.encoded.get(), pair.link.motion.get(), float(moment.part)
        )

    def _check_open(self) -> None:
        if self._on_close is None or self._flushed:
            raise SessionError(
                f"this session is {'closed' if self._on_close is None else 'flushed'}",
                "start a new one with Engine.interpolate",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _frame_at(picture: Callable[[], Image], moment: Moment, timeline: Timeline) -> Frame:
    return Frame(picture(), moment.pts, timeline.time_base, moment.number)


def check_next(frame: Frame, last: Frame) -> None:
    """Raises FrameError unless ``frame`` is later than ``last``, of its size, and counts in its ticks."""
    if frame.image.shape != last.image.shape:
        raise FrameError(
            f"frame {frame.index} is {frame.width}x{frame.height}, the last one {last.width}x{last.height}",
            "start a new session when the size changes",
        )
    if frame.time_base != last.time_base:
        raise FrameError(
            f"frame {frame.index} counts in ticks of {frame.time_base} s, those before in {last.time_base} s",
            "keep to one time base",
        )
    if frame.pts <= last.pts:
        raise FrameError(
            f"frame {frame.index} has pts {frame.pts}, the last one {last.pts}",
            "push frames in order, each later than the one before",
        )
