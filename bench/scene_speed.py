"""How old a frame is once a scene of many targets has answered it, at a frame rate, by the clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..engine import Engine
from ..engine.scene import Scene, SceneOptions
from .made_scenes import Moment, drawn_background, drawn_cutouts, made_scene
from .scenes import Noise, made_detections


@dataclass(frozen=True, slots=True)
class SceneSpeed:
    """One run.

    Attributes:
        targets: objects of the scene.
        followed: targets of the scene, in the middle of its frames.
        frames: that counted.
        work_ms, p99_work_ms: median and 99th percentile of the time that an update took.
        cpu_ms, p99_cpu_ms: of the processor's time of an update, all threads together: what it would take on
            one core that has nothing else to do.
        p50_ms, p99_ms: of a frame's age: from when it was due until its answer was there.
        alone_ms, p99_alone_ms: of the age that frames would have on one core that does nothing else, reckoned
            from the processor's time: a frame begins when it is due and the one before it is done.
        behind: whether the last frames were older than the median by more than a frame: it does not keep up.
        looks: of the model, a target and second.
        least_looks: of the target that was looked at least, a second.
    """

    targets: int
    followed: int
    frames: int
    work_ms: float
    p99_work_ms: float
    cpu_ms: float
    p99_cpu_ms: float
    p50_ms: float
    p99_ms: float
    alone_ms: float
    p99_alone_ms: float
    behind: bool
    looks: float
    least_looks: float

    def to_json(self) -> dict[str, Any]:
        """As ``bench scene --json`` prints it."""
        return asdict(self)


def render(targets: int, frames: int, size: tuple[int, int], seed: int = 0) -> list[Moment]:
    """A made scene, in memory."""
    behind = drawn_background(seed, size)
    return list(made_scene(drawn_cutouts(seed), behind, seed=seed, objects=targets, frames=frames))


def measure_scene(
    engine: Engine,
    moments: Sequence[Moment],
    targets: int,
    *,
    rate: float,
    every: int,
    options: SceneOptions,
    warm_up: float = 1.0,
) -> SceneSpeed:
    """Sends frames by the clock, answered or not, with detections at every Nth.

    Args:
        engine: with room for the targets.
        moments: of ``render``.
        targets: that were rendered.
        rate: frames a second.
        every: frames from one round of detections to the next.
        options: of the scene.
        warm_up: seconds that do not count.
    """
    corners = float(moments[0].frame.width), float(moments[0].frame.height)
    found = [
        made_detections(one.boxes, Noise(), f"speed/{index}", corners) if index % every == 0 else None
        for index, one in enumerate(moments)
    ]
    skip = round(warm_up * rate)
    ages, work, cpu, counts, alone = [], [], [], [], []
    free = 0.0  # when that one core would be done
    looked: dict[int, int] = {}
    alive: dict[int, int] = {}
    with Scene(engine, options) as scene:
        began = time.perf_counter() + 0.05
        for index, moment in enumerate(moments):
            due = began + index / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            started, busy = time.perf_counter(), time.process_time()
            answer = scene.update(moment.frame, found[index])
            done, busy = time.perf_counter(), time.process_time() - busy
            free = max(free, index / rate) + busy
            if index < skip:
                continue
            alone.append(free - index / rate)
            ages.append(done - due)
            work.append(done - started)
            cpu.append(busy)
            counts.append(len(answer))
            for one in answer:
                alive[one.id] = alive.get(one.id, 0) + 1
            for number in answer.looked:
                looked[number] = looked.get(number, 0) + 1
    lasting = [number for number, frames in alive.items() if frames >= len(ages) / 2]
    rates = [looked.get(number, 0) * rate / alive[number] for number in lasting]
    return SceneSpeed(
        targets,
        int(np.median(counts)),
        len(ages),
        1e3 * float(np.median(work)),
        1e3 * float(np.quantile(work, 0.99)),
        1e3 * float(np.median(cpu)),
        1e3 * float(np.quantile(cpu, 0.99)),
        1e3 * float(np.median(ages)),
        1e3 * float(np.quantile(ages, 0.99)),
        1e3 * float(np.median(alone)),
        1e3 * float(np.quantile(alone, 0.99)),
        bool(np.mean(ages[-5:]) > np.median(ages) + 1 / rate),
        sum(looked.values()) * rate / max(sum(alive.values()), 1),
        min(rates, default=0.0),
    )
