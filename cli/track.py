"""``framestate track``: follow targets through a video, from their boxes in its first frame."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import detecting, files, options, span
from .output import guarded, note, print_json, quiet_stdout, show, warn

if TYPE_CHECKING:
    from .follow import Run

LIVE = frozenset(
    {
        "live",
        "show_page",
        "box",
        "model",
        "runtime",
        "device",
        "threads",
        "precision",
        "end",
        "as_json",
        "debug",
    }
    | {"detections", "detector", "detect_every", "classes", "detector_score"}
)
"""Parameters that a live source has a use for."""


def track(
    ctx: typer.Context,
    video: Annotated[
        Path | None,
        typer.Argument(
            metavar="VIDEO",
            help="A video file, a folder of numbered images, or - for a pipe.",
            show_default="that of --live",
        ),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            "--box",
            metavar="[T:]X,Y,W,H",
            help="A target in the first frame, in pixels, or at a time: 12.5s:X,Y,W,H or 300:X,Y,W,H "
            "(a frame); repeat it for more.",
            show_default="drawn by you, on a page that opens",
        ),
    ] = None,
    model: options.Model = options.DEFAULT_TRACKER,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    precision: options.PrecisionName = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write the video with the boxes.")
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            "--boxes",
            metavar="FILE",
            help="Where to write the boxes: CSV; .jsonl: JSON lines; .txt: MOT; .json: COCO-video.",
        ),
    ] = None,
    live: Annotated[
        str | None,
        typer.Option(
            "--live",
            metavar="SOURCE",
            help="A camera's number, rtsp://..., or a file at its own speed: a JSON line a frame on stdout, "
            "until --end.",
        ),
    ] = None,
    show_page: Annotated[
        bool,
        typer.Option(
            "--show",
            help="With --live: the server's page in a browser, where targets are drawn and put right.",
        ),
    ] = False,
    detections: detecting.File = None,
    detector: detecting.Model = None,
    detect_every: detecting.Rounds = 10,
    classes: detecting.Classes = "",
    detector_score: detecting.Score = 0.25,
    delay: detecting.Delay = 0,
    start: span.Start = None,
    end: span.End = None,
    every: span.Every = 1,
    stream: files.Stream = None,
    image_rate: files.ImageRate = "25",
    deinterlace: files.Deinterlace = "off",
    codec: files.Codec = None,
    crf: files.Crf = None,
    preset: files.Preset = None,
    bitrate: files.Bitrate = None,
    pixel_format: files.PixelFormat = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Follow things through a video.

    Each is given by its box, or found by a detector now and then. Without any, a page opens to draw a box.
    Without --out and --boxes, the annotated video goes to the working directory.
    """
    if video is None and live is None:
        raise typer.BadParameter("Name a file, or give --live SOURCE.", ctx=ctx, param_hint="VIDEO")
    with guarded(debug):
        lines = sys.stdout
        with quiet_stdout():
            from .seen import Region

            regions = [Region.of(text) for text in box or ()]
            options.check_device(device)
            if show_page and (live is None or detections is not None):
                raise OptionError(
                    "--show is for live sources, without --detections",
                    "Give --live FILE: a file is shown at its own speed.",
                )
            detect = detecting.detect_with(
                detections, detector, detect_every, classes, detector_score, device, threads
            )
            if delay and detect is None:
                raise OptionError(
                    "--delay waits for detections, and there are none",
                    "Give --detections or --detector, too.",
                )
            if live is not None:
                if not regions and detect is None and not show_page:
                    raise OptionError(
                        "nothing says what to follow", "Give --box, --detector, --detections or --show."
                    )
                if given := _without_use(ctx):
                    raise OptionError(
                        f"--live and {', '.join(given)} are given",
                        "Leave the rest out: a live source is read as it comes, and JSON lines go to stdout.",
                    )
                from .live import follow_live

                last = span.Place.of("--end", end)
                if last is not None and last.seconds is None:
                    raise OptionError(f"--end is {end}", "Give seconds: a live source has no frame numbers.")
                on: dict[str, Any] = {
                    "runtime": runtime,
                    "device": device,
                    "threads": threads,
                    "precision": precision,
                }
                seconds = None if last is None else float(last.seconds or 0)
                if show_page:
                    from .eval_shared import names_in
                    from .show import Finding, show_live

                    finding = Finding(detector, detect_every, names_in(classes), detector_score)
                    show_live(live, regions, model, finding, seconds=seconds, out=lines, **on)
                else:
                    follow_live(live, regions, model, detect, seconds=seconds, out=lines, **on)
                return
            assert video is not None, "or --live was given"
            no_output_named = out is None and boxes is None
            if no_output_named:
                stem = "stdin" if str(video) == files.STANDARD else video.resolve().stem
                out = Path(f"{stem}_tracked.mp4")
            outputs = _check_outputs(video, out, boxes)

            reading = files.Reading.of(stream, image_rate, deinterlace)
            part = span.Span.of(start, end, every)
            if not regions and detect is None:
                from .draw import draw_boxes

                regions = [Region(drawn) for drawn in draw_boxes(video, reading, part)]
            from .follow import follow

            run = follow(
                video,
                regions,
                model,
                runtime=runtime,
                device=device,
                threads=threads,
                precision=precision,
                out=out,
                boxes=boxes,
                reading=reading,
                span=part,
                encoding=files.encoding(codec, crf, preset, bitrate, pixel_format),
                detect=detect,
                delay=delay,
            )
            if no_output_named:
                note(f"without --out and --boxes, the annotated video went to {out}")
            for words in run.notes:
                note(f"note: {words}")
            if run.broken_packets:
                what = "broken packet was" if run.broken_packets == 1 else "broken packets were"
                warn(f"{run.broken_packets} {what} skipped in {video}; the targets were followed across")
        is_taken = str(out) == files.STANDARD  # stdout holds the video
        if as_json:
            print_json(_report(run, model, outputs), on_stderr=is_taken)
        else:
            _show(run, model, video, outputs, is_taken)


