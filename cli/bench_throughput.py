"""``framestate bench throughput``: frames a second as the number of sessions grows."""

from __future__ import annotations

from typing import Annotated

import typer

from . import bench_shared as shared
from . import options
from .output import guarded, print_json, quiet_stdout, show


def throughput(
    model: options.Model = options.DEFAULT_TRACKER,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    precision: options.PrecisionName = None,
    workers: shared.Workers = 0,
    size: shared.Size = "640x480",
    sessions: Annotated[
        str, typer.Option("--sessions", metavar="A,B", help="Numbers of sessions.")
    ] = "1,2,4,8,16",
    frames: Annotated[
        int, typer.Option("--frames", min=1, help="Frames of a point, all sessions together.")
    ] = 240,
    repetitions: Annotated[int, typer.Option("--repetitions", min=1, help="Rounds over all points.")] = 5,
    plot: shared.Plot = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Measure one engine under more and more sessions, each sending its next frame at once.

    Points take turns, round after round; FPS is the median of the rounds, waits are of all rounds together.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            shared.check_plot(plot)
            wanted, counts = shared.sizes(size), shared.numbers("--sessions", sessions)

            from ..bench.speed_report import throughput_plot, throughput_table
            from ..bench.throughput import measure_throughput
            from ..bench.timing import EndlessClip
            from ..bundles import load_bundle
            from ..engine import Engine
            from .machine import hardware

            bundle = load_bundle(model)
            with Engine.load(
                bundle,
                runtime=runtime,
                device=device,
                precision=precision,
                workers=workers,
                capacity=max(counts),
            ) as engine:
                difference = shared.verified(bundle, engine.runtime)
                clip = EndlessClip(wanted, images=shared.IMAGES)
                points = measure_throughput(engine, clip, counts, frames=frames, repetitions=repetitions)
                where = {
                    "model": model,
                    "runtime": engine.runtime.name,
                    "device": engine.runtime.device,
                    "workers": engine.lanes.workers,
                    "machine": hardware(),
                    "max_abs_vs_eager": difference,
                }
            outputs = shared.draw(plot, lambda path: throughput_plot(points, path))
        if as_json:
            print_json({**where, "points": [one.to_json() for one in points], "outputs": outputs})
        else:
            show(throughput_table(points), *(f"wrote {path}" for path in outputs))
