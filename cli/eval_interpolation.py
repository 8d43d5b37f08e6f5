"""``framestate eval interpolation``: how well, and how fast, withheld frames are made, beside other ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OptionError, RunError
from . import options
from .eval_tracking import check_plot, names_in
from .output import guarded, print_json, quiet_stdout, replacing, show

if TYPE_CHECKING:
    from ..bench.evaluate_interpolation import InterpolationResults, Progress
    from ..bench.interpolation_clips import Clip
    from ..bench.interpolation_peers import MiddleMaker
    from ..bench.run_store import KeptFolder


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
    scale: Annotated[
        str, typer.Option("--scale", metavar="S", help="Size at which motion is found: auto, 1, 0.5, 0.25.")
    ] = "auto",
    against: Annotated[
        str, typer.Option("--against", metavar="A,B", help="Others to run too: blend, dis, minterpolate.")
    ] = "",
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
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Score interpolation on a folder of clips, beside others.

    Odd frames are withheld and predicted from the even ones: PSNR, SSIM, and frames made a second.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            check_plot(plot)

            from ..bench.interpolation_clips import OURS, find_layout, load_clips
            from ..bench.interpolation_ours import EngineMiddles, ModelMiddles
            from ..bench.interpolation_peers import open_interpolation_peer
            from ..bench.run_store import KeptFolder
            from ..engine import Engine, InterpolationOptions

            layout = find_layout(folder, layout)
            published = layout != OURS
            found = load_clips(folder, names_in(clips) or None, layout=layout)
            wanted = InterpolationOptions.of(2, scale=scale)
            peers = {name: open_interpolation_peer(name) for name in names_in(against)}
            side_by_side, within = options.spread(lanes, threads, 0, wanted.tile_pixels)
            with Engine.load(model, runtime=runtime, device=device, threads=within, capacity=1) as engine:
                name = engine.runtime.spec.name
                if name in peers:
                    raise OptionError(
                        f"The model and a method of --against are both called {name}", "Rename it."
                    )
                ours: MiddleMaker = EngineMiddles(engine, wanted, side_by_side)
                if published:
                    ours = ModelMiddles(engine, wanted)
                settings = {
                    "layout": layout,
                    "methods": {
                        name: [engine.bundle_hash, engine.runtime.name, engine.runtime.device, scale]
                    },
                    "against": sorted(peers),
                }
                kept = None if out is None else KeptFolder(out, settings)
                results = run({name: ours, **peers}, found, published, kept)
                where = {"model": model, "runtime": engine.runtime.name, "device": engine.runtime.device}
                where["layout"] = layout
            if plot is not None:
                _draw(results, plot)
        if as_json:
            print_json({**where, **results, "outputs": [] if plot is None else [plot]})
        else:
            _show(results, plot, published)
        _check_ours(results, name)


def run(
    methods: dict[str, MiddleMaker],
    clips: Sequence[Clip],
    published: bool = False,
    kept: KeptFolder | None = None,
) -> InterpolationResults:
    """Evaluate behind a progress bar."""
    from ..bench.evaluate_interpolation import evaluate_interpolation
    from .progress import share_bar

    with share_bar("evaluating") as bar:

        def tell(progress: Progress) -> None:
            bar.at(progress.done / progress.total, f"{progress.method} on {progress.clip}")

        return evaluate_interpolation(methods, clips, progress=tell, published=published, kept=kept)


def _draw(results: InterpolationResults, plot: Path) -> None:
    from ..bench.interpolation_report import quality_plot

    with replacing(plot) as temporary:
        quality_plot(results, temporary)


def _show(results: InterpolationResults, plot: Path | None, published: bool) -> None:
    from ..bench.interpolation_report import clip_table, interpolation_table, published_table

    show(interpolation_table(results), published_table(results) if published else clip_table(results))
    if plot is not None:
        show(f"wrote {plot}")


def _check_ours(results: InterpolationResults, name: str) -> None:
    """A clip that our own model did not finish is a failed run, though its numbers are printed."""
    clips = results["methods"][name]["clips"]
    failed = {key: one["error"] for key, one in clips.items() if "error" in one}
    if failed:
        first = next(iter(failed))
        raise RunError(
            f"{name} did not finish {len(failed)} of {len(clips)} clips ({first}: {failed[first]})",
            "The means are over the others.",
        )
