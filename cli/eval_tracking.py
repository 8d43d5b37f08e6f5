"""``framestate eval tracking``: one-pass evaluation of our tracker, beside those of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .bench_shared import check_plot, draw
from .eval_shared import SHEETS, check_finished, names_in, show_written, write_picture
from .output import guarded, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bench.evaluate_tracking import Progress, Runs, TrackingResults
    from ..bench.lineup import Lineup, OpenLineup
    from ..bench.sequences import TrackingSequence

SIDE_BY_SIDE = "side by side"


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="One folder a sequence, each with video.mp4 (or numbered images) and groundtruth.txt; "
            "or a public benchmark as its authors ship it, see --layout.",
        ),
    ],
    model: options.Model = options.DEFAULT_TRACKER,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    against: Annotated[
        str,
        typer.Option(
            "--against",
            metavar="A,B",
            help="Others to run too: csrt, kcf, mil, nano, vit, static; restart is ours, carrying nothing.",
        ),
    ] = "",
    nano_backbone: options.NanoBackbone = None,
    nano_head: options.NanoHead = None,
    vit_net: options.VitNet = None,
    sequences: Annotated[str, typer.Option("--sequences", metavar="A,B", help="Only these sequences.")] = "",
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="framestate, got10k, lasot, trackingnet, otb, uav123, uav20l, dtb70 or visdrone; "
            "auto looks what is there. Scores follow the benchmark's own protocol.",
        ),
    ] = "auto",
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            metavar="NAME",
            show_default="what the benchmark is evaluated on",
            help="train, val, test or all.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Keep finished sequences here; an evaluation that is there goes on."
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option("--jobs", min=1, metavar="N", help="Processes, a sequence each. Times are then worse."),
    ] = 1,
    submission: Annotated[
        Path | None,
        typer.Option(
            "--submission", metavar="DIR", help="Write boxes and times as the benchmark takes them."
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", metavar="FILE", help="Draw the worst sequences: true boxes, answered ones."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw success, precision and normalised precision."),
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Score a tracker on a folder of sequences, beside others.

    One-pass evaluation: AUC, precision, normalised precision, AO, success rates and FPS, and AUC by
    attribute: what attributes.txt of a sequence names, and what its true boxes show.
    Each tracker starts from the true box of the first frame and is never corrected.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            check_plot(plot)
            if sheet is not None:
                options.check_output("--sheet", sheet, tuple(SHEETS))

            from ..bench.attributes import by_attribute
            from ..bench.evaluate_tracking import score_runs
            from ..bench.lineup import Lineup
            from ..bench.ope import PROTOCOLS
            from ..bench.peers import PeerFiles
            from ..bench.report import attribute_table, sequence_table, tracking_table
            from ..bench.sequences import find_layout, load_sequences

            layout = find_layout(folder, layout)
            found = load_sequences(folder, names_in(sequences) or None, layout=layout, part=part)
            files = PeerFiles(nano_backbone, nano_head, vit_net)
            lineup = Lineup(model, runtime, device, threads, tuple(names_in(against)), files)
            with lineup.open() as opened:
                settings = {"layout": layout, **opened.settings}
                runs = run(lineup, opened, found, out, jobs, settings)
                name, (runtime, device) = opened.ours, opened.where
            results = score_runs(runs, found, PROTOCOLS[layout])
            attributes = by_attribute(results, found)
            outputs = write_outputs(name, results, runs, found, layout, plot, sheet, submission)
        where = {"model": model, "runtime": runtime, "device": device, "layout": layout}
        if as_json:
            timing = {} if jobs == 1 else {"jobs": jobs, "timings": SIDE_BY_SIDE}
            print_json({**where, **timing, **results, "attributes": attributes, "outputs": outputs})
        else:
            show(tracking_table(results, jobs=jobs), sequence_table(results), attribute_table(attributes))
            show_written(outputs)
        check_finished(
            name,
            results["trackers"][name]["sequences"],
            "sequences",
            "The frames it did not answer count as missed.",
        )


def run(
    lineup: Lineup,
    opened: OpenLineup,
    sequences: list[TrackingSequence],
    out: Path | None,
    jobs: int,
    settings: dict[str, object],
) -> dict[str, Runs]:
    """Run the trackers behind a progress bar; in this process, or in several that open them too."""
    from ..bench.evaluate_tracking import make_runs
    from ..bench.run_store import RunStore
    from ..bench.side_by_side import make_runs_side_by_side
    from .progress import frames_bar

    store = None if out is None else RunStore(out, settings)
    shares = 1 if jobs > 1 else len(opened.trackers)
    with frames_bar("evaluating", shares * sum(map(len, sequences))) as bar:

        def tell(progress: Progress) -> None:
            bar.at(progress.done, f"{progress.tracker or 'done:'} on {progress.sequence}")

        if jobs > 1:
            lineup = lineup if lineup.threads else replace(lineup, threads=1)
            return make_runs_side_by_side(
                lineup, sequences, jobs, progress=tell, folder=out, settings=settings
            )
        return make_runs(opened.trackers, sequences, progress=tell, store=store)


def write_outputs(
    name: str,
    results: TrackingResults,
    runs: dict[str, Runs],
    sequences: list[TrackingSequence],
    layout: str,
    plot: Path | None,
    sheet: Path | None,
    submission: Path | None,
) -> list[Path]:
    """Plot, sheet and submission, where they are asked for; returns what was written."""
    from ..bench.report import success_plot
    from ..bench.submission import write_submission

    outputs = draw(plot, lambda path: success_plot(results, path))
    if sheet is not None:
        from ..bench.failures import failure_sheet

        outputs.append(write_picture(sheet, failure_sheet(name, results, runs, sequences)))
    if submission is not None:
        outputs += write_submission(submission, layout, runs)
    return outputs
