"""``framestate prune``: a smaller, faster model of the same kind, trained on, exported and compared."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import bench_shared as shared
from . import options
from .machine import hardware
from .output import guarded, note, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bundles import Bundle
    from ..models.pruning.options import PruneOptions
    from ..models.pruning.rounds import Pruned
    from ..models.pruning.trainers import Trainer

REPORT = "report.json"


def prune(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model that comes with Framestate, or the folder of a bundle with weights.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Runs and bundles; runs that are there go on.")
    ],
    method: Annotated[
        list[str],
        typer.Option("--method", metavar="NAME", help="rsst, refill, magnitude or saliency; repeatable."),
    ] = ["rsst"],  # noqa: B006  typer copies it
    ratio: Annotated[
        list[float], typer.Option("--ratio", metavar="R", help="Share of the units that goes; repeatable.")
    ] = [0.5],  # noqa: B006
    target: Annotated[
        str, typer.Option("--target", metavar="PART", help="ssm, mlp, both, stem, head, attention or all.")
    ] = "both",
    structure: Annotated[
        str,
        typer.Option(
            "--structure",
            metavar="NAME",
            help="units go whole, or none (single weights go).",
        ),
    ] = "units",
    masks: Annotated[
        Path | None,
        typer.Option("--masks", metavar="FILE", help="With --structure none: the weights that stay."),
    ] = None,
    units: Annotated[
        list[str] | None,
        typer.Option(
            "--units",
            metavar="GROUP=N",
            help="In place of ratio and target: groups (or patterns, such as 'stem.*') and units each keeps.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="FILE", help="The recipe that trains the model.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="The folder that the recipe reads.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=0, show_default="as the recipe", help="Of training, over all rounds."),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0, help="End a run's training by the clock; 0: by its steps.")
    ] = 0.0,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Cut in so many rounds.")] = 1,
    rank: Annotated[
        str,
        typer.Option(
            "--rank",
            metavar="NAME",
            show_default="magnitude, or as the method",
            help="What units count by: magnitude, remaining, features or saliency.",
        ),
    ] = "",
    fillback: Annotated[
        float, typer.Option("--fillback", help="Share of the emptied units that stays (refill, rsst).")
    ] = 0.0,
    strength: Annotated[
        float, typer.Option("--strength", help="The pull at a round's end, of a weight a step (rsst).")
    ] = 0.3,
    schedule: Annotated[
        str,
        typer.Option("--schedule", metavar="NAME", help="Of the pull: exponents, linear or constant."),
    ] = "exponents",
    exponent: Annotated[float, typer.Option("--exponent", help="Of the schedule exponents (rsst).")] = 4.0,
    share: Annotated[float, typer.Option("--share", help="Of a round's steps that pull (rsst).")] = 0.4,
    rewind: Annotated[
        bool, typer.Option("--rewind", help="What is left starts again from its first weights.")
    ] = False,
    dense: Annotated[
        bool, typer.Option("--dense", help="Also train the whole model for as long, to compare with.")
    ] = False,
    frames: options.ProofFrames = 300,
    plot: shared.Plot = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Make a model smaller and faster, and train it again.

    Channels, heads, states and neurons go whole, so the result is an ordinary bundle: smaller, faster on
    every runtime, with less state a session. With --structure none single weights become zeros, and nothing
    is faster. An interrupted run goes on where its last checkpoint was made.
    """
    with guarded(debug):
        with quiet_stdout():
            options.need("pruning", "torch", "onnx", "onnxscript")
            shared.check_plot(plot)
            if (recipe is None) != (data is None):
                raise OptionError("--recipe and --data go together", "Give both, or neither.")
            if "dense" in method:
                raise OptionError("dense is no method of pruning", "Use --dense to compare with it.")

            from ..bundles import load_bundle
            from ..models.pruning.options import PruneOptions

            source = load_bundle(model)
            trainer, length = open_recipe(recipe, data, source, steps)
            common: dict[str, Any] = {
                "target": target, "units": counts_in(units or []), "rounds": rounds, "rank": rank,
                "fillback": fillback, "strength": strength, "schedule": schedule, "exponent": exponent,
                "structure": structure, "masks": str(masks or ""),
                "share": share, "rewind": rewind, "steps": length, "minutes": minutes,
            }  # fmt: skip
            chosen = [PruneOptions(method=one, ratio=r, **common) for r in ratio for one in method]
            if dense and length:
                whole = {**common, "rounds": 1, "rank": "", "structure": "units", "masks": ""}
                chosen.insert(0, PruneOptions(method="dense", ratio=0.0, **whole))
            runs = [run(source, trainer, one, out, frames) for one in chosen]
            report = compare(source, runs, out, model)
            if trainer is not None:
                report["metric"] = trainer.metric
            from .prune_report import curve, tables

            drawn = plot if trainer is not None else None
            report["outputs"] = [out / REPORT, *shared.draw(drawn, lambda path: curve(report, path))]
            write_report(out / REPORT, report)
        if as_json:
            print_json(report)
        else:
            show(*tables(report))


