"""`VideoReader`: frames of a video file, or of a folder of numbered images, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ..errors import OptionError, VideoError
from .container import ContainerSource, Picture
from .extras import Extras
from .folder import AnimationSource, FolderSource, is_animation, is_pattern
from .frame import Frame
from .images import MAX_PIXELS
from .look import Look
from .opening import Local


class _Source(Protocol):
    """Where pictures come from; `broken` counts what was passed over so far."""

    broken: int
    rate: Fraction
    time_base: Fraction
    count: int | None
    look: Look
    stream: int
    shift: Fraction
    is_interlaced: bool
    is_deep: bool
    has_alpha: bool
    is_finely_coloured: bool
    extras: Extras

    @property
    def notes(self) -> list[str]: ...

    @property
    def told_end(self) -> Fraction | None: ...

    def pictures(self) -> Iterator[Picture]: ...

    def close(self) -> None: ...


class VideoReader:
    """Reads a video lazily as `Frame`s, holding only what the decoder needs, however long the video is.

    ::

        with VideoReader("clip.mp4") as frames:
            for frame in frames:
                ...

    * Every pixel format becomes RGB uint8; 10 and 12 bits are reduced to 8 by PyAV (libswscale), unless
      ``deep`` asks for uint16. HDR stays in its own coding, PQ or HLG. Colours
      follow the stream's own tags; where it has none, BT.709 from 720 lines or 1280 columns up and BT.601
      below, as players do. Display matrices (rotated, mirrored) are applied; pixels are taken as square.
    * A packet that cannot be read or decoded, a picture that the decoder marks as damaged, and an image of a
      folder that does not decode are counted in `broken_packets` and skipped. They leave a gap in the pts.
    * The pts strictly increase and start at 0 or later. A video that starts below 0 is shifted as a whole,
      and so is one whose clock starts anywhere: MPEG-TS, and any other file in which nothing happens in the
      first second. A missing pts is one frame after the last, one that does not increase one tick after it.
      Where the times of a file start again, what follows goes on one frame after the last.
    * Iterating again starts over. A frame whose size differs from the first is handed on as it is.

    The first frame is decoded on opening, so a file from which nothing can be had fails there and then.

    Args:
        path: a video file, a folder of images (.jpg, .png, .webp, .tif, .bmp), taken in the order of their
            numbers, or a pattern for them (frames/%04d.png). What comes through a pipe (``-`` is standard
            input) is copied to a temporary file first.
        threads: decoder threads; by default as many as there are cores, and 4 at most.
        image_rate: frames a second of a folder of images.
        max_pixels: largest frame accepted, in pixels.
        exact_colour: convert with interpolated chroma and exact rounding. It takes about ten times as long
            (1.8 ms against 0.15 ms for 854 x 480); the fast way is about one level in 255 too dark.
        stream: index of the video stream in its file; by default the one that players show.
        deep: hand out uint16 (0 to 65535) where the source has more than 8 bits a component.
        mask: hand out the opacity of each frame as a grey picture instead of its colours.
        one_size: refuse images of a folder whose heads say different sizes.
        keep: hand out, beside RGB, each picture as it is stored, which `VideoWriter` can store again.
        deinterlace: weave frames that are marked as interlaced, by FFmpeg's bwdif; a frame stays a frame.

    Raises:
        VideoError: missing, not a video, without a video stream, too large, or nothing in it decodes.
        OptionError: a number is not positive, or there is no such stream.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        image_rate: Fraction | int = 25,
        max_pixels: int = MAX_PIXELS,
        exact_colour: bool = False,
        stream: int | None = None,
        deinterlace: bool = False,
        deep: bool = False,
        mask: bool = False,
        one_size: bool = False,
        keep: bool = False,
    ) -> None:
        for name, value in (("threads", threads), ("image_rate", image_rate), ("max_pixels", max_pixels)):
            if value is not None and value <= 0:
                raise OptionError(f"{name} is {value}, and must be positive", "Give a number above 0.")
        self.path = Path(path)
        self._threads = threads
        self._image_rate = Fraction(image_rate)
        self._max_pixels = max_pixels
        self._exact_colour = exact_colour
        self._wanted, self._deinterlace, self._deep, self._mask = stream, deinterlace, deep, mask
        self._one_size, self._keep = one_size, keep
        self._local = Local(self.path)
        self.file = self._local.path
        """Where the video can be opened again: `path`, or the copy of what came through a pipe."""
        self.end: Fraction | None = None
        """When the last frame handed out goes, in seconds, where the file says how long it lasts."""
        try:
            self._source = self._open()
            self._pictures = self._source.pictures()
            first = next(self._pictures, None)
        except VideoError as error:  # which names the copy of what came through a pipe
            self._local.close()
            raise VideoError(error.problem.replace(str(self.file), str(self.path)), error.remedy) from None
        except BaseException:
            self._local.close()
            raise
        if first is None:
            broken = self._source.broken
            self._source.close()
            self._local.close()
            raise VideoError(
                f"Nothing in {self.path} decodes ({broken} broken packets, 0 frames)",
                "Check that the file is complete, or make it again.",
            )
        self.height, self.width = first.image.shape[:2]
        self.shift = self._source.shift + max(-(first.pts or 0), 0) * self._source.time_base
        """Seconds added to all times of the file, because they start below 0, or anywhere."""
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
    def stream(self) -> int:
        """Index of the video stream in its file."""
        return self._source.stream

    @property
    def notes(self) -> list[str]:
        """What is out of the ordinary in the file as far as it was read, for people: a sentence each."""
        return self._source.notes

    @property
    def is_deep(self) -> bool:
        """Whether frames are uint16."""
        return self._source.is_deep

    @property
    def has_alpha(self) -> bool:
        """Whether something may show through the frames; ``mask`` reads what."""
        return self._source.has_alpha

    @property
    def extras(self) -> Extras:
        """What frames so far carry beside their pixels, and no other video can be given."""
        return self._source.extras

    @property
    def is_finely_coloured(self) -> bool:
        """False where the colours were coarser than the look says: JPEG and grey images."""
        return self._source.is_finely_coloured

    @property
    def is_interlaced(self) -> bool:
        """Whether any frame so far was marked as interlaced."""
        return self._source.is_interlaced

    @property
    def deinterlaces(self) -> bool:
        """Whether interlaced frames are woven."""
        return self._deinterlace

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

    def masks(self) -> VideoReader:
        """A reader of the same frames' opacity, of its own, as grey pictures."""
        return VideoReader(
            self.file,
            threads=self._threads,
            image_rate=self._image_rate,
            max_pixels=self._max_pixels,
            stream=self._wanted,
            deinterlace=self._deinterlace,
            deep=self._deep,
            mask=True,
        )

    def close(self) -> None:
        """Free the decoder and the file; frames already handed out stay good."""
        self._is_closed = True
        self._source.close()
        self._local.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> _Source:
        if self.file.is_dir() or is_pattern(self.file):
            return FolderSource(
                self.file,
                rate=self._image_rate,
                max_pixels=self._max_pixels,
                deep=self._deep,
                mask=self._mask,
                one_size=self._one_size,
            )
        if is_animation(self.file):
            return AnimationSource(self.file, max_pixels=self._max_pixels, mask=self._mask)
        return ContainerSource(
            self.file,
            threads=self._threads,
            max_pixels=self._max_pixels,
            exact_colour=self._exact_colour,
            stream=self._wanted,
            deinterlace=self._deinterlace,
            deep=self._deep,
            mask=self._mask,
            keep=self._keep,
        )

    def _frames(self, pictures: Iterator[Picture], source: _Source) -> Iterator[Frame]:
        clock = _Clock(1 / (source.rate * source.time_base))
        for index, picture in enumerate(pictures):
            stamp = clock.stamp(picture.pts)
            self.end = (stamp + picture.duration) * source.time_base if picture.duration else None
            yield Frame(picture.image, stamp, source.time_base, index, picture.stored)
        self.end = source.told_end or self.end


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
