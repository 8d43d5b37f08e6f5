"""What more servers give on this machine, beside what the simulation says of them; and what a move costs"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table

from ..cluster.ring import Ring
from ..errors import OptionError
from ..vision import encode_image
from .scale_load import WARM_UP, LoadOrder, LoadRound, run_scale_load
from .serve_process import Work, Worker
from .simulate import Demand, Machine
from .timing import EndlessClip, percentiles_ms

SPREAD = 200
"""Frames of which single ones' cost is remembered."""


@dataclass(frozen=True)
class ScalePoint:
    """One number of servers, each with as many sessions.

    Attributes:
        servers, sessions: that were in use, of all that ran.
        fps, p50_ms, p99_ms: measured: all sessions together, and of every frame over the front.
        simulated_fps, simulated_p99_ms: what the simulation says.
    """

    servers: int
    sessions: int
    fps: float
    p50_ms: float
    p99_ms: float
    simulated_fps: float
    simulated_p99_ms: float

    def to_json(self) -> dict[str, float]:
        """An entry of ``points`` as ``bench scale --json`` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class MoveCost:
    """Sessions that sent all they could while a server left and another came.

    Attributes:
        moved: how often a session moved.
        lost: frames that were forgotten.
        p50_ms, longest_ms: what the frame waited that met the move.
    """

    moved: int
    lost: int
    p50_ms: float
    longest_ms: float


@dataclass(frozen=True)
class ScaleReport:
    """Everything that ``bench scale`` finds. ``cores`` were left by what else ran."""

    points: tuple[ScalePoint, ...]
    demand: Demand
    cores: float
    move: MoveCost | None


@dataclass(frozen=True)
class ScaleOptions:
    """What is measured: ``each`` sessions on each of 1 to ``most`` servers, all sizes in turn."""

    most: int = 4
    each: int = 4
    frames: int = 60
    repetitions: int = 5
    size: tuple[int, int] = (640, 480)
    moves: bool = True

    def __post_init__(self) -> None:
        if min(self.most, self.each, self.frames, self.repetitions) < 1:
            raise OptionError(
                f"servers {self.most}, sessions {self.each}, frames {self.frames}, rounds {self.repetitions}",
                "give 1 or more of each",
            )


class Running:
    """A cluster on a Ray of its own, and the load on it."""

    def __init__(self, url: str, load: Worker, scale: Callable[[int], None], most: int) -> None:
        self._url = url
        self._load = load
        self.scale = scale
        self.names = sorted(one["name"] for one in self._json("/v1/cluster")["members"])
        self._ring = Ring(self.names)
        self._drawn = 0
        if len(self.names) != most:
            raise OptionError(f"{len(self.names)} of {most} servers run", "try again")

    def keys(self, servers: int, each: int) -> tuple[str, ...]:
        """New ids of sessions, ``each`` for every one of the first servers."""
        wanted, found = dict.fromkeys(self.names[:servers], each), []
        while any(wanted.values()):
            self._drawn += 1
            key = f"scale-{self._drawn}"
            owner = self._ring.owner(key) or ""
            if wanted.get(owner, 0):
                wanted[owner] -= 1
                found.append(key)
        return tuple(found)

    def round(self, order: LoadOrder) -> LoadRound:
        """One round of the load."""
        answer = self._load.run(order)  # type: ignore[arg-type]
        assert isinstance(answer, LoadRound)
        return answer

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU of every server and of the front, since they started."""
        found = {}
        for family in text_string_to_metric_families(self._get("/metrics")):
            for sample in family.samples:
                if sample.name == "process_cpu_seconds_total":
                    found[sample.labels["replica"]] = float(sample.value)
        return found

    def _json(self, path: str) -> Any:
        return json.loads(self._get(path))

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self._url + path, timeout=30) as answer:
            return str(answer.read().decode())


@contextmanager
def running(model: str, options: ScaleOptions, folder: Path, port: int, **engine: Any) -> Iterator[Running]:
    """A cluster of ``options.most`` servers of one worker each. Raises as ``ray_app.run``."""
    from ..cluster import ray_app
    from ..cluster.ray_local import started_ray
    from ..cluster.ray_options import ClusterOptions, Scale

    clip = EndlessClip(options.size, images=30)
    jpegs = tuple(encode_image(clip.frame(n).image, "jpeg", quality=90) for n in range(30))
    work = Work(jpegs, clip.box, model, "auto", "cpu", 1, options.most * options.each)
    room = 2 * options.most * options.each
    server = {"models": [model], "max_sessions": room, "log_level": "error", **engine}
    cluster = ClusterOptions(port=port, cpus=1.0, state_dir=str(folder), server=server)
    with started_ray(options.most, cluster.cpus):
        try:
            ray_app.run(cluster, Scale(options.most))
            url = f"http://127.0.0.1:{port}"
            load = Worker(run_scale_load, url, work)
            try:
                yield Running(url, load, lambda count: ray_app.run(cluster, Scale(count)), options.most)
            finally:
                load.close()
        finally:
            ray_app.end(cluster)


