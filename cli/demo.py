"""``framestate demo``: a rendered clip with a known truth, tracked; the outcome in numbers and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import options
from .output import guarded, print_json, quiet_stdout, replacing, show

if TYPE_CHECKING:
    from ..vision import Image
    from .demo_tracking import TrackingDemo

TRACKED, SHEET = "demo_tracked.mp4", "demo.png"


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where to write; made where it is missing.")
    ] = Path("."),
    model: options.Model = options.DEFAULT_TRACKER,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Length of the clip.")] = 120,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Track a rendered clip, and compare with the known truth.

    Writes demo_tracked.mp4 and demo.png, with the truth as a thin white line.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            _make_folder(out)

            from .demo_tracking import track_demo

            tracked = track_demo(
                model, out / TRACKED, frames=frames, runtime=runtime, device=device, threads=threads
            )
            _write_picture(out / SHEET, tracked.sheet)
        outputs = [out / TRACKED, out / SHEET]
        if as_json:
            print_json(_report(tracked, outputs))
        else:
            _show(tracked, outputs)


def _report(tracked: TrackingDemo, outputs: list[Path]) -> dict[str, Any]:
    return {
        "model": tracked.model,
        "runtime": tracked.runtime,
        "device": tracked.device,
        "track": {
            "frames": tracked.frames,
            "fps": tracked.fps,
            "mean_iou": tracked.mean_iou,
            "lost_frames": tracked.lost,
        },
        "interpolate": None,
        "outputs": outputs,
    }


def _show(tracked: TrackingDemo, outputs: list[Path]) -> None:
    from rich.table import Table

    table = Table()
    table.add_column("task")
    for heading in ("frames", "FPS", "quality", "lost frames"):
        table.add_column(heading, justify="right")
    fps = "" if tracked.fps is None else f"{tracked.fps:,.0f}"
    table.add_row("tracking", str(tracked.frames), fps, f"mean IoU {tracked.mean_iou:.3f}", str(tracked.lost))
    where = f"{tracked.model}, {tracked.runtime} on {tracked.device}; FPS: tracking alone"
    show(where, table, f"wrote {', '.join(map(str, outputs))}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"--out {folder} cannot be made ({error.strerror})", "Give another folder."
        ) from error


def _write_picture(path: Path, picture: Image) -> None:
    from ..vision import encode_image

    with replacing(path) as temporary:
        temporary.write_bytes(encode_image(picture, "png"))
