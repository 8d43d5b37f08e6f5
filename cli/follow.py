"""Frames of a video pushed to sessions, and targets followed through it: one engine, frames decoded once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from ..bundles import load_bundle
from ..engine import Engine, Session, Task, Tracking
from ..engine.scene import Scene
from ..errors import BundleError, OptionError
from ..runtimes import free_memory
from ..vision import Encoding, Frame, ReadAhead, VideoReader
from .annotate import Developed, Part, Sink
from .files import Reading
from .followers import Boxes, Detect, Detected, Follower, Told
from .progress import Bar, frames_bar
from .seen import Region, Seen
from .sinks import open_sinks
from .span import Span

Answer = TypeVar("Answer")
MOST_TARGETS = 128
"""That a scene follows with the model at once."""


@dataclass
class Tally:
    """What became of one target, over the frames after the first."""

    frames: int = 0
    lost: int = 0
    score: float = 0.0
    label: str | None = None

    def add(self, seen: Seen) -> None:
        """Count one answer."""
        self.frames += 1
        self.lost += seen.status == "lost"
        self.score += seen.score

    def lose(self) -> None:
        """Count a frame that does not show it."""
        self.frames += 1
        self.lost += 1

    @property
    def mean_score(self) -> float | None:
        """None where there was no frame after the first."""
        return self.score / self.frames if self.frames else None


@dataclass
class Watch:
    """Frames that a loop has pushed, and the seconds inside the engine."""

    frames: int = 0
    seconds: float = 0.0

    @property
    def fps(self) -> float | None:
        """Frames a second of the engine alone; None where there was no frame."""
        return self.frames / self.seconds if self.seconds > 0 else None


@dataclass
class Run:
    """What a whole run came to.

    Attributes:
        runtime, device: what ran the model.
        time_base: seconds a tick of the pts.
        targets: a tally for each, by its number.
        frames: those that were decoded, the first included.
        broken_packets: how many were passed over.
        notes: what is out of the ordinary in the source, or not in the video as it was there.
        watch: the time inside the engine.
        seconds: of the whole run.
    """

    runtime: str
    device: str
    time_base: str
    targets: dict[int, Tally] = field(default_factory=dict)
    frames: int = 0
    broken_packets: int = 0
    notes: list[str] = field(default_factory=list)
    watch: Watch = field(default_factory=Watch)
    seconds: float = 0.0

    @property
    def fps(self) -> float | None:
        """Frames a second of tracking, all targets of a frame together; decoding and drawing not counted."""
        return self.watch.fps


def follow(
    video: Path,
    regions: Sequence[Region],
    model: str,
    *,
    runtime: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    precision: str | None = None,
    out: Path | None = None,
    boxes: Path | None = None,
    reading: Reading | None = None,
    encoding: Encoding | None = None,
    span: Span | None = None,
    detect: Detect | None = None,
    delay: int = 0,
) -> Run:
    """Track regions, and what ``detect`` finds, into a video ``out`` and a table ``boxes``.

    ``delay``: frames that are held until later detections have put their boxes right, see ``Delayed``.

    Raises:
        InputError: the video, a region or the model cannot be used.
        RunError: the model failed, or an output could not be written; no output is left then.
    """
    began = time.perf_counter()
    with ExitStack() as stack:
        span = span or Span()
        reader = stack.enter_context((reading or Reading()).open(video, threads, deep=True))
        for region in regions:
            region.box.check(reader.width, reader.height)
        check_held(delay, reader)
        engine, follower = follower_of(
            stack, model, regions, detect, delay,
            runtime=runtime, device=device, threads=threads, precision=precision,
        )  # fmt: skip
        notes: list[str] = []
        chosen = span.frames(reader)
        first = next(chosen)
        begin = first.pts * first.time_base if span.start is not None else Fraction(0)
        part = Part(begin, span.is_part, span.every)
        developed = Developed(chain([first], chosen), reader, keeps=out is not None)
        is_scene = detect is not None
        sinks = open_sinks(stack, reader, developed, out, boxes, encoding, part, notes, is_scene)
        bar = stack.enter_context(frames_bar(f"tracking {video.name}", reader.frame_count))
        frames = stack.enter_context(ReadAhead(developed))
        run = Run(engine.runtime.name, engine.runtime.device, str(reader.time_base))
        _run(run, frames, follower, sinks, bar, is_scene)
        run.broken_packets = reader.broken_packets
        notes += reader.notes
    run.notes += notes
    run.seconds = time.perf_counter() - began
    return run


def check_held(delay: int, reader: VideoReader) -> None:
    """Raises OptionError where so many frames of a video are more than half of the memory that is free."""
    each = (
        3 * reader.width * reader.height * (3 if reader.is_deep else 1)
    )  # deep ones are held in 8 bits, too
    free = free_memory("cpu") if delay else 0
    if 2 * delay * each > free:
        most = free // (2 * each)
        raise OptionError(
            f"--delay {delay} would hold {delay * each / 1e9:.1f} GB of frames; {free / 1e9:.1f} GB are free",
            f"Give {most} or less." if most else "Leave --delay out.",
        )


def follower_of(
    stack: ExitStack,
    model: str,
    regions: Sequence[Region],
    detect: Detect | None,
    delay: int = 0,
    **given: Any,
) -> tuple[Engine, Follower]:
    """A tracker's engine, open as long as ``stack``, and what follows regions, or what is detected, with it.

    ``given`` as ``Engine.load`` takes it. Raises as ``load``.
    """
    capacity = len(regions) if detect is None else MOST_TARGETS
    engine = stack.enter_context(load(model, Tracking, capacity=capacity, **given))
    if detect is None:
        return engine, Boxes(engine, regions)
    return engine, Detected(stack.enter_context(Scene(engine)), detect, regions, delay)


def load(model: str, task: type[Task[Any, Any]], **given: Any) -> Engine:
    """The engine of a model for a task; ``given`` as ``Engine.load`` takes it.

    Raises BundleError: the model is for another task; and as ``Engine.load``.
    """
    bundle = load_bundle(model)
    if bundle.spec.task != task.name:
        wrong = f"{bundle.spec.name!r} is a model for {bundle.spec.task}, not for {task.name}"
        raise BundleError(wrong, "choose another --model")
    return Engine.load(bundle, **given)


def answers(
    frames: Iterable[Frame], sessions: Sequence[Session[Answer]], watch: Watch
) -> Iterator[tuple[Frame, list[Answer]]]:
    """The one loop of the command line: every frame with the answer of each session. Raises as ``push``."""
    for frame in frames:
        began = time.perf_counter()
        found = [session.push(frame) for session in sessions]
        watch.seconds += time.perf_counter() - began
        watch.frames += 1
        yield frame, found


def told(frames: Iterable[Frame], follower: Follower, watch: Watch) -> Iterator[Told]:
    """What a follower tells of every frame; its time is watched, but for the first frame, which opens."""
    is_first = True
    for frame in frames:
        began = time.perf_counter()
        now = list(follower(frame))
        if not is_first:
            watch.seconds += time.perf_counter() - began
            watch.frames += 1
        is_first = False
        yield from now
    yield from follower.rest()


def _run(
    run: Run, frames: Iterable[Frame], follower: Follower, sinks: Sequence[Sink], bar: Bar, labelled: bool
) -> None:
    """Every frame: to the follower, and what it sees to the sinks."""
    for frame, seen, lost in told(frames, follower, run.watch):
        for sink in sinks:
            sink(frame, seen)
        run.frames += 1
        bar.advance()
        for one in seen:
            tally = run.targets.setdefault(one.target, Tally())
            tally.label = one.label if labelled else None
            if not one.given:
                tally.add(one)
        for target in set(lost) - {one.target for one in seen}:
            if target in run.targets:
                run.targets[target].lose()
    for region in follower.waiting:
        run.notes.append(f"the video ends before the time of the box {region.box}, which was not followed")
