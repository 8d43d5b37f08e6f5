"""``framestate export``: a model's graphs for another runtime, with proof that they agree."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import options
from .output import guarded, print_json, quiet_stdout, show, warn

if TYPE_CHECKING:
    from ..bundles import Bundle
    from ..export.bundle import GraphOptions
    from ..export.proof import Proof
    from ..models import Build


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model that comes with Framestate, the folder of a bundle with weights, or (--untrained) "
            "any system that 'framestate models' lists.",
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="RUNTIME", help="onnx or tensorrt.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The new bundle's folder.")],
    ops: Annotated[
        str,
        typer.Option(
            "--ops",
            metavar="DIALECT",
            help="ort (ONNX Runtime's own stateful operators, the fastest), portable (plain ONNX), or plugin "
            "(one node an operator, for runtimes that are given kernels; not run or compared here).",
        ),
    ] = "ort",
    precision: Annotated[
        str,
        typer.Option(
            "--precision", metavar="NAME", help="fp32, fp16 or int8; state and recurrence stay fp32."
        ),
    ] = "fp32",
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="VIDEO|DIR",
            help="What int8 is fitted to: a video, or sequences as for 'eval tracking'.",
            show_default="rendered clips",
        ),
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Random weights, for measuring what a system costs.")
    ] = False,
    decode: Annotated[
        str,
        typer.Option(
            "--decode",
            metavar="WHERE",
            help="host: a tracker gives maps, an interpolator takes and gives planes. graph: it ends with "
            "the best cell, or takes and gives bytes, which is for GPUs.",
            show_default="graph with --to tensorrt where the model can, else host",
        ),
    ] = "",
    build: options.UserBuild = None,
    max_batch: options.PlanRows = None,
    size: options.PlanSizes = None,
    frames: options.ProofFrames = 300,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Write a model for another runtime, and prove that it agrees.

    The graphs and PyTorch follow the same clip over hundreds of frames, each by its own answers and state.
    Where they differ by more than the tolerance, nothing is written.
    """
    with guarded(debug), ExitStack() as stack:
        with quiet_stdout():
            _check(to, out)
            began = time.perf_counter()
            if untrained:
                from .export_untrained import untrained_bundle

                model = untrained_bundle(model, stack)
            elif not Path(model).exists():
                from .export_untrained import check_weights

                check_weights(model)
            parity: Proof | None
            if to == "tensorrt":
                from .export_plans import build_plans

                if build is not None:
                    raise OptionError("--build has no use with --to tensorrt", "Export to onnx with it.")
                bundle, parity = build_plans(
                    model, out, frames, ops, precision, max_batch, size or (), decode=decode
                )
            elif size:
                raise OptionError(f"--size has no use with --to {to}", "Leave it out: graphs take any size.")
            else:
                bundle, parity = re_export(
                    model, out, frames, ops, precision, calibrate, options.user_build(build),
                    decode=decode or "host",
                )  # fmt: skip
            seconds = time.perf_counter() - began
        if as_json:
            print_json(report(bundle, parity, out, to, seconds))
        else:
            _show(bundle, parity, out, to, seconds)


def re_export(
    model: str,
    out: Path,
    frames: int,
    ops: str,
    precision: str,
    calibrate: Path | None,
    build: Build | None = None,
    *,
    decode: str = "host",
) -> tuple[Bundle, Proof | None]:
    """A bundle at ``out`` with the weights of ``model`` and fresh graphs; no proof for the dialect plugin.

    ``decode`` is where the model ends, on the "host" or in the "graph".

    Raises:
        BundleError: there is no such model, or it has no weights.
        OptionError: there is no such dialect, precision or way to decode.
        ExportError, ParityError: it cannot be exported, or the graphs do not agree; nothing is written.
    """
    from ..bundles import load_bundle

    source = load_bundle(model)
    weights = source.weights()

    from ..export.bundle import bundle_model, bundle_unproven
    from ..models import build_model, decoded, load_weights
    from ..plugins import eager_operators
    from .progress import stages

    chosen, spec = graph_options(ops, precision, calibrate), decoded(source.spec, decode)
    build = build or build_model
    network = build(source.spec, eager_operators()).eval()
    load_weights(network, weights)
    told: dict[str, Any] = {"provenance": source.provenance, "metrics": source.metrics, "build": build}
    replace = out.exists()  # an empty folder: anything else was refused
    with stages(frames) as (say, tick):
        if chosen.dialect == "plugin":
            return bundle_unproven(network, spec, out, **told, replace=replace, say=say), None
        return bundle_model(
            network,
            spec,
            out,
            **told,
            frames=frames,
            options=chosen,
            replace=replace,
            say=say,
            tick=tick,
        )


def graph_options(ops: str, precision: str, calibrate: Path | None) -> GraphOptions:
    """The options of the command line. Raises OptionError, or DataError for what cannot be calibrated on."""
    from ..export.bundle import GraphOptions

    chosen = GraphOptions(dialect=ops, precision=precision)  # type: ignore[arg-type]  # it checks the names
    if precision != "int8":
        if calibrate is not None:
            raise OptionError(f"--calibrate has no use with --precision {precision}", "Use it with int8.")
        return chosen
    if calibrate is None:
        warn("int8 is calibrated on rendered clips; give --calibrate with videos like those it will see")
        return chosen
    from .calibration import calibration_clips

    return GraphOptions(chosen.dialect, chosen.precision, calibration_clips(calibrate))


