"""``framestate demo``: a rendered clip with a known truth, tracked and interpolated; numbers and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import options
from .output import guarded, print_json, quiet_stdout, replacing, show

if TYPE_CHECKING:
    from .demo_interpolation import InterpolationDemo
    from .demo_tracking import TrackingDemo

TRACKED, TWICE, SHEET = "demo_tracked.mp4", "demo_2x.mp4", "demo.png"
SHEET_COLUMNS, SHEET_CELL = 3, 400


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where to write; made where it is missing.")
    ] = Path("."),
    model: options.Model = options.DEFAULT_TRACKER,
    interpolator: options.Interpolator = options.DEFAULT_INTERPOLATOR,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Length of the clip.")] = 120,
    clip: Annotated[
        bool, typer.Option("--clip", help="Only write the clip, clip.mp4, to try the other commands on.")
    ] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """See it work on a clip that it draws.

    It follows a fish, makes new frames, and compares both with the truth. It writes demo_tracked.mp4, with
    the true box as a thin white line, demo_2x.mp4, with every second frame made, and demo.png.
    """
    with guarded(debug):
        _make_folder(out)
        if clip:
            from .demo_clip import show_clip, write_clip

            with quiet_stdout():
                written = write_clip(out, frames)
            return print_json(written) if as_json else show_clip(written)
        with quiet_stdout():
            options.check_device(device)

            from ..bundles import load_bundle
            from .demo_interpolation import interpolate_demo
            from .demo_tracking import track_demo

            load_bundle(interpolator)  # what is wrong with the second half shows before the first

            tracked = track_demo(
                model, out / TRACKED, frames=frames, runtime=runtime, device=device, threads=threads
            )
            made = interpolate_demo(
                interpolator, out / TWICE, frames=frames, runtime=runtime, device=device, threads=threads
            )
            _write_sheet(out / SHEET, tracked, made)
        outputs = [out / TRACKED, out / TWICE, out / SHEET]
        if as_json:
            print_json(_report(tracked, made, outputs))
        else:
            _show(tracked, made, outputs)


def _report(tracked: TrackingDemo, made: InterpolationDemo, outputs: list[Path]) -> dict[str, Any]:
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
        "interpolate": {
            "model": made.model,
            "frames": made.frames,
            "fps": made.fps,
            "psnr_db": made.psnr_db,
            "blend_psnr_db": made.blend_psnr_db,
        },
        "outputs": outputs,
    }


def _show(tracked: TrackingDemo, made: InterpolationDemo, outputs: list[Path]) -> None:
    from rich.table import Table

    table = Table()
    table.add_column("task")
    for heading in ("frames", "FPS", "quality"):
        table.add_column(heading, justify="right")
    rows = (
        ("tracking", tracked, f"mean IoU {tracked.mean_iou:.3f}, lost in {tracked.lost}"),
        ("interpolation", made, f"PSNR {made.psnr_db:.2f} dB, a blend {made.blend_psnr_db:.2f}"),
    )
    for task, half, quality in rows:
        fps = "" if half.fps is None else f"{half.fps:,.0f}"
        table.add_row(task, str(half.frames), fps, quality)
    models = f"{tracked.model} and {made.model}, {tracked.runtime} on {tracked.device}"
    show(f"{models}; FPS: of the engine alone", table, f"wrote {', '.join(map(str, outputs))}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"--out {folder} cannot be made ({error.strerror})", "Give another folder."
        ) from error


def _write_sheet(path: Path, tracked: TrackingDemo, made: InterpolationDemo) -> None:
    from ..vision import contact_sheet, encode_image

    pictures, titles = [*tracked.pictures, *made.pictures], [*tracked.titles, *made.titles]
    sheet = contact_sheet(pictures, SHEET_COLUMNS, titles, cell_width=SHEET_CELL)
    with replacing(path) as temporary:
        temporary.write_bytes(encode_image(sheet, "png"))