def counts_in(units: list[str]) -> tuple[tuple[str, int], ...]:
    """``GROUP=N``, each as a pair. Raises OptionError for anything else."""
    pairs = [text.rpartition("=") for text in units]
    wrong = [
        text for text, (name, _, count) in zip(units, pairs, strict=True) if not name or not count.isdigit()
    ]
    if wrong:
        raise OptionError(f"--units {wrong[0]} is no group and count", "Give one, such as stem.1=48.")
    return tuple((name, int(count)) for name, _, count in pairs)


def open_recipe(
    recipe: Path | None, data: Path | None, source: Bundle, steps: int | None
) -> tuple[Trainer | None, int]:
    """What trains, and for how many steps; nothing without a recipe."""
    if recipe is None or data is None:
        if steps:
            raise OptionError(f"--steps {steps} has nothing to train with", "Give --recipe and --data.")
        return None, 0
    from ..models.plans import read_plan
    from ..models.pruning.trainers import open_trainer

    trainer = open_trainer(read_plan(recipe), data, source.spec)
    return trainer, trainer.loop.steps if steps is None else steps


def run(
    source: Bundle, trainer: Trainer | None, chosen: PruneOptions, out: Path, frames: int
) -> dict[str, Any]:
    """One run and its bundle, or what is there of them; what there is to say of it."""
    from ..bundles import load_bundle
    from ..models.pruning.rounds import Pruning
    from ..models.pruning.surgery import open_model
    from ..models.pruning.unstructured import sparsity
    from .progress import share_bar

    label = "dense" if chosen.method == "dense" else f"{chosen.method}-{round(100 * chosen.ratio)}"
    label += "-weights" if chosen.structure == "none" else ""
    name = f"{source.spec.name}-{label}"
    folder = out / label
    with share_bar(f"pruning {name}") as bar:
        whole = open_model(source)
        pruning = Pruning(
            whole, source.spec, trainer, chosen, folder, lambda done, what: bar.at(done, detail=what), note
        )
        pruned = pruning.run(name)
    told = {
        "name": label,
        "method": chosen.method,
        "ratio": chosen.ratio,
        "metrics": pruned.metrics,
        "steps": pruned.steps,
        "seconds": pruned.seconds,
        "cpu_seconds": pruned.cpu_seconds,
        "units": {key: list(counts) for key, counts in pruned.units.items()},
        "pulled": pruned.pulled,
        "sparsity": sparsity(pruned.masks) if pruned.masks else {},
        "bundle": folder / name,
    }
    if not (folder / name / "manifest.json").is_file():
        write_bundle_of(source, whole, pruned, chosen, folder / name, frames)
    load_bundle(str(folder / name))  # as it will be used
    return told


def write_bundle_of(
    source: Bundle, whole: Any, pruned: Pruned, chosen: PruneOptions, target: Path, frames: int
) -> None:
    """The smaller model as a bundle, and lines for a recipe that trains it on.

    Raises:
        ExportError, ParityError: its graphs cannot be made, or do not agree.
    """
    from ..export.bundle import bundle_model
    from ..models.pruning.surgery import note as note_of
    from ..models.pruning.surgery import start_lines
    from ..models.pruning.unstructured import save_masks, sparsity

    how: dict[str, Any] = {
        **asdict(chosen), "date": time.strftime("%Y-%m-%d", time.gmtime()), "hardware": hardware()
    }  # fmt: skip
    about = note_of((whole, source.spec), (pruned.model, pruned.spec), how)
    if pruned.masks:
        about["sparsity"] = sparsity(pruned.masks)["all"]
        save_masks(target.parent / "masks.safetensors", pruned.masks)
    bundle_model(
        pruned.model,
        pruned.spec,
        target,
        provenance={**source.provenance, "pruned": about},
        metrics=dict(pruned.metrics),
        frames=frames,
        replace=target.exists(),
        say=note,
    )
    lines = start_lines(pruned.spec, str((target / "weights.safetensors").resolve()))
    (target.parent / "train-on.toml").write_text(lines)


def compare(source: Bundle, runs: list[dict[str, Any]], out: Path, model: str) -> dict[str, Any]:
    """Costs of the whole model and of all that was made of it, side by side."""
    from ..bundles import load_bundle
    from ..export.pruned import costs, faster

    bundles = {"before": source, **{one["name"]: load_bundle(str(one["bundle"])) for one in runs}}
    found = costs(bundles)
    before = {"name": "before", "method": "none", "ratio": 0.0, "metrics": dict(source.metrics)}
    rows = [
        {
            **one,
            **asdict(found[one["name"]]),
            "speedup": {name: faster(found, one["name"], "before", name) for name in found["before"].ms},
        }
        for one in [before, *runs]
    ]
    return {"model": model, "machine": hardware(), "runs": rows}


def write_report(path: Path, report: dict[str, Any]) -> None:
    """The report beside the runs."""
    import json

    from .output import plain, replacing

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain(report), indent=1) + "\n", encoding="utf-8")