def report(bundle: Bundle, parity: Proof | None, out: Path, runtime: str, seconds: float) -> dict[str, Any]:
    """What ``--json`` prints."""
    about = graphs_of(bundle, runtime)
    return {
        "bundle": out,
        "runtime": runtime,
        "ops": about["dialect"],
        "precision": about["precision"],
        "calibration": about.get("calibration"),
        **({"key": about["key"], "layers": about["layers"]} if runtime == "tensorrt" else {}),
        "files": {str(out / name): member.bytes for name, member in bundle.files.items()},
        "parity": parity_report(parity) if parity else no_parity(about["why"]),
        "seconds": seconds,
    }


def graphs_of(bundle: Bundle, runtime: str = "onnx") -> Mapping[str, Any]:
    """What a manifest says of its graphs or plans."""
    said = bundle.parity[runtime]
    assert isinstance(said, Mapping), "whoever wrote the bundle says so"
    if runtime == "tensorrt":
        key = said["key"]
        assert isinstance(key, Mapping), "whoever wrote the bundle says so"
        return {**said, "dialect": "plugin", "precision": key["precision"]}
    return said


def parity_report(parity: Proof) -> dict[str, Any]:
    """The proof in numbers: differences of tensors, and of what the runtimes made of them."""
    said = {"drift_counted" if key == "counted" else key: value for key, value in parity.to_json().items()}
    return {**said, "passed": parity.passed}


def no_parity(why: str) -> dict[str, Any]:
    """The same keys where nothing was compared."""
    nothing: dict[str, Any] = dict.fromkeys(("max_abs", "max_rel", "tolerance", "passed"))
    return {"frames": 0, **nothing, "why": why}


def _check(to: str, out: Path) -> None:
    """What needs no model is checked first."""
    if to not in ("onnx", "tensorrt"):
        raise OptionError(f"--to {to} is unknown", "Use --to onnx or --to tensorrt.")
    options.check_new_folder("--out", out)
    options.need("export", "torch", "onnx", "onnxscript")


def _show(bundle: Bundle, parity: Proof | None, out: Path, runtime: str, seconds: float) -> None:
    if parity is None:
        show(f"NOT RUN, NOT COMPARED: {graphs_of(bundle)['why']}")
    else:
        _show_parity(parity, graphs_of(bundle, runtime), runtime, seconds)
    if runtime == "tensorrt":
        from .export_plans import show_layers

        show_layers(graphs_of(bundle, runtime)["layers"])
    sizes = ", ".join(f"{name} ({member.bytes / 1e6:.2f} MB)" for name, member in bundle.files.items())
    show(f"wrote {out}: {sizes}", *next_commands(out, runtime if parity else "eager", bundle.spec.task))


def _show_parity(parity: Proof, about: Mapping[str, Any], runtime: str, seconds: float) -> None:
    from rich.table import Table

    what = f"{runtime} ({about['dialect']}, {about['precision']})"
    table = Table()
    table.add_column("difference")
    for heading in ("found", "tolerance"):
        table.add_column(heading, justify="right")
    table.add_row("tensors, relative", f"{parity.max_rel:.1e}", f"{parity.allowed.relative:.0e}")
    table.add_row("tensors, absolute", f"{parity.max_abs:.1e}", "")
    for one in parity.measures:
        limit = parity.allowed.limits.get(one.key)
        allowed = "" if limit is None else f"{'at least ' if one.floor else ''}{limit:g}"
        table.add_row(one.words, f"{parity.values[one.key]:.3g}", allowed)
    show(f"Parity of {what} with eager fp32, {parity.frames} closed-loop frames, {seconds:.0f} s", table)


NEXT: Mapping[str, tuple[str, ...]] = {
    "tracking": (
        "Predict:   framestate track video.mp4 --box 100,100,80,60 {chosen}",
        "Validate:  framestate eval tracking data/tracking {chosen}",
        "Visualize: framestate demo {chosen}",
    ),
    "interpolation": (
        "Predict:   framestate interpolate video.mp4 smooth.mp4 {chosen}",
        "Validate:  framestate eval interpolation data/interpolation {chosen}",
    ),
    "classification": ("Predict:   framestate classify video.mp4 {chosen}",),
    "stream": ("Predict:   framestate run {model} video.mp4 --out values.jsonl --runtime {runtime}",),
}
"""By task: what to do with a new bundle."""


def next_commands(out: Path, runtime: str, task: str = "tracking") -> tuple[str, ...]:
    """What to do with a new bundle, ready to paste."""
    chosen = f"--model {shlex.quote(model_argument(out))} --runtime {runtime}"
    told = {"chosen": chosen, "model": shlex.quote(model_argument(out)), "runtime": runtime}
    return tuple(command.format(**told) for command in NEXT.get(task, ()))


def model_argument(folder: Path) -> str:
    """How ``--model`` names a folder, so that it is never taken for the name of a default model."""
    text = str(folder)
    return text if "/" in text or "\\" in text else f"./{text}"
