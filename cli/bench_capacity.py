"""``framestate bench capacity``: how many live sessions keep up at a frame rate, within a bound on age."""

from __future__ import annotations

from typing import Annotated

import typer

from . import bench_shared as shared
from . import options
from .output import guarded, note, print_json, quiet_stdout, show


def capacity(
    model: options.Model = options.DEFAULT_TRACKER,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    workers: shared.Workers = 0,
    size: shared.Size = "640x480",
    rate: Annotated[
        float, typer.Option("--rate", min=0.1, max=1000, help="Frames a second of a session.")
    ] = 25.0,
    slo: Annotated[
        float, typer.Option("--slo", min=1, max=60_000, help="Bound on the p99 age of an answer, in ms.")
    ] = 100.0,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="Of each trial.")] = 5.0,
    most: Annotated[int, typer.Option("--most", min=1, max=4096, help="Sessions to try, at most.")] = 64,
    plot: shared.Plot = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Find how many live sessions one engine keeps up with.

    Each sends frames by the clock, answered or not. An answer's age counts from when its frame was due.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            shared.check_plot(plot)
            wanted = shared.sizes(size)

            from ..bench.capacity import CapacityTrial, best_of, measure_capacity
            from ..bench.speed_report import capacity_plot, capacity_table
            from ..bench.timing import EndlessClip
            from ..bundles import load_bundle
            from ..engine import Engine
            from .machine import hardware

            def tell(trial: CapacityTrial) -> None:
                note(f"{trial.sessions} sessions: {'kept up' if trial.passed else 'too many'}")

            bundle = load_bundle(model)
            with Engine.load(
                bundle, runtime=runtime, device=device, workers=workers, capacity=most
            ) as engine:
                difference = shared.verified(bundle, engine.runtime)
                clip = EndlessClip(wanted, images=shared.IMAGES)
                trials = measure_capacity(
                    engine, clip,
                    rate=rate, slo_ms=slo, seconds=seconds, most=most, tick=tell,
                )  # fmt: skip
                where = {"runtime": engine.runtime.name, "device": engine.runtime.device}
            best = best_of(trials)
            outputs = shared.draw(plot, lambda path: capacity_plot(trials, slo, path))
            report = {
                "model": model,
                **where,
                "machine": hardware(),
                "rate_fps": rate,
                "slo_ms": slo,
                "max_sessions": best.sessions if best else 0,
                "p99_ms": best.p99_ms if best else None,
                "dropped": best.dropped if best else None,
                "max_abs_vs_eager": difference,
                "trials": [trial.to_json() for trial in trials],
                "outputs": outputs,
            }
        if as_json:
            print_json(report)
        else:
            found = f"{report['max_sessions']} sessions at {rate:g} frames/s within {slo:g} ms"
            show(capacity_table(trials), found, *(f"wrote {path}" for path in outputs))
