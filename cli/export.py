"""``framestate export``: a model's graphs for another runtime, with proof that they agree."""

from __future__ import annotations

import logging
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import options
from .output import guarded, note, print_json, quiet_stdout, show

if TYPE_CHECKING:
    from ..bundles import Bundle
    from ..export.parity import Parity


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model that comes with Framestate, or the folder of a bundle with weights.",
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="RUNTIME", help="onnx.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The new bundle's folder.")],
    frames: options.ProofFrames = 300,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Make a model's graphs for another runtime, with proof.

    The graphs and PyTorch follow the same clip over hundreds of frames, each by its own answers and state.
    Where they differ by more than the tolerance, nothing is written.
    """
    with guarded(debug):
        with quiet_stdout():
            _check(to, out)
            began = time.perf_counter()
            bundle, parity = re_export(model, out, frames)
            seconds = time.perf_counter() - began
        if as_json:
            print_json(report(bundle, parity, out, to, seconds))
        else:
            _show(bundle, parity, out, to, seconds)


def re_export(model: str, out: Path, frames: int) -> tuple[Bundle, Parity]:
    """A bundle at ``out`` with the weights of ``model`` and fresh graphs.

    Raises:
        BundleError: there is no such model, or it has no weights.
        ExportError, ParityError: it cannot be exported, or the graphs do not agree; nothing is written.
    """
    from ..bundles import load_bundle

    source = load_bundle(model)
    weights = source.weights()

    quiet_exporter()
    from ..export.bundle import bundle_model
    from ..models import build_model, load_weights
    from ..plugins import eager_operators

    network = build_model(source.spec, eager_operators())
    load_weights(network, weights)
    return bundle_model(
        network,
        source.spec,
        out,
        provenance=dict(source.provenance),
        metrics=dict(source.metrics),
        frames=frames,
        replace=out.exists(),  # an empty folder: anything else was refused
        say=note,
    )


def quiet_exporter() -> None:
    """Keep what PyTorch's exporter logs about packages that we do not use off the screen."""
    name = "torch.onnx._internal.exporter._registration"
    logging.getLogger(name).setLevel(logging.ERROR)


def report(bundle: Bundle, parity: Parity, out: Path, runtime: str, seconds: float) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "bundle": out,
        "runtime": runtime,
        "files": {str(out / name): member.bytes for name, member in bundle.files.items()},
        "parity": parity_report(parity),
        "seconds": seconds,
    }


def parity_report(parity: Parity) -> dict[str, Any]:
    """The proof in numbers: differences of tensors, and of the two runtimes' boxes in pixels."""
    return {
        "frames": parity.frames,
        "max_abs": parity.max_abs,
        "max_rel": parity.max_rel,
        "tolerance": parity.tolerance,
        "box_drift_px": parity.box_drift_px,
        "drift_tolerance_px": parity.drift_tolerance_px,
        "passed": parity.passed,
    }


def _check(to: str, out: Path) -> None:
    """What needs no model is checked first."""
    if to == "tensorrt":
        raise OptionError("--to tensorrt is not available yet", "Use --to onnx.")
    if to != "onnx":
        raise OptionError(f"--to {to} is unknown", "Use --to onnx.")
    options.check_new_folder("--out", out)
    options.need("export", "torch", "onnx", "onnxscript")


def _show(bundle: Bundle, parity: Parity, out: Path, runtime: str, seconds: float) -> None:
    from rich.table import Table

    table = Table(
        title=f"Parity of {runtime} with eager, {parity.frames} closed-loop frames",
        caption=f"{seconds:.0f} s",
    )
    table.add_column("difference")
    table.add_column("worst", justify="right")
    table.add_column("tolerance", justify="right")
    table.add_row("tensors, relative", f"{parity.max_rel:.1e}", f"{parity.tolerance:.0e}")
    table.add_row("tensors, absolute", f"{parity.max_abs:.1e}", "")
    table.add_row("boxes, pixels", f"{parity.box_drift_px:.2g}", f"{parity.drift_tolerance_px:g}")
    sizes = ", ".join(f"{name} ({member.bytes / 1e6:.1f} MB)" for name, member in bundle.files.items())
    show(table, f"wrote {out}: {sizes}", *next_commands(out, runtime))


def next_commands(out: Path, runtime: str) -> tuple[str, ...]:
    """What to do with a new bundle, ready to paste."""
    chosen = f"--model {shlex.quote(model_argument(out))} --runtime {runtime}"
    return (
        f"Predict:   framestate track video.mp4 --box 100,100,80,60 {chosen}",
        f"Validate:  framestate eval tracking data/tracking {chosen}",
        f"Visualize: framestate demo {chosen}",
    )


def model_argument(folder: Path) -> str:
    """How ``--model`` names a folder, so that it is never taken for the name of a default model."""
    text = str(folder)
    return text if "/" in text or "\\" in text else f"./{text}"
