"""Following targets through a whole video: one engine, one session a target, frames decoded once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path

from ..engine import Engine, Track
from ..vision import Box, Encoding, Frame, ReadAhead
from .annotate import Developed, Part, Sink
from .files import Reading
from .progress import Bar, frames_bar
from .sinks import open_sinks
from .span import Span


@dataclass
class Tally:
    """What became of one target, over the frames after the first."""

    frames: int = 0
    lost: int = 0
    score: float = 0.0

    def add(self, track: Track) -> None:
        """Count one answer."""
        self.frames += 1
        self.lost += track.status == "lost"
        self.score += track.score

    @property
    def mean_score(self) -> float | None:
        """None where there was no frame after the first."""
        return self.score / self.frames if self.frames else None


@dataclass
class Run:
    """What a whole run came to.

    Attributes:
        runtime, device: what ran the model.
        time_base: seconds a tick of the pts.
        targets: a tally for each, in the order they were given.
        frames: those that were decoded, the first included.
        broken_packets: how many were passed over.
        notes: what is out of the ordinary in the source, or not in the video as it was there.
        tracking: seconds inside the engine's update calls.
        seconds: of the whole run.
    """

    runtime: str
    device: str
    time_base: str
    targets: list[Tally] = field(default_factory=list)
    frames: int = 0
    broken_packets: int = 0
    notes: list[str] = field(default_factory=list)
    tracking: float = 0.0
    seconds: float = 0.0

    @property
    def fps(self) -> float | None:
        """Frames a second of tracking, all targets of a frame together; decoding and drawing not counted."""
        return (self.frames - 1) / self.tracking if self.tracking > 0 else None


def follow(
    video: Path,
    regions: Sequence[Box],
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
) -> Run:
    """Track each region of the first frame through a video, into a video ``out`` and a table ``boxes``.

    Raises:
        InputError: the video, a region or the model cannot be used.
        RunError: the model failed, or an output could not be written; no output is left then.
    """
    began = time.perf_counter()
    with ExitStack() as stack:
        span = span or Span()
        reader = stack.enter_context((reading or Reading()).open(video, threads, deep=True))
        regions = [region.check(reader.width, reader.height) for region in regions]
        engine = stack.enter_context(
            Engine.load(
                model,
                runtime=runtime,
                device=device,
                threads=threads,
                precision=precision,
                capacity=len(regions),
            )
        )
        notes: list[str] = []
        chosen = span.frames(reader)
        first = next(chosen)
        begin = first.pts * first.time_base if span.start is not None else Fraction(0)
        part = Part(begin, span.is_part, span.every)
        developed = Developed(chain([first], chosen), reader, keeps=out is not None)
        sinks = open_sinks(stack, reader, developed, out, boxes, encoding, part, notes)
        bar = stack.enter_context(frames_bar(f"tracking {video.name}", reader.frame_count))
        frames = stack.enter_context(ReadAhead(developed))
        run = Run(
            engine.runtime.name, engine.runtime.device, str(reader.time_base), [Tally() for _ in regions]
        )
        _run(run, frames, engine, regions, sinks, bar)
        run.broken_packets = reader.broken_packets
        notes += reader.notes
    run.notes = notes
    run.seconds = time.perf_counter() - began
    return run


def _run(
    run: Run,
    frames: Iterator[Frame],
    engine: Engine,
    regions: Sequence[Box],
    sinks: Sequence[Sink],
    bar: Bar,
) -> None:
    """Every frame: update each target, hand the answers to the sinks."""
    first = next(frames)
    targets = [engine.track(first, region) for region in regions]
    tracks = [Track(region, 1.0, "tracking", first.index) for region in regions]
    frame = first
    while True:
        for sink in sinks:
            sink(frame, tracks)
        run.frames += 1
        bar.advance()
        following = next(frames, None)
        if following is None:
            return
        frame = following
        began = time.perf_counter()
        tracks = [target.update(frame) for target in targets]
        run.tracking += time.perf_counter() - began
        for tally, track in zip(run.targets, tracks, strict=True):
            tally.add(track)
