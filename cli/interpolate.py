"""``framestate interpolate``: more frames for a video, by a factor, for a rate, or for slow motion."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import files, options
from .output import guarded, note, print_json, quiet_stdout, show, warn

if TYPE_CHECKING:
    from ..engine import InterpolationOptions, OutputOptions, VideoRun


def interpolate(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A video file, a folder of numbered images, or - for a pipe.")
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="The video to write: .mp4, .mkv, .mov, .webm, ..., or - for a pipe."
        ),
    ],
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
        typer.Option(
            "--slow-motion", metavar="N", help="Play N times slower; sound is left out without --audio."
        ),
    ] = None,
    scale: Annotated[
        str, typer.Option("--scale", metavar="S", help="Size at which motion is found: auto, 1, 0.5, 0.25.")
    ] = "auto",
    codec: files.Codec = None,
    crf: files.Crf = None,
    preset: files.Preset = None,
    bitrate: files.Bitrate = None,
    pixel_format: files.PixelFormat = None,
    without: Annotated[
        str,
        typer.Option("--without", metavar="A,B", help="Do not copy: audio, subtitle, attachment."),
    ] = "",
    audio: Annotated[
        str,
        typer.Option(
            "--audio",
            metavar="copy|NAME",
            help="Copy sound, or encode it: aac, opus, mp3, flac, ...; slow motion stretches it then.",
        ),
    ] = "copy",
    stream: files.Stream = None,
    image_rate: files.ImageRate = "25",
    deinterlace: files.Deinterlace = "auto",
    cuts: Annotated[
        bool, typer.Option("--cuts/--no-cuts", help="Find scene cuts, across which nothing is blended.")
    ] = True,
    duplicates: Annotated[
        bool, typer.Option("--duplicates/--no-duplicates", help="Find frames that repeat the one before.")
    ] = True,
    dedup: Annotated[
        bool,
        typer.Option(
            "--dedup",
            help="Leave duplicates out and make frames in their place: animation on twos, telecine.",
        ),
    ] = False,
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
            files.check_video_output("OUT", target, source)

            from ..engine import InterpolationOptions, OutputOptions

            wanted = InterpolationOptions.of(
                factor, fps, slow_motion, scale, cuts=cuts, duplicates=duplicates, lookahead=True
            )
            kinds = [part.strip() for part in without.split(",") if part.strip()]
            output = OutputOptions(
                files.encoding(codec, crf, preset, bitrate, pixel_format), kinds, dedup, audio
            )
            reading = files.Reading.of(stream, image_rate, deinterlace)
            began = time.perf_counter()
            run, where = _run(source, reading, target, wanted, output, model, runtime, device, threads, lanes)
            seconds = time.perf_counter() - began
            for words in run.notes:
                note(f"note: {words}")
            if run.broken_packets:
                warn(
                    f"{run.broken_packets} broken packets of {source} were skipped; what they held is missing"
                )
        is_taken = str(target) == files.STANDARD  # stdout holds the video
        if as_json:
            print_json(_report(run, where, seconds, target), on_stderr=is_taken)
        else:
            _show(run, where, seconds, source, target, is_taken)


def _run(
    source: Path,
    reading: files.Reading,
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

    from ..engine import Interpolating, expected_frames, for_unique, interpolate_video
    from .follow import load
    from .progress import frames_bar

    with reading.open(source, threads, exact_colour=True, deep=True, keep=True) as reader:
        side_by_side, within = options.spread(
            lanes, threads, reader.width * reader.height, wanted.tile_pixels
        )
        cv2.setNumThreads(within)  # OpenCV finds the flow that a model starts from
        if output.dedup:
            wanted = for_unique(wanted, reader)
        sessions = 2 if reader.has_alpha else 1  # opacity is interpolated as the colours are
        with (
            load(
                model, Interpolating, runtime=runtime, device=device, threads=within, capacity=sessions
            ) as engine,
            engine.open(options=wanted) as session,
            engine.open(options=wanted) if sessions > 1 else nullcontext() as masks,
            frames_bar(f"interpolating {source.name}", expected_frames(reader, wanted)) as bar,
        ):
            where = {"model": model, "runtime": engine.runtime.name, "device": engine.runtime.device}
            if engine.runtime.device != "cpu":
                side_by_side = 1
            run = interpolate_video(session, reader, target, output, bar.advance, side_by_side, masks)
            return run, where


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
        "fps_made": counts.made / seconds,
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


def _show(
    run: VideoRun, where: dict[str, str], seconds: float, source: Path, target: Path, on_stderr: bool
) -> None:
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
        on_stderr=on_stderr,
    )
