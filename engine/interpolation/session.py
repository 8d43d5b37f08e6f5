"""`InterpolationSession`: one video being interpolated, frame by frame, on the caller's thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from types import TracebackType
from typing import Self

from ...errors import FrameError, SessionError
from ...vision import Frame, Image
from .cuts import Sketch, is_cut
from .duplicates import Sameness, compare
from .model import InterpolationModel
from .options import InterpolationOptions
from .sized_model import EncodedFrame, PairMotion, SizedModel
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
    encoded: EncodedFrame | None = None
    motion: PairMotion | None = None
    before: Source | None = None


@dataclass(slots=True)
class _Pair:
    """A pair while its frames are made: features and motion are computed when the first one is asked for."""

    first: EncodedFrame | None
    second: EncodedFrame | None = None
    motion: PairMotion | None = None
    carried: PairMotion | None = None
    is_still: bool = False


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
    needs it.

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
        pair = self._compare(last, frame, sketch, counts)
        for moment in timeline.between(last.source, source, counts.frames_out):
            image = self._at(last, frame, pair, moment, counts)
            yield Frame(image, moment.pts, timeline.time_base, moment.number)
            counts.frames_out += 1
        self._check_open()
        encoded = None if pair is None else pair.second
        motion = pair.motion if pair is not None and self._model.carries else None
        self._last = _Last(frame, source, sketch, encoded, motion, last.source)
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

    def _begin(self, frame: Frame) -> Iterator[Frame]:
        timeline = Timeline(self.options, frame.pts, frame.time_base)
        sized = SizedModel(self._model, frame.height, frame.width, self.options)
        sketch = Sketch.of(frame.image) if self.options.cuts else None
        moment = timeline.first()
        yield Frame(frame.image, moment.pts, timeline.time_base, moment.number)
        self._check_open()
        self._timeline, self._sized = timeline, sized
        self._start = frame.pts * frame.time_base
        self._last = _Last(frame, Source(0, frame.pts), sketch)
        self.counts = Counts(frames_in=1, frames_out=1)

    def _compare(self, last: _Last, frame: Frame, sketch: Sketch | None, counts: Counts) -> _Pair | None:
        """What lies between two frames: a pair to interpolate, a still one, or None where they are apart."""
        gap = (frame.pts - last.frame.pts) * frame.time_base
        if gap > self.options.longest_gap:
            counts.pauses += 1
            return None
        if self.options.duplicates:
            sameness = compare(last.frame.image, frame.image)
            if sameness is not Sameness.DIFFERENT:
                counts.duplicates += 1
                same = sameness is Sameness.IDENTICAL
                return _Pair(last.encoded, last.encoded if same else None, is_still=True)
        if last.sketch is not None and sketch is not None and is_cut(last.sketch, sketch):
            counts.scene_cuts += 1
            return None
        return _Pair(last.encoded, carried=last.motion)

    def _at(self, last: _Last, frame: Frame, pair: _Pair | None, moment: Moment, counts: Counts) -> Image:
        """The picture of a moment: one of the two frames, or one that is made."""
        if moment.part == 1:
            return frame.image
        if pair is None:
            return last.frame.image if moment.part <= Fraction(1, 2) else frame.image
        if pair.is_still:
            return last.frame.image
        sized = self._sized
        assert sized is not None, "it was made with the first frame"
        pair.first = pair.first or sized.encode(last.frame.image)
        pair.second = pair.second or sized.encode(frame.image)
        pair.motion = pair.motion or sized.motion(pair.first, pair.second, pair.carried)
        image = sized.between(pair.first, pair.second, pair.motion, float(moment.part))
        counts.made += 1
        return image

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
