"""``framestate train``: from a recipe and a folder of data to a bundle."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .export import next_commands, parity_report
from .models import describe_data
from .output import guarded, note, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bundles import Bundle
    from ..export.proof import Proof
    from ..models.plans import Plan
    from ..models.training.loop import Result
    from ..models.training.mode import Mode

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
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: loop.steps=9; repeatable."),
    ] = None,
    epochs: Annotated[
        float,
        typer.Option("--epochs", min=0, show_default="the recipe's steps", help="Train for so many epochs."),
    ] = 0.0,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Try one step of each phase: shapes, parameters, seconds, memory. Writes nothing.",
        ),
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Go on from a checkpoint that another recipe made.")
    ] = False,
    build: options.UserBuild = None,
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
            from ..models.training.mode import Mode

            plan = read_plan(recipe, changes or ())
            mode = Mode(note, accept, epochs, [] if dry_run else None, options.user_build(build))
            written: Bundle | None = None
            if dry_run:
                report = try_out(plan, data, mode)
            else:
                target = bundle or out / plan.name
                options.check_new_folder("--bundle", target, replace=True)
                done = train_all(plan, data, out, mode)
                if done is None:
                    return
                written, parity = write(plan, *done, target, frames, mode)
                report = report_of(plan, done[0], target, parity)
        if as_json:
            print_json(report)
        elif written is None:
            show_trial(report)
        else:
            _show(report, written)


def train_all(plan: Plan, data: Path, out: Path, mode: Mode) -> tuple[Result, dict[str, Any]] | None:
    """What ``run`` gives, in every process that torchrun started; None in all of them but the first."""
    from ..models.training.board import has_board
    from ..models.training.distributed import joined

    with joined() as ranks, contextlib.ExitStack() as silence:
        if not ranks.is_main:  # the first process speaks for all
            silence.enter_context(contextlib.redirect_stderr(io.StringIO()))
        if (out / CHECKPOINT).exists():
            note(f"going on from {out / CHECKPOINT}")
        if plan.loop.tensorboard and not has_board():
            note("no event files are written: pip install 'framestate[board]' brings tensorboard")
        done = run(plan, data, out, mode)
    return done if ranks.is_main else None


def report_of(plan: Plan, result: Result, target: Path, parity: Proof) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "recipe": plan.name,
        "steps": result.steps,
        "seconds": result.seconds,
        "samples_per_s": samples_per_s(plan, result),
        "metrics": result.metrics,
        "checkpoint": result.checkpoint,
        "bundle": target,
        "parity": parity_report(parity),
    }


def try_out(plan: Plan, data: Path, mode: Mode) -> dict[str, Any]:
    """One step of each phase, in a folder that does not stay; what ``--json`` prints."""
    with tempfile.TemporaryDirectory() as folder:
        _, data_report = run(plan, data, Path(folder), mode)
    return {"recipe": plan.name, "data": describe_data(data_report), "phases": mode.trial}


def run(plan: Plan, data: Path, out: Path, mode: Mode) -> tuple[Result, dict[str, Any]]:
    """Train behind a progress bar; returns the result and what it was trained on."""
    from ..models.systems import architecture
    from .progress import share_bar

    with share_bar(f"training {plan.name}") as bar:
        trained: tuple[Result, dict[str, Any]] = architecture(plan.architecture).load("train")(
            plan, data, out, progress=reporter(plan, bar.at), mode=mode
        )
    return trained


def reporter(plan: Plan, show_at: Callable[..., None]) -> Callable[[int, dict[str, float]], None]:
    """Turns the loop's reports into a share of the run, with the loss and samples a second."""
    last: tuple[int, float] | None = None

    def tell(step: int, line: dict[str, float]) -> None:
        nonlocal last
        if "measured" in line:
            show_at(line["measured"], detail="measuring what was held out")
            return
        seconds = line["seconds"]
        detail = f"step {step}, loss {line.get('loss', float('nan')):.3f}"
        if last is not None and seconds > last[1]:
            detail += f", {plan.batch * (step - last[0]) / (seconds - last[1]):.1f} samples/s"
        last = step, seconds
        show_at(min(line["done"], 1.0), detail=detail)

    return tell


def write(
    plan: Plan, result: Result, data_report: dict[str, Any], target: Path, frames: int, mode: Mode
) -> tuple[Bundle, Proof]:
    """The trained model as a bundle, which says how it came to be.

    Raises:
        ExportError, ParityError: the graphs cannot be made, or do not agree; the checkpoint stays.
    """
    import torch

    from ..engine import TrackingOptions
    from ..export.bundle import bundle_model
    from ..models import build_model
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
    asked = getattr(plan, "options", None)  # of a tracker's recipe
    if asked:
        own = spec.preprocess.get("options")
        options = {**(own if isinstance(own, dict) else {}), **asked}
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
        build=mode.build or build_model,
    )


def samples_per_s(plan: Plan, result: Result) -> float | None:
    """Over the whole run, interruptions not counted."""
    return plan.batch * result.steps / result.seconds if result.seconds > 0 else None


def show_trial(trial: dict[str, Any]) -> None:
    """Prints what a dry run found, one row a phase."""
    from rich.table import Table

    table = Table(title=f"{trial['recipe']}: one step of each phase; nothing was written")
    for heading in ("phase", "from step", "parameters", "learning", "s", "loss", "memory"):
        table.add_column(heading)
    for line in trial["phases"]:
        memory = line["memory_bytes"]
        table.add_row(
            line["phase"],
            f"{line['step']:,}",
            f"{line['parameters']:,}",
            f"{line['learning']:,}",
            f"{line['seconds']:.2f}",
            f"{line['loss']:.4f}",
            "not told" if memory is None else f"{memory / 2**20:,.0f} MiB",
        )
    batches = {line["phase"]: line["batch"] for line in trial["phases"]}
    shapes = [
        f"a batch ({phase}): {', '.join(f'{name} {shape}' for name, shape in batch.items())}"
        for phase, batch in batches.items()
    ]
    show(table, *shapes)


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
    show(
        table,
        f"checkpoint {report['checkpoint']}, bundle {target} ({bundle.parameters:,} parameters)",
        *next_commands(target, "onnx", bundle.spec.task),
    )
