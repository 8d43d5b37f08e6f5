"""``framestate eval confidence``: whether a tracker knows when it has lost its target, beside others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .bench_shared import check_plot, draw
from .eval_shared import check_name, names_in, show_written
from .output import guarded, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bench.confidence import Teller


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="One folder a sequence, each with video.mp4 (or numbered images) and groundtruth.txt.",
        ),
    ],
    model: options.Model = options.DEFAULT_TRACKER,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    against: Annotated[
        str, typer.Option("--against", metavar="A,B", help="Others to run too: csrt, kcf, mil, nano, vit.")
    ] = "",
    nano_backbone: options.NanoBackbone = None,
    nano_head: options.NanoHead = None,
    vit_net: options.VitNet = None,
    sequences: Annotated[str, typer.Option("--sequences", metavar="A,B", help="Only these sequences.")] = "",
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw how far scores can be believed.")
    ] = None,
    curves: Annotated[
        Path | None, typer.Option("--curves", metavar="FILE", help="Draw precision over recall.")
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Score whether a tracker knows when it has lost its target.

    Targets found again after an absence, tracking that is claimed during one, wrong ones taken, how often
    "lost" is right, the expected calibration error of the score, and precision, recall and F as in VOT's
    long-term challenges.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            for file in (plot, curves):
                check_plot(file)

            from ..bench.confidence import EngineTeller, PeerTeller, evaluate_confidence
            from ..bench.confidence_report import (
                confidence_table,
                long_term_plot,
                long_term_table,
                reliability_plot,
            )
            from ..bench.peers import PeerFiles, open_peer
            from ..bench.sequences import load_sequences
            from ..engine import Engine
            from .progress import frames_bar

            found = load_sequences(folder, names_in(sequences) or None)
            files = PeerFiles(nano_backbone, nano_head, vit_net)
            tellers: dict[str, Teller] = {
                name: PeerTeller(open_peer(name, files)) for name in names_in(against)
            }
            with Engine.load(model, runtime=runtime, device=device, threads=threads, capacity=1) as engine:
                name = engine.runtime.spec.name
                check_name(name, tellers, "tracker")
                tellers = {name: EngineTeller(engine), **tellers}
                with frames_bar("evaluating", len(tellers) * sum(map(len, found))) as bar:
                    results = evaluate_confidence(tellers, found, tick=bar.advance)
                where = {"model": model, "runtime": engine.runtime.name, "device": engine.runtime.device}
            outputs = draw(plot, lambda path: reliability_plot(results, path))
            outputs += draw(curves, lambda path: long_term_plot(results, path))
        if as_json:
            print_json({**where, "trackers": results, "outputs": outputs})
        else:
            show(confidence_table(results), long_term_table(results))
            show_written(outputs)