def _without_use(ctx: typer.Context) -> list[str]:
    """What was typed that has no use with ``--live``."""
    return [
        parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.opts[0].upper()
        for parameter in ctx.command.params
        if parameter.name not in LIVE
        and (source := ctx.get_parameter_source(parameter.name or "")) is not None
        and source.name == "COMMANDLINE"
    ]


def _check_outputs(video: Path, out: Path | None, boxes: Path | None) -> list[Path]:
    """The outputs that were asked for, once it is known that they can be written."""
    if out is not None:
        files.check_video_output("--out", out, video)
    if boxes is not None:
        options.check_output("--boxes", boxes)
        options.check_apart("--boxes", boxes, video)
    if out is not None and boxes is not None and out.resolve() == boxes.resolve():
        raise OptionError(f"--out and --boxes are both {out}", "Give two names.")
    return [path for path in (out, boxes) if path is not None]


def _report(run: Run, model: str, outputs: list[Path]) -> dict[str, Any]:
    return {
        "model": model,
        "runtime": run.runtime,
        "device": run.device,
        "frames": run.frames,
        "fps": run.fps,
        "seconds": run.seconds,
        "time_base": run.time_base,
        "broken_packets": run.broken_packets,
        "notes": run.notes,
        "targets": [
            {"target": number, "lost_frames": tally.lost, "mean_score": tally.mean_score}
            | ({} if tally.label is None else {"label": tally.label, "frames": tally.frames})
            for number, tally in sorted(run.targets.items())
        ],
        "outputs": outputs,
    }


def _show(run: Run, model: str, video: Path, outputs: list[Path], on_stderr: bool) -> None:
    from rich.table import Table

    speed = "" if run.fps is None else f"; tracking alone {run.fps:,.0f} FPS"
    table = Table()
    for heading in ("target", "lost frames", "mean score"):
        table.add_column(heading, justify="right")
    for number, tally in sorted(run.targets.items()):
        score = "" if tally.mean_score is None else f"{tally.mean_score:.2f}"
        table.add_row(str(number), str(tally.lost), score)
    where = f"{model}, {run.runtime} on {run.device}"
    show(
        f"{video.name}: {run.frames} frames in {run.seconds:.1f} s{speed} ({where})",
        table,
        f"wrote {', '.join(map(str, outputs))}",
        on_stderr=on_stderr,
    )
