"""``framestate bench simulate``: clusters of many nodes from what one frame costs"""

from __future__ import annotations

from typing import Annotated

import typer

from . import bench_shared as shared
from . import options
from .output import guarded, print_json, quiet_stdout, show


def simulate(
    step_ms: Annotated[
        float, typer.Option("--step-ms", min=0.001, help="A frame's step, as bench scale found it.")
    ],
    nodes: Annotated[
        str, typer.Option("--nodes", metavar="A,B", help="Numbers of servers.")
    ] = "1,10,100,1000",
    sessions: Annotated[int, typer.Option("--sessions", min=1, help="On each server, on average.")] = 8,
    utilisation: Annotated[
        str, typer.Option("--utilisation", metavar="A,B", help="Percent of the servers' time.")
    ] = "50,70,85",
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="That are simulated.")] = 4.0,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Simulate how the ring spreads sessions over servers, how many move, and how long frames then wait."""
    with guarded(debug):
        with quiet_stdout():
            counts, shares = shared.numbers("--nodes", nodes), shared.numbers("--utilisation", utilisation)

            from ..bench.simulate import Demand
            from ..bench.simulate_nodes import fleet_table, simulate_fleet

            demand = Demand(0.0, 0.0, 0.0, (0.0,), tuple(step_ms / 1e3 * one for one in SPREAD))
            fleets = [
                simulate_fleet(demand, count, sessions, utilisation=share / 100, seconds=seconds)
                for count in counts
                for share in shares
            ]
        if as_json:
            print_json({"step_ms": step_ms, "fleets": [fleet.to_json() for fleet in fleets]})
        else:
            show(fleet_table(fleets))


SPREAD = (0.85, 0.9, 0.95, 0.95, 1.0, 1.0, 1.0, 1.05, 1.1, 1.2)
"""How single frames differ, about as measured; their mean is 1."""
