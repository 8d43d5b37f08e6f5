"""``framestate bench precisions``: one model in every form, side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from . import options
from .output import guarded, print_json, quiet_stdout, show


def precisions(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model that comes with Framestate, or the folder of a bundle with weights.",
        ),
    ] = options.DEFAULT_TRACKER,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="VIDEO|DIR",
            help="What int8 is fitted to: a video, or sequences as for 'eval tracking'.",
            show_default="rendered clips",
        ),
    ] = None,
    frames: Annotated[
        int, typer.Option("--frames", min=1, help="Frames that each form follows in a closed loop.")
    ] = 60,
    repetitions: Annotated[int, typer.Option("--repetitions", min=1, help="Steps timed of each form.")] = 60,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Compare size, speed and agreement of a model's forms.

    PyTorch in fp32 and bf16, and ONNX in two dialects and three precisions, on one thread.
    The forms take turns, so that what else the machine does hits all of them alike.
    """
    with guarded(debug):
        with quiet_stdout():
            options.need("bench precisions", "torch", "onnx", "onnxscript")
            report = measure(model, calibrate, frames, repetitions)
        if as_json:
            print_json(report)
        else:
            _show(report)


def measure(model: str, calibrate: Path | None, frames: int, repetitions: int) -> dict[str, Any]:
    """What ``--json`` prints.

    Raises:
        BundleError: there is no such model, or it has no weights.
        ExportError: a graph cannot be made.
    """
    from ..bundles import load_bundle
    from .calibration import calibration_clips
    from .machine import hardware
    from .progress import stages

    bundle = load_bundle(model)
    clips = calibration_clips(calibrate) if calibrate else []
    from ..export.compare import compare_forms

    began = time.perf_counter()
    with stages(frames) as (say, tick):
        forms = compare_forms(bundle, repetitions=repetitions, frames=frames, clips=clips, say=say, tick=tick)
    return {
        "model": model,
        "machine": hardware(),
        "threads": 1,
        "repetitions": repetitions,
        "frames": frames,
        "calibrated_on": [clip.name for clip in clips] or "rendered clips",
        "results": [asdict(form) for form in forms],
        "seconds": time.perf_counter() - began,
    }


def _show(report: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(
        title=f"{report['model']}: a step of one session on one thread",
        caption=f"{report['machine']}; median of {report['repetitions']} interleaved steps; "
        f"|Δ| and drift against eager fp32, {report['frames']} closed-loop frames",
    )
    table.add_column("form")
    for heading in ("MB", "ms", "max |Δ|", "drift px, median", "worst"):
        table.add_column(heading, justify="right")
    for form in report["results"]:
        table.add_row(
            form["name"],
            f"{form['bytes'] / 1e6:.2f}",
            f"{form['ms']:.2f}",
            f"{form['max_abs']:.1e}",
            f"{form['median_drift_px']:.2g}",
            f"{form['box_drift_px']:.2g}",
        )
    show(table)
