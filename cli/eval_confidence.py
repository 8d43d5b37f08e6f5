"""``framestate eval confidence``: whether a tracker knows when it has lost its target, beside others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OptionError
from . import options
from .eval_tracking import check_plot, names_in
from .output import guarded, print_json, quiet_stdout, replacing, show

if TYPE_CHECKING:
    from ..bench.confidence import ConfidenceResult, Teller


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
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Score whether a tracker knows when it has lost its target.

    Targets found again after an absence, tracking that is claimed during one, how often "lost" is right,
    and the expected calibration error of the score.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            check_plot(plot)

            from ..bench.confidence import EngineTeller, PeerTeller, evaluate_confidence
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
                if name in tellers:
                    raise OptionError(
                        f"The model and a tracker of --against are both called {name}", "Rename it."
                    )
                tellers = {name: EngineTeller(engine), **tellers}
                with frames_bar("evaluating", len(tellers) * sum(map(len, found))) as bar:
                    results = evaluate_confidence(tellers, found, tick=bar.advance)
                where = {"model": model, "runtime": engine.runtime.name, "device": engine.runtime.device}
            if plot is not None:
                _draw(results, plot)
        if as_json:
            print_json({**where, "trackers": results, "outputs": [] if plot is None else [plot]})
        else:
            _show(results, plot)


def _draw(results: dict[str, ConfidenceResult], plot: Path) -> None:
    from ..bench.confidence_report import reliability_plot

    with replacing(plot) as temporary:
        reliability_plot(results, temporary)


def _show(results: dict[str, ConfidenceResult], plot: Path | None) -> None:
    from ..bench.confidence_report import confidence_table

    show(confidence_table(results))
    if plot is not None:
        show(f"wrote {plot}")
