"""One uploaded video from its first frame to its results, on a thread, through the shared engines."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..engine import Engine, OutputOptions, Session, expected_frames, interpolate_video
from ..errors import CapacityError, VideoError
from ..vision import Box, Frame, VideoReader
from .hub import VIDEO_SESSION, Hub
from .jobs import Job
from .sinks import sink_of

INTERPOLATED, RESULTS = "interpolated.mp4", "results"
WAIT_S = 0.5
"""Between two tries for a slot while live sessions hold all of them."""


class Stopped(Exception):
    """The work was asked to stop."""


Step = Callable[[int, int | None], None]
"""Called with frames done and frames to expect; raises ``Stopped`` to end the work."""


Done = tuple[tuple[str, ...], tuple[str, ...]]
"""Names of results, and what these lack of the video, a sentence each."""


def work(hub: Hub, job: Job, folder: Path, step: Step) -> Done:
    """Does a job's work and returns the names of its results, which lie in ``folder/results``, and notes.

    Raises:
        FramestateError: why it cannot be done.
        Stopped: from ``step``.
    """
    results = folder / RESULTS
    shutil.rmtree(results, ignore_errors=True)  # of an attempt that was killed
    results.mkdir()
    engine = hub.engines[job.model]
    with VideoReader(folder / "input", max_pixels=hub.settings.max_pixels) as video:
        return WAYS.get(engine.task.name, followed)(engine, job, video, results, step)


def check_video(path: Path, task: str, boxes: Sequence[Box], max_pixels: int) -> int | None:
    """Opens a video and sees whether the boxes lie in it; returns how many frames to expect, None for later.

    Raises:
        VideoError, BoxError: it cannot be used.
    """
    try:
        with VideoReader(path, max_pixels=max_pixels, threads=1) as video:
            for box in boxes:
                box.check(video.width, video.height)
            return None if task in WAYS else video.frame_count  # a way of its own counts frames of its own
    except VideoError as error:
        problem = error.problem.replace(str(path), "the upload")  # no path of the server in an answer
        raise VideoError(problem, error.remedy) from None


def notes_of(notes: Sequence[str], broken: int) -> tuple[str, ...]:
    """What a video said of itself, and how many of its packets did not decode."""
    lost = f"{broken} broken packet{'s were' if broken > 1 else ' was'} skipped; what was in there is missing"
    return (*notes, lost) if broken else tuple(notes)


def followed(engine: Engine, job: Job, video: VideoReader, results: Path, step: Step) -> Done:
    """One session, or one for each box; every frame's answers go to the task's sink."""
    boxes, options = job.options["boxes"], dict(job.options["options"])
    opens = [{**options, "box": box} for box in boxes] or [options]
    with ExitStack() as stack:
        frames, count = iter(video), 0
        first = next(frames) if engine.task.opens_on_frame else None
        sessions = [
            stack.enter_context(opened(engine, job, number, first, given, step))
            for number, given in enumerate(opens, start=1)
        ]
        sink = sink_of(engine.task.name, job, video, results, stack)
        if first is not None:
            sink.begin(first)
            count = 1
            step(count, video.frame_count)
        for frame in frames:
            flying = [session.submit_nowait(frame) for session in sessions]
            sink.take(frame, [one.result() for one in flying])
            count += 1
            step(count, video.frame_count)
        return tuple(sink.names), notes_of(video.notes, video.broken_packets)


def made(engine: Engine, job: Job, video: VideoReader, results: Path, step: Step) -> Done:
    """A video of the frames that are made, with the sound of the one that was uploaded."""
    with opened(engine, job, 1, None, dict(job.options["options"]), step) as session:
        total, count = expected_frames(video, session.memory.options), 0

        def on_frame() -> None:
            nonlocal count
            count += 1
            step(count, total)

        run = interpolate_video(session, video, results / INTERPOLATED, OutputOptions(), on_frame)
    return (INTERPOLATED,), notes_of(run.notes, run.broken_packets)


WAYS: Mapping[str, Callable[[Engine, Job, VideoReader, Path, Step], Done]] = MappingProxyType(
    {"interpolation": made}
)
"""By the task; any other is followed frame by frame."""


def opened(
    engine: Engine, job: Job, number: int, frame: Frame | None, given: Mapping[str, Any], step: Step
) -> Session[Any]:
    """A session of the engine; waits for a slot as long as nobody asks it to stop."""
    while True:
        try:
            key = f"{VIDEO_SESSION}{job.id}-{number}"
            return engine.open(frame, session_id=key, deadline_ms=1000.0, **given)
        except CapacityError:
            step(0, None)
            time.sleep(WAIT_S)
