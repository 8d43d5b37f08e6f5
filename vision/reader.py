"""`VideoReader`: frames of a video file, or of a folder of numbered images, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ..errors import ImageError, OptionError, VideoError
from .container import ContainerSource
from .frame import Frame
from .images import IMAGE_SUFFIXES, MAX_PIXELS, by_number, decode_image
from .look import Look
from .pixels import Image


class _Source(Protocol):
    """Where pictures come from; `broken` counts what was passed over so far."""

    broken: int
    rate: Fraction
    time_base: Fraction
    count: int | None
    look: Look

    def pictures(self) -> Iterator[tuple[Image, int | None]]: ...

    def close(self) -> None: ...


class VideoReader:
    """Reads a video lazily as `Frame`s, holding only what the decoder needs, however long the video is.

    ::

        with VideoReader("clip.mp4") as frames:
            for frame in frames:
                ...

    * Every pixel format becomes RGB uint8; 10 and 12 bits are reduced to 8 by PyAV (libswscale). Colours
      follow the stream's own tags, and BT.601 where it has none. Display rotation is applied; pixels are
      taken as square.
    * A packet that cannot be read or decoded, a picture that the decoder marks as damaged, and an image of a
      folder that does not decode are counted in `broken_packets` and skipped. They leave a gap in the pts.
    * The pts strictly increase and start at 0 or later: a video that starts below 0 is shifted as a whole, a
      missing pts is one frame after the last, and one that does not increase is one tick after the last.
    * Iterating again starts over. A frame whose size differs from the first is handed on as it is.

    The first frame is decoded on opening, so a file from which nothing can be had fails there and then.

    Args:
        path: a video file, or a folder of .jpg, .png and .webp files, taken in the order of their numbers.
        threads: decoder threads; by default as many as there are cores, and 4 at most.
        image_rate: frames a second of a folder of images.
        max_pixels: largest frame accepted, in pixels.
        exact_colour: convert with interpolated chroma and exact rounding. It takes about ten times as long
            (1.8 ms against 0.15 ms for 854 x 480); the fast way is about one level in 255 too dark.

    Raises:
        VideoError: missing, not a video, without a video stream, too large, or nothing in it decodes.
        OptionError: a number is not positive.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        image_rate: Fraction | int = 25,
        max_pixels: int = MAX_PIXELS,
        exact_colour: bool = False,
    ) -> None:
        for name, value in (("threads", threads), ("image_rate", image_rate), ("max_pixels", max_pixels)):
            if value is not None and value <= 0:
                raise OptionError(f"{name} is {value}, and must be positive", "Give a number above 0.")
        self.path = Path(path)
        self._threads = threads
        self._image_rate = Fraction(image_rate)
        self._max_pixels = max_pixels
        self._exact_colour = exact_colour
        self._source = self._open()
        self._pictures = self._source.pictures()
        first = next(self._pictures, None)
        if first is None:
            broken = self._source.broken
            self._source.close()
            raise VideoError(
                f"Nothing in {self.path} decodes ({broken} broken packets, 0 frames)",
                "Check that the file is complete, or make it again.",
            )
        self.height, self.width = first[0].shape[:2]
        self.shift = max(-(first[1] or 0), 0) * self._source.time_base
        """Seconds added to all times of the file, because they start below 0."""
        self._pictures = chain([first], self._pictures)
        self._is_fresh = True
        self._is_closed = False

    @property
    def frame_rate(self) -> Fraction:
        """Average frames a second, as the container states it (25 where it does not)."""
        return self._source.rate

    @property
    def time_base(self) -> Fraction:
        """Seconds a tick of `Frame.pts`."""
        return self._source.time_base

    @property
    def frame_count(self) -> int | None:
        """How many frames to expect: what the container says or its duration suggests; None if neither."""
        return self._source.count

    @property
    def look(self) -> Look:
        """How the file stores its pictures; of a folder of images, as most videos do."""
        return self._source.look

    @property
    def broken_packets(self) -> int:
        """Packets, pictures or images skipped so far in this pass because they were damaged."""
        return self._source.broken

    def __iter__(self) -> Iterator[Frame]:
        if self._is_closed:
            raise VideoError(f"The reader of {self.path} is closed", "Open the video again.")
        if not self._is_fresh:
            self._source.close()
            self._source = self._open()
            self._pictures = self._source.pictures()
        self._is_fresh = False
        return self._frames(self._pictures, self._source)

    def close(self) -> None:
        """Free the decoder and the file; frames already handed out stay good."""
        self._is_closed = True
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> _Source:
        if not self.path.exists():
            raise VideoError(f"{self.path} does not exist", "Check the path of the video.")
        if self.path.is_dir():
            return _FolderSource(self.path, rate=self._image_rate, max_pixels=self._max_pixels)
        return ContainerSource(
            self.path,
            threads=self._threads,
            max_pixels=self._max_pixels,
            exact_colour=self._exact_colour,
        )

    @staticmethod
    def _frames(pictures: Iterator[tuple[Image, int | None]], source: _Source) -> Iterator[Frame]:
        clock = _Clock(1 / (source.rate * source.time_base))
        for index, (image, pts) in enumerate(pictures):
            yield Frame(image, clock.stamp(pts), source.time_base, index)


class _FolderSource:
    """The images of a folder in the order of their numbers, a tick of ``1 / rate`` apart."""

    def __init__(self, path: Path, *, rate: Fraction, max_pixels: int) -> None:
        self.broken = 0
        self.rate = rate
        self.time_base = 1 / rate
        self.look = Look()
        self._max_pixels = max_pixels
        found = (one for one in path.iterdir() if one.suffix.lower() in IMAGE_SUFFIXES)
        self._files = sorted(found, key=lambda one: by_number(one.name))
        self.count: int | None = len(self._files)
        if not self._files:
            raise VideoError(
                f"The folder {path} holds no images",
                f"Put numbered {', '.join(IMAGE_SUFFIXES)} files into it.",
            )

    def pictures(self) -> Iterator[tuple[Image, int | None]]:
        for place, file in enumerate(self._files):
            try:
                image = decode_image(file.read_bytes(), max_pixels=self._max_pixels)
            except (ImageError, OSError):
                self.broken += 1
                continue
            yield image, place

    def close(self) -> None:
        self._files = []


class _Clock:
    """Turns a stream's own times into pts that start at 0 or later and strictly increase."""

    def __init__(self, step: Fraction) -> None:
        self._step = max(step, Fraction(1))  # ticks a frame, for times that are missing
        self._shift = 0
        self._last: int | None = None

    def stamp(self, pts: int | None) -> int:
        if self._last is None:
            self._shift = max(-pts, 0) if pts is not None else 0
            self._last = (pts or 0) + self._shift
        elif pts is None:
            self._last += round(self._step)
        else:
            self._last = max(pts + self._shift, self._last + 1)
        return self._last
