"""How long one frame of one session takes, whatever its task, and how much of that is not the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from ..engine import Engine, Session
from ..errors import OptionError
from ..runtimes import Runtime
from .stages import measure_stages
from .timing import EndlessClip, TimedRuntime, collected, percentiles_ms


@dataclass(frozen=True)
class LatencyResult:
    """One runtime. Times in milliseconds, from handing a frame over to its answer.

    Attributes:
        runtime, device: where the model ran.
        fps: frames a second, all frames together.
        p50_ms, p90_ms, p99_ms: percentiles over all frames.
        model_ms: median time in the model, all calls of a frame together.
        overhead_ms: median time in everything else.
        overhead_share: ``overhead_ms`` over ``p50_ms``.
        max_abs_vs_eager: largest difference of any number from eager PyTorch's; None where that was not run.
        stages: milliseconds a frame in each stage, from a pass of its own; see ``stages.STAGES``.
    """

    runtime: str
    device: str
    fps: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    model_ms: float
    overhead_ms: float
    overhead_share: float
    max_abs_vs_eager: float | None
    stages: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """An entry of ``results`` as ``bench latency --json`` prints it."""
        return asdict(self)


def measure_latency(
    runtimes: Mapping[str, Runtime],
    clip: EndlessClip,
    *,
    frames: int = 300,
    warm_up: int = 30,
    differences: Mapping[str, float | None] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> list[LatencyResult]:
    """Sends the clip to a session on every runtime, frame by frame in turn, so that noise hits all alike.

    Args:
        runtimes: of one model, by name; left open.
        clip: what is sent.
        frames: that are measured, with each runtime.
        warm_up: frames before, unmeasured.
        differences: what ``max_abs_vs_eager`` shall say.
        tick: told after each frame of all runtimes.

    Raises:
        OptionError: ``frames`` is below 1, or there is no runtime.
    """
    if frames < 1 or warm_up < 0 or not runtimes:
        raise OptionError(f"frames is {frames} and warm_up {warm_up}", "give 1 or more, and 0 or more")
    timed = {name: TimedRuntime(runtime) for name, runtime in runtimes.items()}
    engines = {name: Engine(runtime, capacity=1) for name, runtime in timed.items()}
    first = clip.frame(0), clip.box
    sessions = {name: engine.open(**engine.task.trial(*first)) for name, engine in engines.items()}
    total: dict[str, list[float]] = {name: [] for name in timed}
    model: dict[str, list[float]] = {name: [] for name in timed}
    names = list(timed)
    with collected():
        for index in range(1, warm_up + frames + 1):
            turn = index % len(names)
            for name in names[turn:] + names[:turn]:
                timed[name].seconds = 0.0
                seconds = _push(sessions[name], clip, index)
                if index > warm_up:
                    total[name].append(seconds)
                    model[name].append(timed[name].seconds)
            tick()
    results = []
    for name in names:
        stages = measure_stages(
            engines[name], sessions[name], clip, warm_up + frames + 1, max(1, frames // 3)
        )
        p50, p90, p99 = percentiles_ms(total[name], 50, 90, 99)
        outside = 1e3 * median(all_ - own for all_, own in zip(total[name], model[name], strict=True))
        results.append(
            LatencyResult(
                runtime=timed[name].name,
                device=timed[name].device,
                fps=frames / sum(total[name]),
                p50_ms=p50,
                p90_ms=p90,
                p99_ms=p99,
                model_ms=1e3 * median(model[name]),
                overhead_ms=outside,
                overhead_share=outside / p50,
                max_abs_vs_eager=(differences or {}).get(name),
                stages=stages,
            )
        )
        sessions[name].close()
    return results


def _push(session: Session[Any], clip: EndlessClip, index: int) -> float:
    frame = clip.frame(index)
    began = time.perf_counter()
    session.push(frame)
    return time.perf_counter() - began
