"""``framestate eval tracking``: one-pass evaluation of our tracker, beside those of others."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OptionError, RunError, RuntimeUnavailableError
from . import options
from .output import guarded, print_json, quiet_stdout, replacing, show

if TYPE_CHECKING:
    from ..bench.evaluate_tracking import Progress, SequenceTracker, TrackingResults
    from ..bench.peers import PeerFiles
    from ..bench.sequences import TrackingSequence

PLOT_SUFFIXES = (".png", ".pdf", ".svg", ".jpg")


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
        str,
        typer.Option(
            "--against", metavar="A,B", help="Others to run too: csrt, kcf, mil, nano, vit, static."
        ),
    ] = "",
    nano_backbone: Annotated[
        Path | None, typer.Option("--nano-backbone", metavar="FILE", help="ONNX file of the tracker nano.")
    ] = None,
    nano_head: Annotated[
        Path | None, typer.Option("--nano-head", metavar="FILE", help="ONNX file of the tracker nano.")
    ] = None,
    vit_net: Annotated[
        Path | None, typer.Option("--vit-net", metavar="FILE", help="ONNX file of the tracker vit.")
    ] = None,
    sequences: Annotated[str, typer.Option("--sequences", metavar="A,B", help="Only these sequences.")] = "",
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the success curves.")
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Score a tracker on a folder of sequences, beside others.

    One-pass evaluation: AUC, precision, AO, success rates and FPS.
    Each tracker starts from the true box of the first frame and is never corrected.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            check_plot(plot)

            from ..bench.ours import EngineTracker
            from ..bench.peers import PeerFiles
            from ..bench.sequences import load_sequences
            from ..engine import Engine

            found = load_sequences(folder, names_in(sequences) or None)
            peers = open_peers(names_in(against), PeerFiles(nano_backbone, nano_head, vit_net))
            with Engine.load(model, runtime=runtime, device=device, threads=threads, capacity=1) as engine:
                name = engine.runtime.spec.name
                if name in peers:
                    raise OptionError(
                        f"The model and a tracker of --against are both called {name}", "Rename it."
                    )
                results = run({name: EngineTracker(engine), **peers}, found)
                where = {"model": model, "runtime": engine.runtime.name, "device": engine.runtime.device}
            if plot is not None:
                _draw(results, plot)
        if as_json:
            print_json({**where, **results, "outputs": [] if plot is None else [plot]})
        else:
            _show(results, plot)
        _check_ours(results, name)


def open_peers(names: list[str], files: PeerFiles) -> dict[str, SequenceTracker]:
    """The other trackers by name.

    Raises:
        OptionError, DataError, RuntimeUnavailableError: one of them cannot be had.
    """
    from ..bench.evaluate_tracking import PeerTracker
    from ..bench.peers import open_peer

    return {name: PeerTracker(open_peer(name, files)) for name in names}


def run(trackers: dict[str, SequenceTracker], sequences: list[TrackingSequence]) -> TrackingResults:
    """Evaluate behind a progress bar."""
    from ..bench.evaluate_tracking import evaluate_tracking
    from .progress import frames_bar

    with frames_bar("evaluating", len(trackers) * sum(map(len, sequences))) as bar:

        def tell(progress: Progress) -> None:
            bar.at(progress.done, f"{progress.tracker} on {progress.sequence}")

        return evaluate_tracking(trackers, sequences, progress=tell)


def names_in(text: str) -> list[str]:
    """The names of a list with commas, each once."""
    return list(dict.fromkeys(name for name in (part.strip() for part in text.split(",")) if name))


def check_plot(plot: Path | None) -> None:
    """What would go wrong with the plot goes wrong now, not after an hour."""
    if plot is None:
        return
    options.check_output("--plot", plot, PLOT_SUFFIXES)
    if importlib.util.find_spec("matplotlib") is None:
        raise RuntimeUnavailableError(
            "--plot needs matplotlib, which is not installed", "Install it: pip install 'framestate[bench]'."
        )


def _draw(results: TrackingResults, plot: Path) -> None:
    from ..bench.report import success_plot

    with replacing(plot) as temporary:
        success_plot(results, temporary)


def _show(results: TrackingResults, plot: Path | None) -> None:
    from ..bench.report import sequence_table, tracking_table

    show(tracking_table(results), sequence_table(results))
    if plot is not None:
        show(f"wrote {plot}")


def _check_ours(results: TrackingResults, name: str) -> None:
    """A sequence that our own tracker did not finish is a failed run, though its numbers are printed."""
    sequences = results["trackers"][name]["sequences"]
    failed = {key: one["error"] for key, one in sequences.items() if "error" in one}
    if failed:
        first = next(iter(failed))
        raise RunError(
            f"{name} did not finish {len(failed)} of {len(sequences)} sequences ({first}: {failed[first]})",
            "The frames it did not answer count as missed.",
        )
