"""``framestate bench scene``: many targets of one live video, by the clock."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import OptionError
from . import bench_shared as shared
from . import options
from .output import guarded, print_json, quiet_stdout, show

WARM_UP = 1.0
"""Seconds that do not count."""


def scene(
    model: options.Model = options.DEFAULT_TRACKER,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    workers: shared.Workers = 0,
    size: shared.Size = "640x480",
    targets: Annotated[int, typer.Option("--targets", min=1, max=1000, help="Objects in the video.")] = 50,
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=1000, help="Frames a second.")] = 25.0,
    every: Annotated[
        int, typer.Option("--every", metavar="N", min=1, help="Detections at every Nth frame.")
    ] = 10,
    looks: Annotated[
        int, typer.Option("--looks", min=0, help="Looks of the model a frame, at most; 0: all that are due.")
    ] = 6,
    seconds: Annotated[float, typer.Option("--seconds", min=2, max=600, help="Of the video.")] = 12.0,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Measure how old a frame of one video with many targets is once it is answered.

    Frames come by the clock, answered or not; an age counts from when its frame was due. The first second
    does not count. The video is made: objects that cross and cover one another.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            wanted = shared.sizes(size)
            frames = round(seconds * rate)
            if frames <= round(WARM_UP * rate):
                raise OptionError(
                    f"{seconds:g} seconds at {rate:g} frames a second leave no frame to measure",
                    "Give more --seconds, or a higher --rate.",
                )

            from ..bench.scene_speed import measure_scene, render
            from ..engine import Tracking
            from ..engine.scene import SceneOptions
            from .follow import load
            from .machine import hardware

            moments = render(targets, frames, wanted)
            given = {"runtime": runtime, "device": device, "workers": workers}
            with load(model, Tracking, capacity=2 * targets, **given) as engine:
                found = measure_scene(
                    engine,
                    moments,
                    targets,
                    rate=rate,
                    every=every,
                    options=SceneOptions(most_looks=looks),
                    warm_up=WARM_UP,
                )
                where = {"runtime": engine.runtime.name, "device": engine.runtime.device}
        report = {"model": model, **where, "machine": hardware(), "rate_fps": rate, "every": every}
        if as_json:
            print_json({**report, "most_looks": looks, **found.to_json()})
        else:
            show(
                f"{targets} objects, {found.followed} targets followed at {rate:g} frames/s: "
                f"age {found.p50_ms:.0f} ms, p99 {found.p99_ms:.0f} ms; an update {found.work_ms:.0f} ms, "
                f"of the processor's time {found.cpu_ms:.0f} ms",
                f"by the processor's time, on one core with nothing else to do: age {found.alone_ms:.0f} ms, "
                f"p99 {found.p99_alone_ms:.0f} ms",
                f"each was looked at {found.looks:.1f} times a second, the least {found.least_looks:.1f}",
                *(["it does not keep up"] if found.behind else []),
            )
