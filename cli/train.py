"""``framestate train``: from a recipe and a folder of data to a bundle."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .export import model_argument, parity_report
from .models import describe_data
from .output import guarded, note, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bundles import Bundle
    from ..export.proof import Proof
    from ..models.plans import Plan
    from ..models.training.loop import Result

CHECKPOINT = "checkpoint.safetensors"


def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A TOML file, such as models/recipes/tracker-nano.toml.")
    ],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="The folder that the recipe reads.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Checkpoints and log; a run that is there goes on.")
    ],
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="DIR",
            show_default="RUN_DIR/<name of the recipe>",
            help="Where to write the bundle; a bundle that is there is replaced.",
        ),
    ] = None,
    frames: options.ProofFrames = 300,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Train a model by a recipe, and write it as a bundle.

    A run that was interrupted goes on where its last checkpoint was made.
    For several GPUs: torchrun --nproc-per-node N -m framestate.cli.main train RECIPE ...
    """
    with guarded(debug):
        with quiet_stdout():
            options.need("training", "torch", "onnx", "onnxscript", "PIL")

            from ..models.plans import read_plan
            from ..models.training.board import has_board
            from ..models.training.distributed import joined

            plan = read_plan(recipe)
            target = bundle or out / plan.name
            options.check_new_folder("--bundle", target, replace=True)
            with joined() as ranks, contextlib.ExitStack() as silence:
                if not ranks.is_main:  # the first process speaks for all
                    silence.enter_context(contextlib.redirect_stderr(io.StringIO()))
                if (out / CHECKPOINT).exists():
                    note(f"going on from {out / CHECKPOINT}")
                if plan.loop.tensorboard and not has_board():
                    note("no event files are written: pip install 'framestate[board]' brings tensorboard")
                result, data_report = run(plan, data, out)
            if not ranks.is_main:
                return
            written, parity = write(plan, result, data_report, target, frames)
        report = {
            "recipe": plan.name,
            "steps": result.steps,
            "seconds": result.seconds,
            "samples_per_s": samples_per_s(plan, result),
            "metrics": result.metrics,
            "checkpoint": result.checkpoint,
            "bundle": target,
            "parity": parity_report(parity),
        }
        if as_json:
            print_json(report)
        else:
            _show(report, written)


def run(plan: Plan, data: Path, out: Path) -> tuple[Result, dict[str, Any]]:
    """Train behind a progress bar; returns the result and what it was trained on."""
    from ..models.interpolation.recipe import InterpolationRecipe
    from .progress import share_bar

    with share_bar(f"training {plan.name}") as bar:
        if isinstance(plan, InterpolationRecipe):
            from ..models.interpolation.train import train_interpolator

            return train_interpolator(plan, data, out, progress=reporter(plan, bar.at), say=note)
        from ..models.classification.recipe import ClassifierRecipe

        if isinstance(plan, ClassifierRecipe):
            from ..models.classification.train import train_classifier

            return train_classifier(plan, data, out, progress=reporter(plan, bar.at))
        from ..models.vil_tracker.recipe import VilRecipe

        if isinstance(plan, VilRecipe):
            from ..models.vil_tracker.train import train_vil_tracker

            return train_vil_tracker(plan, data, out, progress=reporter(plan, bar.at))
        from ..models.artrack_mamba_v2.recipe import TrajectoryRecipe

        if isinstance(plan, TrajectoryRecipe):
            from ..models.artrack_mamba_v2.train import train_trajectory

            return train_trajectory(plan, data, out, progress=reporter(plan, bar.at), say=note)
        from ..models.tracking.train import train_tracker

        return train_tracker(plan, data, out, progress=reporter(plan, bar.at))


def reporter(plan: Plan, show_at: Callable[..., None]) -> Callable[[int, dict[str, float]], None]:
    """Turns the loop's reports into a share of the run, with the loss and samples a second."""
    last: tuple[int, float] | None = None

    def tell(step: int, line: dict[str, float]) -> None:
        nonlocal last
        seconds = line["seconds"]
        share = step / plan.loop.steps
        if plan.loop.minutes:
            share = max(share, seconds / (60 * plan.loop.minutes))
        detail = f"step {step}, loss {line.get('loss', float('nan')):.3f}"
        if last is not None and seconds > last[1]:
            detail += f", {plan.batch * (step - last[0]) / (seconds - last[1]):.1f} samples/s"
        last = step, seconds
        show_at(min(share, 1.0), detail=detail)

    return tell


def write(
    plan: Plan, result: Result, data_report: dict[str, Any], target: Path, frames: int
) -> tuple[Bundle, Proof]:
    """The trained model as a bundle, which says how it came to be.

    Raises:
        ExportError, ParityError: the graphs cannot be made, or do not agree; the checkpoint stays.
    """
    import torch

    from ..engine import TrackingOptions
    from ..export.bundle import bundle_model
    from ..models.artrack_mamba_v2.recipe import TrajectoryRecipe
    from ..models.tracking.recipe import TrackerRecipe
    from ..models.vil_tracker.recipe import VilRecipe
    from .machine import hardware

    data = {key: value for key, value in data_report.items() if key != "teacher"}
    provenance = {
        "recipe": plan.text,
        "data": data,
        "trained_on": describe_data(data),
        "teacher": data_report.get("teacher"),
        "seed": plan.seed,
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
        "hardware": f"{hardware()}; PyTorch {torch.__version__}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    spec = result.model.spec(plan.name)  # type: ignore[operator]
    if isinstance(plan, TrackerRecipe | TrajectoryRecipe | VilRecipe) and plan.options:
        own = spec.preprocess.get("options")
        options = {**(own if isinstance(own, dict) else {}), **plan.options}
        spec = replace(spec, preprocess={**spec.preprocess, "options": options})
        TrackingOptions.from_spec(spec)  # a threshold that there is none of is a mistake in the recipe
    return bundle_model(
        result.model,
        spec,
        target,
        provenance=provenance,
        metrics=dict(result.metrics),
        frames=frames,
        replace=True,
        say=note,
    )


def samples_per_s(plan: Plan, result: Result) -> float | None:
    """Over the whole run, interruptions not counted."""
    return plan.batch * result.steps / result.seconds if result.seconds > 0 else None


def _show(report: dict[str, Any], bundle: Bundle) -> None:
    from rich.table import Table

    table = Table(title=f"Trained {report['recipe']}", show_header=False)
    table.add_row("steps", f"{report['steps']:,}")
    seconds = report["seconds"]
    table.add_row("time", f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min")
    if report["samples_per_s"] is not None:
        table.add_row("samples/s", f"{report['samples_per_s']:.1f}")
    for name, value in report["metrics"].items():
        table.add_row(name, f"{value:.4f}")
    table.add_row(
        "parity of onnx", f"{report['parity']['max_rel']:.1e} over {report['parity']['frames']} frames"
    )
    target = report["bundle"]
    classifies = bundle.spec.task == "classification"
    way = "Predict: framestate classify VIDEO" if classifies else "Visualize: framestate demo"
    show(
        table,
        f"checkpoint {report['checkpoint']}, bundle {target} ({bundle.parameters:,} parameters)",
        f"{way} --model {model_argument(target)}",
    )
