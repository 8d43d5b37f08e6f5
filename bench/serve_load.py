"""What serving costs: frames a second and latency over real sockets, beside the engine fed the same JPEGs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from ..errors import OptionError
from ..vision import encode_image
from .figures import new_figure
from .serve_process import Round, Work, Worker, run_engine, run_load, server_process
from .timing import EndlessClip, percentiles_ms


@dataclass(frozen=True)
class ServePoint:
    """One number of sessions, each sending its next JPEG as soon as it has its answer.

    Attributes:
        sessions: that ran beside one another.
        served_fps, served_p50_ms, served_p99_ms: over a WebSocket each, from JPEG to answer.
        engine_fps, engine_p50_ms, engine_p99_ms: the same without a network: decoded, and answered by an
            engine in a process of its own, one thread a session.
    """

    sessions: int
    served_fps: float
    served_p50_ms: float
    served_p99_ms: float
    engine_fps: float
    engine_p50_ms: float
    engine_p99_ms: float

    @property
    def share(self) -> float:
        """Of the engine's frames a second, how much is left over the network."""
        return self.served_fps / self.engine_fps

    @property
    def overhead_ms(self) -> float:
        """What the network adds to a frame, at the median."""
        return self.served_p50_ms - self.engine_p50_ms

    def to_json(self) -> dict[str, float]:
        """An entry of ``points`` as ``bench serve --json`` prints it."""
        return {**asdict(self), "share": self.share, "overhead_ms": self.overhead_ms}


@dataclass(frozen=True)
class LoadOptions:
    """What is measured.

    Attributes:
        counts: numbers of sessions, each at least 1.
        frames: of a round, all sessions together.
        repetitions: rounds over all numbers; engine and server take turns in each.
        warm_up: frames that each session sends before, unmeasured.
        size: of the frames, in pixels.
        quality: of the JPEGs.
    """

    counts: tuple[int, ...] = (1, 4)
    frames: int = 200
    repetitions: int = 5
    warm_up: int = 5
    size: tuple[int, int] = (640, 480)
    quality: int = 90

    def __post_init__(self) -> None:
        if not self.counts or min(*self.counts, self.frames, self.repetitions) < 1 or self.warm_up < 0:
            raise OptionError(
                f"counts are {self.counts}, frames {self.frames}, repetitions {self.repetitions}",
                "give 1 or more of each",
            )


def measure_serving(
    model: str,
    options: LoadOptions,
    *,
    runtime: str = "auto",
    device: str = "auto",
    workers: int = 0,
    images: int = 30,
    tick: Callable[[float], None] = lambda share: None,
) -> list[ServePoint]:
    """Measures a server and the bare engine side by side. Each is a process of its own, as is the load.

    They take turns, round after round, so that what else the machine does hits both alike: frames a second
    are the median of the rounds, times are of all rounds together. ``tick`` is told which share is done.

    Raises:
        OptionError, BundleError: the model or the runtime cannot be used.
        RunError: a process died.
    """
    clip = EndlessClip(options.size, images=images)
    jpegs = tuple(encode_image(clip.frame(n).image, "jpeg", quality=options.quality) for n in range(images))
    work = Work(jpegs, clip.box, model, runtime, device, workers, max(options.counts))
    taken: dict[tuple[str, int], list[Round]] = {}
    with ExitStack() as stack:
        engine = Worker(run_engine, work)
        stack.callback(engine.close)
        load = Worker(run_load, stack.enter_context(server_process(work)), work, engine.ready)
        stack.callback(load.close)
        done = 0
        for turn in range(options.repetitions):
            sides = [("engine", engine), ("served", load)]
            for count in options.counts:
                each = math.ceil(options.frames / count)
                for name, worker in sides if turn % 2 == 0 else sides[::-1]:
                    taken.setdefault((name, count), []).append(worker.run((count, each, options.warm_up)))
                    done += 1
                    tick(done / (2 * options.repetitions * len(options.counts)))
    return [_point(count, taken["served", count], taken["engine", count]) for count in options.counts]


def _point(count: int, served: Sequence[Round], engine: Sequence[Round]) -> ServePoint:
    numbers: list[float] = []
    for rounds in (served, engine):
        waits = [wait for one in rounds for wait in one.waits]
        numbers += [median(one.fps for one in rounds), *percentiles_ms(waits, 50, 99)]
    return ServePoint(count, *numbers)


def serving_table(points: Sequence[ServePoint]) -> Table:
    """One row a number of sessions."""
    table = Table(title="Over WebSocket, beside the engine in process; JPEG in, answer out")
    table.add_column("sessions")
    for heading in (
        "FPS served",
        "FPS engine",
        "share",
        "p50 ms",
        "engine",
        "p99 ms",
        "engine",
        "overhead ms",
    ):
        table.add_column(heading, justify="right")
    for one in points:
        times = (one.served_p50_ms, one.engine_p50_ms, one.served_p99_ms, one.engine_p99_ms, one.overhead_ms)
        table.add_row(
            str(one.sessions), f"{one.served_fps:.1f}", f"{one.engine_fps:.1f}", f"{one.share:.0%}",
            *(f"{time:.2f}" for time in times),
        )  # fmt: skip
    return table


def serving_plot(points: Sequence[ServePoint], path: Path) -> None:
    """Frames a second by sessions, served and bare. Raises RuntimeUnavailableError without matplotlib."""
    figure = new_figure(path)
    axes = figure.add_subplot()
    counts = [one.sessions for one in points]
    series: dict[str, list[Any]] = {
        "engine in process": [one.engine_fps for one in points],
        "over WebSocket": [one.served_fps for one in points],
    }
    for (name, values), marker in zip(series.items(), "os", strict=True):
        axes.plot(counts, values, f"{marker}-", label=name)
    axes.set(xlabel="sessions", ylabel="frames a second, all sessions", ylim=(0, None), xticks=counts)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
