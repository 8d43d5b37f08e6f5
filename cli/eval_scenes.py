"""``framestate eval scenes``: many objects followed with few detections, beside multi-object trackers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import bench_shared, options
from .eval_shared import check_name, names_in, show_written
from .output import guarded, note, print_json, quiet_stdout, show


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="One folder a scene: gt.txt (MOTChallenge), video.mp4 or img1/, and det.txt if any.",
        ),
    ],
    every: Annotated[
        str,
        typer.Option("--every", metavar="N,M", help="Detections at every Nth frame; several give a curve."),
    ] = "10",
    against: Annotated[
        str, typer.Option("--against", metavar="A,B", help="Others to run too: sort, bytetrack, ocsort.")
    ] = "",
    delay: Annotated[
        str,
        typer.Option(
            "--delay",
            metavar="N,M",
            help="Also with answers that come N frames late, put right by the detections that came since.",
        ),
    ] = "",
    detections: Annotated[
        str,
        typer.Option(
            "--detections",
            metavar="KIND",
            help="public: det.txt where there is one, the truth with noise elsewhere; noise: always that.",
        ),
    ] = "public",
    missed: Annotated[float, typer.Option("--missed", min=0, max=1, help="Share of objects missed.")] = 0.1,
    jitter: Annotated[
        float, typer.Option("--jitter", min=0, max=1, help="Deviation of boxes, as a share of their size.")
    ] = 0.04,
    false: Annotated[
        float, typer.Option("--false", min=0, max=10, help="False boxes for each object of a frame.")
    ] = 0.1,
    scenes: Annotated[str, typer.Option("--scenes", metavar="A,B", help="Only these scenes.")] = "",
    model: options.Model = options.DEFAULT_TRACKER,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    workers: bench_shared.Workers = 1,
    plot: bench_shared.Plot = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Score how well many objects are followed with detections at every Nth frame.

    HOTA, MOTA, IDF1 and switches of ids, by trackeval. Between two rounds of detections the others' last
    boxes stay where they were. The made noise is seeded by the scene's name and the frame's number.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            bench_shared.check_plot(plot)

            from ..bench.evaluate_scenes import curve_plot, curve_table, evaluate_scenes, our_scenes, peer_of
            from ..bench.scene_peers import CLASSES, open_scene_peer
            from ..bench.scenes import Noise, load_scenes
            from ..engine import Tracking
            from ..errors import OptionError
            from .follow import load

            if detections not in ("public", "noise"):
                raise OptionError(f"--detections is {detections!r}", "choose public or noise")
            rounds = bench_shared.numbers("--every", every)
            found = load_scenes(folder, names_in(scenes) or None)
            delays = bench_shared.numbers("--delay", delay) if delay else []
            peers = {name: peer_of(open_scene_peer(name)) for name in names_in(against)}
            noise = Noise(missed, jitter, false)
            most = max(max(map(len, one.ids)) for one in found)
            capacity = len(rounds) * (1 + len(delays)) * max(64, 4 * most)
            engine = load(model, Tracking, runtime=runtime, device=device, workers=workers, capacity=capacity)
            with engine:
                name = engine.runtime.spec.name
                check_name(name, CLASSES, "tracker")
                ours = {f"{name}, {n} frames late": our_scenes(engine, late=n) for n in delays}
                rows = evaluate_scenes(
                    found,
                    {name: our_scenes(engine), **ours, **peers},
                    rounds,
                    noise,
                    public=detections == "public",
                    tick=lambda scene: note(f"{scene}: done"),
                )
                where = {"model": name, "runtime": engine.runtime.name, "device": engine.runtime.device}
            outputs = bench_shared.draw(plot, lambda path: curve_plot(rows, path))
        if as_json:
            given = {"missed": missed, "jitter": jitter, "false": false, "detections": detections}
            print_json({**where, **given, "rows": [row.to_json() for row in rows], "outputs": outputs})
        else:
            show(curve_table(rows))
            show_written(outputs)
