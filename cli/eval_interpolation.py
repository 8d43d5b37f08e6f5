"""``framestate eval interpolation``: how well, and how fast, withheld frames are made, beside other ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .bench_shared import check_plot, draw
from .eval_shared import SHEETS, check_finished, check_name, names_in, show_written, write_picture
from .output import guarded, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bench.evaluate_interpolation import InterpolationResults, Progress
    from ..bench.interpolation_clips import Clip
    from ..bench.interpolation_peers import MiddleMaker
    from ..bench.run_store import KeptFolder
    from ..bench.worst_frames import WorstFrames


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="One folder a clip, each with video.mp4 or numbered images (three: a triplet); "
            "or a public test set as its authors ship it, see --layout.",
        ),
    ],
    model: options.Model = options.DEFAULT_INTERPOLATOR,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    lanes: options.Lanes = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Feed frame by frame, as a stream: what comes after a pair can tell nothing of it."
        ),
    ] = False,
    scale: Annotated[
        str, typer.Option("--scale", metavar="S", help="Size at which motion is found: auto, 1, 0.5, 0.25.")
    ] = "auto",
    against: Annotated[
        str,
        typer.Option("--against", metavar="A,B", help="Others to run too: blend, dis, minterpolate, rife."),
    ] = "",
    rife: Annotated[
        Path | None,
        typer.Option("--rife", metavar="FOLDER", help="Where the weights of RIFE 4.x lie: flownet.pkl."),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="framestate, vimeo-triplet, vimeo-septuplet, snu-film, ucf101, middlebury, x-test or "
            "x-test-2k; auto looks what is there. Test sets run the model alone; tables are as published.",
        ),
    ] = "auto",
    clips: Annotated[str, typer.Option("--clips", metavar="A,B", help="Only these clips.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Keep finished clips here; an evaluation that is there goes on."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw quality over speed.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet", metavar="FILE", help="Draw the worst patches: what is real, ours, the others'."
        ),
    ] = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Score interpolation on a folder of clips, beside others.

    Odd frames are withheld and predicted from the even ones: PSNR, SSIM, GMSD, HaarPSI, worst patches, and
    frames made a second.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            check_plot(plot)
            if sheet is not None:
                options.check_output("--sheet", sheet, tuple(SHEETS))

            from ..bench.evaluate_interpolation import MEASURES
            from ..bench.interpolation_clips import OURS, find_layout, load_clips
            from ..bench.interpolation_ours import EngineMiddles, ModelMiddles
            from ..bench.interpolation_peers import open_interpolation_peer
            from ..bench.interpolation_report import (
                clip_table,
                interpolation_table,
                perception_table,
                published_table,
                quality_plot,
            )
            from ..bench.run_store import KeptFolder
            from ..bench.worst_frames import WorstFrames
            from ..engine import Engine, InterpolationOptions
            from ..errors import OptionError

            layout = find_layout(folder, layout)
            published = layout != OURS
            found = load_clips(folder, names_in(clips) or None, layout=layout)
            wanted = InterpolationOptions.of(2, scale=scale)
            others = names_in(against)
            if rife is not None and "rife" not in others:
                raise OptionError(f"--rife is {rife}, and nothing uses it", "add --against rife")
            network = None
            if rife is not None:
                options.need("rife", "torch")
                from ..models.rife.weights import open_rife

                network = open_rife(rife, threads)
            peers = {name: open_interpolation_peer(name, network) for name in others}
            if live and lanes not in (None, 1):
                raise OptionError(f"--lanes is {lanes} with --live", "a stream is one frame after the other")
            side_by_side, within = options.spread(1 if live else lanes, threads, 0, wanted.tile_pixels)
            with Engine.load(model, runtime=runtime, device=device, threads=within, capacity=1) as engine:
                name = engine.runtime.spec.name
                check_name(name, peers, "method")
                ours: MiddleMaker = EngineMiddles(engine, wanted, side_by_side, live)
                if published:
                    ours = ModelMiddles(engine, wanted)
                settings = {
                    "layout": layout,
                    "methods": {
                        name: [engine.bundle_hash, engine.runtime.name, engine.runtime.device, scale, live]
                    },
                    "against": sorted(peers),
                    "measures": MEASURES,
                }
                kept = None if out is None else KeptFolder(out, settings)
                worst = None if sheet is None else WorstFrames(name)
                results = run({name: ours, **peers}, found, published, kept, worst)
                where = {
                    "model": model,
                    "runtime": engine.runtime.name,
                    "device": engine.runtime.device,
                    "layout": layout,
                    "live": live,
                }
            outputs = draw(plot, lambda path: quality_plot(results, path))
            if sheet is not None and worst is not None:
                outputs.append(write_picture(sheet, worst.sheet()))
        if as_json:
            print_json({**where, **results, "outputs": outputs})
        else:
            more = published_table(results) if published else clip_table(results)
            show(interpolation_table(results), perception_table(results), more)
            show_written(outputs)
        check_finished(name, results["methods"][name]["clips"], "clips", "The means are over the others.")


def run(
    methods: dict[str, MiddleMaker],
    clips: Sequence[Clip],
    published: bool = False,
    kept: KeptFolder | None = None,
    worst: WorstFrames | None = None,
) -> InterpolationResults:
    """Evaluate behind a progress bar."""
    from ..bench.evaluate_interpolation import evaluate_interpolation
    from .progress import share_bar

    with share_bar("evaluating") as bar:

        def tell(progress: Progress) -> None:
            bar.at(progress.done / progress.total, f"{progress.method} on {progress.clip}")

        return evaluate_interpolation(
            methods, clips, progress=tell, published=published, kept=kept, worst=worst
        )
