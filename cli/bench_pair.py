"""``framestate bench pair``: one frame made between two, by parts, and what encoding once gains."""

from __future__ import annotations

from typing import Annotated

import typer

from . import bench_shared as shared
from . import options
from .output import guarded, print_json, quiet_stdout, show


def pair(
    model: options.Model = options.DEFAULT_INTERPOLATOR,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    size: shared.Size = "854x480",
    repetitions: Annotated[int, typer.Option("--repetitions", min=1, help="Rounds; medians are given.")] = 30,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Measure one pair of frames of an interpolator.

    Encoding, motion, and making the frame; and the whole with one frame encoded, as in a stream, or both.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            width, height = shared.sizes(size)

            from ..bench.pair import measure_pair, pair_table
            from ..bench.timing import EndlessClip
            from ..engine import Engine
            from ..engine.interpolation import InterpolationModel
            from .machine import hardware

            clip = EndlessClip((width, height), images=2)
            with Engine.load(model, runtime=runtime, device=device, threads=threads, capacity=1) as engine:
                result = measure_pair(
                    InterpolationModel(engine.runtime),
                    clip.frame(0).image,
                    clip.frame(1).image,
                    repetitions=repetitions,
                )
                where = {"model": model, "runtime": engine.runtime.name, "device": engine.runtime.device}
        if as_json:
            print_json({**where, "machine": hardware(), "repetitions": repetitions, **result.to_json()})
        else:
            show(pair_table(result))
