"""``framestate classify``: what a video or pictures show, frame by frame, smoothed over time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from . import options
from .output import guarded, print_json, quiet_stdout, replacing, show, warn

if TYPE_CHECKING:
    from ..engine import Classification
    from ..vision import Frame
    from .follow import Watch

COLUMNS = ("source", "frame", "pts", "rank", "label", "probability", "frame_probability")


@dataclass
class Seen:
    """What a run came to: the frames' answers in the order they came, by source, and what it took.

    Attributes:
        labels: frames whose label was this one, by label.
        last: the top labels of the last frame of each source.
        watch: frames, and seconds inside the engine.
    """

    runtime: str
    device: str
    watch: Watch
    broken_packets: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    last: dict[Path, list[tuple[str, float]]] = field(default_factory=dict)


Sink = Callable[[Path, "Frame", "Classification"], None]


def classify(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO|DIR|IMAGE...", help="A video, a folder of numbered images, or images."),
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|DIR", help="The folder of a classifier's bundle.")
    ],
    top: Annotated[
        int, typer.Option("--top", metavar="K", min=1, help="Labels to tell, likeliest first.")
    ] = 3,
    smoothing: Annotated[
        float,
        typer.Option("--smoothing", metavar="S", help="Seconds over which frames fade; 0: each frame alone."),
    ] = 0.5,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write the labels as CSV.")
    ] = None,
    runtime: options.RuntimeName = "auto",
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Say what a video or pictures show, as labels.

    The frames of a video are smoothed over time; each picture given by name is a source of its own.
    """
    with guarded(debug):
        with quiet_stdout():
            options.check_device(device)
            if out is not None:
                options.check_output("--out", out, (".csv",))
                for source in sources:
                    options.check_apart("--out", out, source)

            from ..engine import ClassificationOptions

            chosen = ClassificationOptions(smoothing)
            if len(set(sources)) != len(sources):
                raise OptionError("a source is given twice", "give each once")
            seen = _run(sources, model, chosen, top, out, runtime, device, threads)
            if seen.broken_packets:
                warn(f"{seen.broken_packets} broken packets were skipped")
        if as_json:
            print_json(_report(seen, model, out))
        else:
            _show(seen, model, out)


def _run(
    sources: list[Path],
    model: str,
    chosen: Any,
    top: int,
    out: Path | None,
    runtime: str,
    device: str,
    threads: int | None,
) -> Seen:
    from ..engine import Classifying
    from .follow import Watch, answers, load
    from .progress import frames_bar

    with ExitStack() as stack:
        engine = stack.enter_context(
            load(
                model,
                Classifying,
                runtime=runtime,
                device=device,
                threads=threads,
                capacity=1,
                options=chosen,
            )
        )
        sinks: list[Sink] = [stack.enter_context(labels_csv(out, top))] if out is not None else []
        seen = Seen(engine.runtime.name, engine.runtime.device, Watch())
        for source in sources:
            with engine.open() as session, frames_of(source, threads) as (frames, count, broken):
                with frames_bar(f"classifying {source.name}", count) as bar:
                    for frame, (answer,) in answers(frames, [session], seen.watch):
                        seen.labels[answer.label] = seen.labels.get(answer.label, 0) + 1
                        seen.last[source] = answer.top(top)
                        for sink in sinks:
                            sink(source, frame, answer)
                        bar.advance()
                seen.broken_packets += broken()
        return seen


@contextmanager
def frames_of(
    source: Path, threads: int | None
) -> Iterator[tuple[Iterator[Frame], int | None, Callable[[], int]]]:
    """The frames of a source, how many there may be, and what tells the broken packets.

    Raises:
        ImageError, VideoError: it cannot be read.
    """
    from fractions import Fraction

    from ..vision import Frame, VideoReader, decode_image

    if source.suffix.lower() in options.IMAGE_SUFFIXES and source.is_file():
        yield iter([Frame(decode_image(source.read_bytes()), 0, Fraction(1, 25), 0)]), 1, lambda: 0
        return
    with VideoReader(source, threads=threads) as reader:
        yield iter(reader), reader.frame_count, lambda: reader.broken_packets


@contextmanager
def labels_csv(path: Path, top: int) -> Iterator[Sink]:
    """``top`` lines a frame, likeliest label first; ``path`` appears when the block ends well.

    ``probability`` is smoothed over time, ``frame_probability`` is that of the frame alone.

    Raises:
        RunError: the file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)

        def write(source: Path, frame: Frame, answer: Classification) -> None:
            for rank, (label, probability) in enumerate(answer.top(top), start=1):
                alone = float(answer.frame[answer.labels.index(label)])
                rows.writerow(
                    [source, frame.index, frame.pts, rank, label, f"{probability:.4f}", f"{alone:.4f}"]
                )

        yield write


def _report(seen: Seen, model: str, out: Path | None) -> dict[str, Any]:
    return {
        "model": model,
        "runtime": seen.runtime,
        "device": seen.device,
        "frames": seen.watch.frames,
        "fps": seen.watch.fps,
        "broken_packets": seen.broken_packets,
        "labels": seen.labels,
        "sources": [
            {"source": source, "top": [{"label": label, "probability": p} for label, p in tops]}
            for source, tops in seen.last.items()
        ],
        "outputs": [] if out is None else [out],
    }


def _show(seen: Seen, model: str, out: Path | None) -> None:
    from rich.table import Table

    table = Table()
    table.add_column("source")
    table.add_column("at its last frame")
    for source, tops in seen.last.items():
        table.add_row(source.name, ", ".join(f"{label} {p:.2f}" for label, p in tops))
    counts = sorted(seen.labels.items(), key=lambda entry: -entry[1])
    speed = f"{seen.watch.fps:,.0f} FPS; " if seen.watch.fps else ""
    show(
        f"{seen.watch.frames} frames ({speed}{model}, {seen.runtime} on {seen.device})",
        table,
        "labels of the frames: " + ", ".join(f"{label} {count}" for label, count in counts),
        *([] if out is None else [f"wrote {out}"]),
    )
