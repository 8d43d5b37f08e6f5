"""Options that verbs about videos share: which stream is read, and how a video is written."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OptionError
from . import options

if TYPE_CHECKING:
    from ..vision import Encoding, VideoReader

STANDARD = "-"
"""Standard input as a video to read, standard output as one to write."""

Stream = Annotated[
    int | None,
    typer.Option(
        "--stream",
        metavar="N",
        min=0,
        show_default="the one that players show",
        help="Which stream of the file is the video, by the number that ffprobe gives it.",
    ),
]
ImageRate = Annotated[
    str,
    typer.Option("--image-rate", metavar="F", help="Frames a second of a folder of images: 24, 23.976."),
]
Deinterlace = Annotated[
    str,
    typer.Option(
        "--deinterlace", metavar="auto|off", help="Weave frames that are marked as interlaced (bwdif)."
    ),
]
Codec = Annotated[
    str | None,
    typer.Option(
        "--codec",
        metavar="NAME",
        help="An FFmpeg encoder: libx265, libsvtav1, prores_ks, ffv1, dnxhd, h264_nvenc, ...",
        show_default="libx264; libx265 from 9 bits up; libvpx-vp9 for .webm",
    ),
]
Crf = Annotated[
    int | None,
    typer.Option(
        "--crf",
        min=0,
        max=63,
        help="Quality: 0 is best, 18 looks like the source; for encoders that have it.",
        show_default="18",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="How long the encoder takes over it, by its own names: slow, p5, 6.",
        show_default="veryfast for libx264 and libx265",
    ),
]
Bitrate = Annotated[
    str | None, typer.Option("--bitrate", metavar="N", help="Bits a second instead of a quality: 8M, 800k.")
]
PixelFormat = Annotated[
    str | None,
    typer.Option(
        "--pix-fmt",
        metavar="NAME",
        help="The pixel format to write, as FFmpeg names it: yuv420p, yuv422p10le.",
        show_default="the encoder's nearest to the source's",
    ),
]


@dataclass(frozen=True)
class Reading:
    """How a video is read.

    Raises:
        OptionError: a rate or a word that is none.
    """

    stream: int | None = None
    image_rate: Fraction = Fraction(25)
    deinterlace: bool = False

    @classmethod
    def of(cls, stream: int | None, image_rate: str, deinterlace: str = "off") -> Reading:
        """From options as they were typed."""
        from ..engine.interpolation.options import as_rate

        if deinterlace not in ("auto", "off"):
            raise OptionError(f"--deinterlace {deinterlace} is unknown", "Choose auto or off.")
        rate = as_rate("--image-rate", image_rate)
        if rate <= 0:
            raise OptionError(f"--image-rate is {image_rate}", "Give frames a second, more than 0.")
        return cls(stream, rate, deinterlace == "auto")

    def open(
        self,
        path: Path,
        threads: int | None,
        *,
        exact_colour: bool = False,
        deep: bool = False,
        keep: bool = False,
    ) -> VideoReader:
        """The video at ``path``. Raises VideoError, OptionError."""
        from ..vision import VideoReader

        return VideoReader(
            path,
            threads=threads,
            image_rate=self.image_rate,
            exact_colour=exact_colour,
            stream=self.stream,
            deinterlace=self.deinterlace,
            deep=deep,
            one_size=True,
            keep=keep,
        )


def encoding(
    codec: str | None, crf: int | None, preset: str | None, bitrate: str | None, pixel_format: str | None
) -> Encoding:
    """How a video is written, from options as they were typed. Raises OptionError."""
    from ..vision import Encoding

    bits = None
    if bitrate is not None:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", bitrate)
        bits = round(float(match[1]) * {"": 1, "k": 1e3, "m": 1e6}[match[2].lower()]) if match else 0
        if not 1000 <= bits < 2**31:
            raise OptionError(f"--bitrate is {bitrate}", "Give bits a second, such as 8M or 800k.")
    return Encoding(codec, crf, preset, bits, pixel_format)


def check_video_output(option: str, path: Path, *sources: Path) -> None:
    """See that a video can be written at ``path``: a file beside the sources and none of them, or a pipe.

    Raises:
        OptionError: it cannot, or standard output is a terminal.
    """
    from ..vision.opening import NUMBERED, is_pipe

    if is_pipe(path):
        if str(path) == STANDARD and sys.__stdout__ is not None and sys.__stdout__.isatty():
            raise OptionError(f"{option} is standard output, a terminal", "Pipe it on, or give a file name.")
        return
    is_sequence = bool(NUMBERED.search(path.name))
    options.check_output(option, path, () if is_sequence else options.VIDEO_SUFFIXES)
    for source in sources:
        options.check_apart(option, path, source)
        folder = source if source.is_dir() else source.parent if NUMBERED.search(source.name) else None
        if is_sequence and folder is not None and folder.resolve() == path.parent.resolve():
            raise OptionError(
                f"{option} {path} would overwrite images of the input {source}", "Give another folder."
            )
