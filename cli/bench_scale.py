"""``framestate bench scale``: servers side by side on Ray Serve, what they give, and what a move costs"""

from __future__ import annotations

import importlib.util
import socket
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from . import bench_shared as shared
from . import options
from .output import guarded, note, print_json, quiet_stdout, show


def scale(
    model: options.Model = options.DEFAULT_TRACKER,
    servers: Annotated[int, typer.Option("--servers", min=1, max=16, help="From 1 to so many.")] = 4,
    sessions: Annotated[int, typer.Option("--sessions", min=1, help="On each server.")] = 4,
    size: shared.Size = "640x480",
    frames: Annotated[
        int, typer.Option("--frames", min=1, help="Of all sessions in a round: 600 for a p99.")
    ] = 800,
    repetitions: Annotated[int, typer.Option("--repetitions", min=1, help="Rounds over all numbers.")] = 5,
    moves: Annotated[bool, typer.Option(help="Also scale down and up while sessions send.")] = True,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Measure 1, 2, ... servers of one worker each, all on this machine, beside a simulation of the same.

    All servers run all the time, and the sessions' ids choose which of them work. The simulation knows what
    a frame costs on one busy server and how many cores are left, and nothing of the other rounds.
    """
    with guarded(debug):
        with quiet_stdout():
            check_ray()
            wanted = shared.sizes(size)

            from ..bench.scale import ScaleOptions, measure_scale, scale_table
            from ..bench.scale_cluster import running
            from .machine import hardware
            from .progress import share_bar

            asked = ScaleOptions(servers, sessions, frames, repetitions, wanted, moves)
            with (
                tempfile.TemporaryDirectory() as folder,
                running(model, servers, servers * sessions, wanted, Path(folder), free_port()) as one,
                share_bar("scaling") as bar,
            ):
                report = measure_scale(one, asked, tick=bar.at)
            demand = report.demand
            cost = {
                "load_ms": 1e3 * demand.load_s,
                "front_ms": 1e3 * demand.front_s,
                "server_ms": 1e3 * demand.server_s,
                "decode_ms": 1e3 * demand.decode_s,
                "step_ms": 1e3 * demand.step_s,
                "delay_ms": 1e3 * demand.delay_s,
            }
            move = None if report.move is None else vars(report.move)
        if as_json:
            print_json(
                {
                    "model": model,
                    "size": size,
                    "repetitions": repetitions,
                    "machine": hardware(),
                    "cores_left": report.cores,
                    "tick_ms": 1e3 * report.tick_s,
                    "frame": cost,
                    "points": [point.to_json() for point in report.points],
                    "move": move,
                }
            )
            return
        show(scale_table(report))
        note(
            f"{report.cores:.2f} cores left; a look every {1e3 * report.tick_s:.1f} ms; a frame: "
            + ", ".join(f"{k} {v:.2f}" for k, v in cost.items())
        )
        if move is not None:
            note("a move: " + ", ".join(f"{name} {value:.4g}" for name, value in move.items()))


def check_ray() -> None:
    """Raises RuntimeUnavailableError without what a cluster needs."""
    missing = [name for name in ("ray", "httpx2") if importlib.util.find_spec(name) is None]
    if missing:
        from ..errors import RuntimeUnavailableError

        raise RuntimeUnavailableError(
            f"bench scale needs {', '.join(missing)}, which is not installed",
            "Install it: pip install 'framestate[ray]'.",
        )


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
