"""``framestate bench serve``: a server under load over real sockets, beside the engine without one."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from . import bench_shared as shared
from . import options
from .output import guarded, print_json, quiet_stdout, show


def serve(
    model: options.Model = options.DEFAULT_TRACKER,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    workers: shared.Workers = 0,
    size: shared.Size = "640x480",
    sessions: Annotated[str, typer.Option("--sessions", metavar="A,B", help="Numbers of sessions.")] = "1,4",
    frames: Annotated[
        int, typer.Option("--frames", min=1, help="Frames of a round, all sessions together.")
    ] = 200,
    repetitions: Annotated[int, typer.Option("--repetitions", min=1, help="Rounds over all numbers.")] = 5,
    plot: shared.Plot = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Measure what the network costs: JPEG frames over WebSocket, and the same JPEGs into the bare engine.

    Server, load and bare engine are three processes on this machine; server and engine take turns, round
    after round. FPS is the median of the rounds, times are of all rounds together, decoding included.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            shared.check_plot(plot)
            check_client()
            wanted, counts = shared.sizes(size), shared.numbers("--sessions", sessions)

            from ..bench.serve_load import LoadOptions, measure_serving, serving_plot, serving_table
            from .machine import hardware
            from .progress import share_bar

            asked = LoadOptions(tuple(counts), frames, repetitions, size=wanted)
            with share_bar("serving") as bar:
                points = measure_serving(
                    model, asked, runtime=runtime, device=device, workers=workers, tick=bar.at
                )
            where = {"model": model, "size": size, "repetitions": repetitions, "machine": hardware()}
            outputs = shared.draw(plot, lambda path: serving_plot(points, path))
        if as_json:
            print_json({**where, "points": [one.to_json() for one in points], "outputs": outputs})
        else:
            show(serving_table(points), *(f"wrote {path}" for path in outputs))


def check_client() -> None:
    """Raises RuntimeUnavailableError without what the client needs."""
    if importlib.util.find_spec("httpx2") is None:
        from ..errors import RuntimeUnavailableError

        raise RuntimeUnavailableError(
            "bench serve needs httpx2, which is not installed",
            "Install it: pip install 'framestate[client]'.",
        )