def measure_scale(
    cluster: Running, options: ScaleOptions, *, tick: Callable[[float], None] = lambda share: None
) -> ScaleReport:
    """Measures every number of servers in turn, round after round, and simulates each from what a frame
    costs on one server that is kept busy.
    """
    counts = range(1, options.most + 1)
    rounds: dict[int, list[LoadRound]] = {count: [] for count in counts}
    costs, idle = [], []
    for turn in range(options.repetitions):
        idle.append(idle_cores())
        costs.append(costs_of(cluster, options))
        for count in counts if turn % 2 == 0 else reversed(counts):
            rounds[count].append(cluster.round(LoadOrder(cluster.keys(count, options.each), options.frames)))
        tick((turn + 1) / options.repetitions)
    demand, cores = typical(costs), median(idle)
    points = tuple(point(count, options, rounds[count], demand, cores) for count in counts)
    return ScaleReport(points, demand, cores, move_cost(cluster, options) if options.moves else None)


def costs_of(cluster: Running, options: ScaleOptions) -> Demand:
    """What a frame costs: CPU and steps of one server that is kept busy, delays of one session alone."""
    before = cluster.cpu_s()
    busy = cluster.round(LoadOrder(cluster.keys(1, options.each), 2 * options.frames))
    after = cluster.cpu_s()
    sent = len(busy.waits) + options.each * (WARM_UP + 1)
    front = (after["front"] - before["front"]) / sent
    server = (after[cluster.names[0]] - before[cluster.names[0]]) / sent
    load, step = busy.cpu_s / len(busy.waits), sum(busy.steps) / len(busy.steps)
    alone = cluster.round(LoadOrder(cluster.keys(1, 1), options.frames))
    rest = max(0.0, server - step)
    usual = median(alone.waits)
    delay = max(0.0, usual - load - front - rest - step)
    spread = tuple(one / step for one in busy.steps[:SPREAD])
    return Demand(load, front, rest, step, delay, spread, tuple(max(0.0, one - usual) for one in alone.waits))


def typical(costs: list[Demand]) -> Demand:
    """The medians of several, and everybody's spread."""
    spread = tuple(factor for one in costs for factor in one.spread)
    return Demand(
        load_s=median(one.load_s for one in costs),
        front_s=median(one.front_s for one in costs),
        server_s=median(one.server_s for one in costs),
        step_s=median(one.step_s for one in costs),
        delay_s=median(one.delay_s for one in costs),
        spread=spread,
        hiccups=tuple(seconds for one in costs for seconds in one.hiccups),
    )


def idle_cores(seconds: float = 0.5) -> float:
    """Cores that nobody uses at this moment."""
    before = busy_ticks()
    began = time.perf_counter()
    time.sleep(seconds)
    ticks = busy_ticks() - before
    used = ticks / os.sysconf("SC_CLK_TCK") / (time.perf_counter() - began)
    return max(0.1, (os.cpu_count() or 1) - used)


def busy_ticks() -> int:
    """Of all cores and processes, since the machine started; Linux."""
    numbers = [int(one) for one in Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4]  # idle, and waiting for disks


def point(
    count: int, options: ScaleOptions, rounds: list[LoadRound], demand: Demand, cores: float
) -> ScalePoint:
    """One row: medians of the rounds, and the simulation of the same."""
    tails = [percentiles_ms(one.waits, 50, 99) for one in rounds]
    owners = [number % count for number in range(count * options.each)]
    frames = len(owners) * options.frames
    runs = [Machine(demand, owners, cores=cores, seed=seed).run(frames) for seed in range(5)]
    return ScalePoint(
        count,
        len(owners),
        median(one.fps for one in rounds),
        median(tail[0] for tail in tails),
        median(tail[1] for tail in tails),
        median(one.fps for one in runs),
        median(percentiles_ms(one.waits, 99)[0] for one in runs),
    )


def move_cost(cluster: Running, options: ScaleOptions) -> MoveCost | None:
    """A server leaves and another comes while all sessions send; None with a single server."""
    import threading

    if options.most < 2:
        return None
    changes = threading.Thread(target=lambda: [cluster.scale(options.most - 1), cluster.scale(options.most)])
    changes.start()
    taken: list[LoadRound] = []
    try:
        while changes.is_alive() or not taken:
            taken.append(cluster.round(LoadOrder(cluster.keys(options.most, options.each), seconds=10.0)))
    finally:
        changes.join()
    waits = [wait for one in taken for wait in one.moved_waits]
    if not waits:
        return MoveCost(0, sum(one.lost for one in taken), 0.0, 0.0)
    p50, longest = percentiles_ms(waits, 50, 100)
    return MoveCost(len(waits), sum(one.lost for one in taken), p50, longest)


def scale_table(report: ScaleReport) -> Table:
    """One row a number of servers."""
    table = Table(title="Servers side by side: JPEG in, track out, through the front")
    for heading in ("servers", "sessions", "FPS", "simulated", "", "p50 ms", "p99 ms", "simulated", ""):
        table.add_column(heading, justify="right")
    for one in report.points:
        table.add_row(
            str(one.servers), str(one.sessions), f"{one.fps:.1f}", f"{one.simulated_fps:.1f}",
            f"{one.simulated_fps / one.fps - 1:+.0%}", f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}",
            f"{one.simulated_p99_ms:.1f}", f"{one.simulated_p99_ms / one.p99_ms - 1:+.0%}",
        )  # fmt: skip
    return table
