"""``framestate run``: any recurrent model over a video, its pictures or numbers into a file."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import options
from .output import guarded, print_json, quiet_stdout, show, warn

if TYPE_CHECKING:
    from .follow import Watch

SUFFIXES = (*options.VIDEO_SUFFIXES, ".npz", ".jsonl")


def run(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The folder of a bundle, as 'framestate adopt' makes it.")
    ],
    video: Annotated[
        Path, typer.Argument(metavar="VIDEO", help="A video file, or a folder of numbered images.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Pictures as .mp4, .mkv or .mov; tensors as .npz; a line of numbers a frame as .jsonl.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            metavar="NAME",
            help="Which output.",
            show_default="the first picture; all tensors",
        ),
    ] = None,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    precision: options.PrecisionName = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Run your own recurrent model over a video.

    State goes from frame to frame. The model's manifest says how frames are seen and what comes out.
    """  # fmt: skip
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            options.check_output("--out", out, SUFFIXES)
            options.check_apart("--out", out, video)
            began = time.perf_counter()
            where, watch, broken = _run(model, video, out, output, runtime, device, threads, precision)
            if broken:
                warn(f"{broken} broken packets of {video} were skipped")
            seconds = time.perf_counter() - began
        if as_json:
            report: dict[str, Any] = {**where, "frames": watch.frames, "fps": watch.fps}
            print_json({**report, "broken_packets": broken, "seconds": seconds, "outputs": [out]})
        else:
            speed = "" if watch.fps is None else f"; the model alone {watch.fps:,.0f} FPS"
            ran = f"({', '.join(where.values())})"
            show(f"{video.name}: {watch.frames} frames in {seconds:.1f} s{speed} {ran}", f"wrote {out}")


def _run(
    model: str,
    video: Path,
    out: Path,
    output: str | None,
    runtime: str,
    device: str,
    threads: int | None,
    precision: str | None,
) -> tuple[dict[str, str], Watch, int]:
    """What ran it, what it took, and how many broken packets there were."""
    from ..engine import Engine
    from ..vision import ReadAhead, VideoReader
    from .follow import Watch, answers
    from .progress import frames_bar
    from .run_sinks import SINKS

    watch = Watch()
    with ExitStack() as stack:
        engine = stack.enter_context(
            Engine.load(
                model, runtime=runtime, device=device, threads=threads, precision=precision, capacity=1
            )
        )
        if engine.task.opens_on_frame:
            raise OptionError(
                f"a session of {engine.task.name} begins with a target, which run does not name",
                "use framestate track",
            )
        reader = stack.enter_context(VideoReader(video, threads=threads))
        sink = stack.enter_context(SINKS[out.suffix.lower()](out, reader, output))
        bar = stack.enter_context(frames_bar(f"running over {video.name}", reader.frame_count))
        frames = stack.enter_context(ReadAhead(reader))
        for frame, (answer,) in answers(frames, [stack.enter_context(engine.open())], watch):
            sink(frame, answer)
            bar.advance()
        where = {"model": model, "runtime": engine.runtime.name, "device": engine.runtime.device}
        return where, watch, reader.broken_packets
