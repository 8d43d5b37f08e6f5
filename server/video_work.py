"""One uploaded video from its first frame to its results, on a thread, through the shared engines."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..engine import Session, Track
from ..engine.interpolation import OutputOptions, expected_frames, interpolate_video
from ..errors import CapacityError, VideoError
from ..vision import Box, Frame, Mark, VideoReader, VideoWriter, draw_tracks
from .hub import VIDEO_SESSION, Hub
from .jobs import Job

BOXES, TRACKED, INTERPOLATED = "boxes.csv", "tracked.mp4", "interpolated.mp4"
COLUMNS = ("frame", "pts", "seconds", "target", "x", "y", "w", "h", "score", "status")
WAIT_S = 0.5
"""Between two tries for a slot while live sessions hold all of them."""


class Stopped(Exception):
    """The work was asked to stop."""


Step = Callable[[int, int | None], None]
"""Called with frames done and frames to expect; raises ``Stopped`` to end the work."""


def work(hub: Hub, job: Job, folder: Path, step: Step) -> tuple[str, ...]:
    """Does a job's work and returns the names of its results, which lie in ``folder/results``.

    Raises:
        FramestateError: why it cannot be done.
        Stopped: from ``step``.
    """
    results = folder / "results"
    results.mkdir(exist_ok=True)
    doing = _track if job.task == "tracking" else _interpolate
    with VideoReader(folder / "input", max_pixels=hub.settings.max_pixels) as video:
        return doing(hub, job, video, results, step)


def check_video(path: Path, boxes: Sequence[Box], max_pixels: int) -> int | None:
    """Opens a video and sees whether the boxes lie in it; returns how many frames to expect.

    Raises:
        VideoError, BoxError: it cannot be used.
    """
    try:
        with VideoReader(path, max_pixels=max_pixels, threads=1) as video:
            for box in boxes:
                box.check(video.width, video.height)
            return video.frame_count
    except VideoError as error:
        problem = error.problem.replace(str(path), "the upload")  # no path of the server in an answer
        raise VideoError(problem, error.remedy) from None


def _track(hub: Hub, job: Job, video: VideoReader, results: Path, step: Step) -> tuple[str, ...]:
    boxes = [Box(*values) for values in job.options["boxes"]]
    names = [BOXES]
    with ExitStack() as stack:
        frames = iter(video)
        frame = next(frames)
        sessions = [
            stack.enter_context(_open(hub, job, f"{VIDEO_SESSION}{job.id}-{number}", frame, box, step))
            for number, box in enumerate(boxes, start=1)
        ]
        write = stack.enter_context(_boxes_csv(results / BOXES))
        film = None
        if job.options.get("annotate"):
            names.append(TRACKED)
            film = stack.enter_context(
                VideoWriter(
                    results / TRACKED, video.width, video.height, video.frame_rate, time_base=video.time_base
                )
            )
        tracks = [Track(box, 1.0, "tracking", frame.index) for box in boxes]
        count = 0
        while True:
            write(frame, tracks)
            if film is not None:
                marks = [Mark(one.box, n, one.score, one.status) for n, one in enumerate(tracks, start=1)]
                film.write(draw_tracks(frame.image, marks), frame.pts)
            count += 1
            step(count, video.frame_count)
            following = next(frames, None)
            if following is None:
                return tuple(names)
            frame = following
            answers = [session.submit_nowait(frame) for session in sessions]
            tracks = [answer.result() for answer in answers]


def _interpolate(hub: Hub, job: Job, video: VideoReader, results: Path, step: Step) -> tuple[str, ...]:
    engine, factor = hub.engines[job.model], int(job.options["factor"])
    session = hub.inline.post(job.model, lambda: engine.interpolate(factor=factor)).result()
    try:
        total, count = expected_frames(video, session.options), 0

        def on_frame() -> None:
            nonlocal count
            count += 1
            step(count, total)

        interpolate_video(session, video, results / INTERPOLATED, OutputOptions(), on_frame)
    finally:
        hub.inline.post(job.model, session.close).result()
    return (INTERPOLATED,)


def _open(hub: Hub, job: Job, key: str, frame: Frame, box: Box, step: Step) -> Session:
    """A session of the engine; waits for a slot as long as nobody asks it to stop."""
    while True:
        try:
            service = hub.engines[job.model].service
            return service.begin(frame, box, session_id=key, deadline_ms=1000.0).result()
        except CapacityError:
            step(0, None)
            time.sleep(WAIT_S)


@contextmanager
def _boxes_csv(path: Path) -> Iterator[Callable[[Frame, Sequence[Track]], None]]:
    """Writes boxes as the command ``track`` does: a line a frame and target. Whole, or not at all."""
    scratch = path.with_suffix(".part")
    with scratch.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)

        def write(frame: Frame, tracks: Sequence[Track]) -> None:
            for target, track in enumerate(tracks, start=1):
                box = [f"{value:.3f}" for value in track.box.xywh]
                seconds = f"{frame.seconds:.6f}"
                rows.writerow(
                    [frame.index, frame.pts, seconds, target, *box, f"{track.score:.4f}", track.status]
                )

        yield write
    scratch.replace(path)
