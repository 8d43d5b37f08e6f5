"""``framestate interpolate``: more frames for a video, by a factor, for a rate, or for slow motion."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .output import guarded, note, print_json, quiet_stdout, show, warn

if TYPE_CHECKING:
    from ..engine import InterpolationOptions, OutputOptions, VideoRun


def interpolate(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A video file, or a folder of numbered images.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The video to write: .mp4, .mkv, .mov.")],
    factor: Annotated[
        str | None,
        typer.Option(
            "--factor", metavar="N", help="Frames out for each frame in: 2 (the default), 2.5, 5/2."
        ),
    ] = None,
    fps: Annotated[
        str | None, typer.Option("--fps", metavar="F", help="An even rate instead: 60, 23.976, 30000/1001.")
    ] = None,
    slow_motion: Annotated[
        str | None,
        typer.Option("--slow-motion", metavar="N", help="Play N times slower; the audio is left out."),
    ] = None,
    scale: Annotated[
        str, typer.Option("--scale", metavar="S", help="Size at which motion is found: auto, 1, 0.5, 0.25.")
    ] = "auto",
    codec: Annotated[str, typer.Option("--codec", metavar="NAME", help="An FFmpeg encoder.")] = "libx264",
    crf: Annotated[
        int, typer.Option("--crf", min=0, max=63, help="Quality: 0 is best; 18 looks like the source.")
    ] = 18,
    without: Annotated[
        str,
        typer.Option("--without", metavar="A,B", help="Do not copy: audio, subtitle, attachment."),
    ] = "",
    model: options.Model = options.DEFAULT_INTERPOLATOR,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    lanes: options.Lanes = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Make more frames for a video.

    Audio, subtitles, attachments, chapters and metadata are copied as they are.
    Nothing is blended across scene cuts; duplicates stay as they are.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            options.check_output("OUT", target, options.VIDEO_SUFFIXES)
            options.check_apart("OUT", target, source)

            from ..engine import InterpolationOptions, OutputOptions

            wanted = InterpolationOptions.of(factor, fps, slow_motion, scale, lookahead=True)
            kinds = [part.strip() for part in without.split(",") if part.strip()]
            output = OutputOptions(codec, crf, kinds)
            began = time.perf_counter()
            run, where = _run(source, target, wanted, output, model, runtime, device, threads, lanes)
            seconds = time.perf_counter() - began
            for words in run.notes:
                note(f"note: {words}")
            if run.broken_packets:
                warn(
                    f"{run.broken_packets} broken packets of {source} were skipped; what they held is missing"
                )
        if as_json:
            print_json(_report(run, where, seconds, target))
        else:
            _show(run, where, seconds, source, target)


def _run(
    source: Path,
    target: Path,
    wanted: InterpolationOptions,
    output: OutputOptions,
    model: str,
    runtime: str,
    device: str,
    threads: int | None,
    lanes: int | None,
) -> tuple[VideoRun, dict[str, str]]:
    """Interpolate behind a progress bar; returns what came of it, and what ran it."""
    import cv2

    from ..engine import Interpolating, expected_frames, interpolate_video
    from ..vision import VideoReader
    from .follow import load
    from .progress import frames_bar

    with VideoReader(source, threads=threads, exact_colour=True) as reader:
        side_by_side, within = options.spread(
            lanes, threads, reader.width * reader.height, wanted.tile_pixels
        )
        cv2.setNumThreads(within)  # OpenCV finds the flow that a model starts from
        with (
            load(model, Interpolating, runtime=runtime, device=device, threads=within, capacity=1) as engine,
            engine.open(options=wanted) as session,
            frames_bar(f"interpolating {source.name}", expected_frames(reader, wanted)) as bar,
        ):
            where = {"model": model, "runtime": engine.runtime.name, "device": engine.runtime.device}
            if engine.runtime.device != "cpu":
                side_by_side = 1
            return interpolate_video(session, reader, target, output, bar.advance, side_by_side), where


def peak_rss_mb() -> float | None:
    """The most memory this process has had, in MB of 10^6 bytes; None where nobody counts."""
    try:
        import resource
    except ImportError:  # not on this platform
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6)


def _report(run: VideoRun, where: dict[str, str], seconds: float, target: Path) -> dict[str, Any]:
    counts = run.counts
    return {
        **where,
        "frames_in": counts.frames_in,
        "frames_out": counts.frames_out,
        "frames_made": counts.made,
        "fps_out": float(run.rate),
        "fps": counts.frames_out / seconds,
        "scene_cuts": counts.scene_cuts,
        "duplicates": counts.duplicates,
        "pauses": counts.pauses,
        "scale": run.scale,
        "tiles": run.tiles,
        "streams_copied": run.streams,
        "broken_packets": run.broken_packets,
        "notes": run.notes,
        "peak_rss_mb": peak_rss_mb(),
        "seconds": seconds,
        "outputs": [target],
    }


def _show(run: VideoRun, where: dict[str, str], seconds: float, source: Path, target: Path) -> None:
    from rich.table import Table

    counts = run.counts
    table = Table()
    columns = {
        "frames in": counts.frames_in,
        "frames out": counts.frames_out,
        "made": counts.made,
        "scene cuts": counts.scene_cuts,
        "duplicates": counts.duplicates,
        "streams copied": run.streams,
    }
    for heading in columns:
        table.add_column(heading, justify="right")
    table.add_row(*(str(value) for value in columns.values()))
    rate = f"{float(run.rate):.3f}".rstrip("0").rstrip(".")
    show(
        f"{source.name}: {counts.frames_out} frames at {rate} a second in {seconds:.1f} s "
        f"({counts.frames_out / seconds:,.1f} FPS; {', '.join(where.values())})",
        table,
        f"wrote {target}",
    )
