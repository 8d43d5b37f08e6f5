"""What more servers give on this machine, beside what the simulation says of them; and what a move costs"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from rich.table import Table

from ..errors import OptionError
from .scale_cluster import Running
from .scale_costs import WATCHED_S, Calibration, calibrated, costs_of
from .scale_load import LoadOrder, LoadRound
from .simulate import Demand, Machine
from .timing import percentiles_ms

SEEDS = 9
"""Simulations of every number of servers."""


@dataclass(frozen=True)
class ScalePoint:
    """One number of servers, each with as many sessions.

    Attributes:
        servers, sessions: that were in use, of all that ran.
        fps, p50_ms, p90_ms, p99_ms: measured: all sessions together, and of every frame over the front.
        simulated_fps, simulated_p50_ms, simulated_p90_ms, simulated_p99_ms: what the simulation says.
    """

    servers: int
    sessions: int
    fps: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    simulated_fps: float
    simulated_p50_ms: float
    simulated_p90_ms: float
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
    """Everything that ``bench scale`` finds. ``cores`` were left by what else ran, which is looked at every
    ``tick_s`` seconds where more want one than there are.
    """

    points: tuple[ScalePoint, ...]
    demand: Demand
    cores: float
    tick_s: float
    move: MoveCost | None


@dataclass(frozen=True)
class ScaleOptions:
    """What is measured: ``each`` sessions on each of 1 to ``most`` servers, all sizes in turn.

    ``frames`` are those of all sessions in a round together.
    """

    most: int = 4
    each: int = 4
    frames: int = 800
    repetitions: int = 5
    size: tuple[int, int] = (640, 480)
    moves: bool = True

    def __post_init__(self) -> None:
        if min(self.most, self.each, self.frames, self.repetitions) < 1:
            raise OptionError(
                f"servers {self.most}, sessions {self.each}, frames {self.frames}, rounds {self.repetitions}",
                "give 1 or more of each",
            )


def measure_scale(
    cluster: Running, options: ScaleOptions, *, tick: Callable[[float], None] = lambda share: None
) -> ScaleReport:
    """Measures every number of servers in turn, round after round, and simulates each from what a frame
    costs on one server that is kept busy.
    """
    counts = range(1, options.most + 1)
    rounds: dict[int, list[LoadRound]] = {count: [] for count in counts}
    costs = []
    for turn in range(options.repetitions):
        costs.append(costs_of(cluster, options.each, options.frames))
        for count in counts if turn % 2 == 0 else reversed(counts):
            frames = -(-options.frames // (count * options.each))
            rounds[count].append(cluster.round(LoadOrder(cluster.keys(count, options.each), frames)))
        tick((turn + 1) / options.repetitions)
    move = move_cost(cluster, options) if options.moves else None
    known = calibrated(costs)
    points = tuple(point(count, options, rounds[count], known) for count in counts)
    return ScaleReport(points, known.demand, known.cores_left, known.tick_s, move)


def point(count: int, options: ScaleOptions, rounds: list[LoadRound], known: Calibration) -> ScalePoint:
    """One row: medians of the rounds, and of simulations of the same."""
    owners = [number % count for number in range(count * options.each)]
    frames = len(rounds[0].waits)
    runs = []
    for seed in range(SEEDS):
        others = known.others[seed % len(known.others)]
        machine = Machine(
            known.demand,
            owners,
            cores=len(others),
            others=others,
            period_s=WATCHED_S,
            seed=seed,
            tick_s=known.tick_s,
        )
        runs.append(machine.run(frames))
    measured = seen([(one.fps, one.waits) for one in rounds])
    simulated = seen([(one.fps, one.waits) for one in runs])
    return ScalePoint(count, len(owners), *measured, *simulated)


def seen(rounds: Sequence[tuple[float, Sequence[float]]]) -> tuple[float, float, float, float]:
    """Medians over rounds of frames a second and of the 50th, 90th and 99th percentile in milliseconds."""
    tails = [percentiles_ms(waits, 50, 90, 99) for _, waits in rounds]
    p50, p90, p99 = (median(tail[place] for tail in tails) for place in range(3))
    return median(fps for fps, _ in rounds), p50, p90, p99


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
    for heading in ("servers", "sessions", "FPS", "simulated", "p50 ms", "simulated", "p90 ms", "simulated",
                    "p99 ms", "simulated"):  # fmt: skip
        table.add_column(heading, justify="right")
    for one in report.points:
        pairs = (
            (one.fps, one.simulated_fps),
            (one.p50_ms, one.simulated_p50_ms),
            (one.p90_ms, one.simulated_p90_ms),
            (one.p99_ms, one.simulated_p99_ms),
        )
        cells = [(f"{real:.1f}", f"{said:.1f} ({said / real - 1:+.0%})") for real, said in pairs]
        table.add_row(str(one.servers), str(one.sessions), *(cell for pair in cells for cell in pair))
    return table
