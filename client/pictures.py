"""Frames of the caller as pictures of the wire: numbered, timed, encoded; and back"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..errors import FrameError, OptionError, WireError
from ..vision import Frame, Image, decode_image, encode_image
from ..wire import ENCODINGS, Encoding, Picture

FrameLike = Frame | Image | bytes
"""A ``Frame`` with its own index and time, a bare image (RGB uint8, height x width x 3), or an image file."""


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How images are sent.

    Attributes:
        encoding: ``jpeg`` and ``webp`` are small and lossy; ``png`` is exact; ``rgb`` is exact and fast, for
            a server on the same machine.
        quality: 1 to 100, of jpeg and webp.
    """

    encoding: Encoding = "jpeg"
    quality: int = 92

    def __post_init__(self) -> None:
        whole = isinstance(self.quality, int) and not isinstance(self.quality, bool)
        if self.encoding not in ENCODINGS or not whole or not 1 <= self.quality <= 100:
            raise OptionError(
                f"the encoding is {self.encoding!r} and the quality {self.quality!r}",
                f"Choose one of {', '.join(ENCODINGS)}, and a quality from 1 to 100.",
            )

    def encode(self, image: Image) -> tuple[Encoding, bytes, int, int]:
        """Encoding, payload, and for rgb width and height, of RGB uint8 (H, W, 3)."""
        if self.encoding != "rgb":
            return self.encoding, encode_image(image, self.encoding, quality=self.quality), 0, 0
        height, width = image.shape[:2]
        return "rgb", np.ascontiguousarray(image).tobytes(), width, height


class Numbering:
    """The numbers and times of one session's frames, in order.

    Args:
        options: how images are encoded.
        rate: frames a second of bare images, which have no time of their own.
    """

    def __init__(self, options: EncodeOptions, rate: float = 30.0) -> None:
        if not 0 < rate <= 1e4:
            raise OptionError(f"the rate is {rate!r}", "Give frames a second, above 0 and at most 10,000.")
        self._options = options
        self._tick = Fraction(1 / rate).limit_denominator(10**6)
        self.next_index = 0
        self._seconds: Fraction | None = None  # of the last frame

    def skip_to(self, index: int) -> None:
        """Goes on after a session's last frame, when a session is taken up again."""
        self.next_index = index + 1
        self._seconds = None

    def picture(self, frame: FrameLike) -> Picture:
        """The next picture to send.

        Raises:
            FrameError: no image, or a frame whose index or time does not come after the last one's.
            ImageError: bytes that are no JPEG, PNG or WebP image, or an image that its format cannot hold.
        """
        if isinstance(frame, Frame):
            index, seconds = frame.index, frame.pts * frame.time_base
            pts, time_base = frame.pts, frame.time_base
            if index < self.next_index or (self._seconds is not None and seconds <= self._seconds):
                raise FrameError(
                    f"frame {index} is at {float(seconds):.4f} s, and {self.next_index} is the next one",
                    "Send frames in order, each with a later time.",
                )
            body = self._options.encode(frame.image)
        else:
            index, time_base = self.next_index, self._tick
            pts = index if self._seconds is None else max(index, int(self._seconds / self._tick) + 1)
            seconds = pts * time_base
            body = self._body(frame)
        picture = Picture("frame", index, pts, time_base, *body)
        self.next_index, self._seconds = index + 1, seconds
        return picture

    def _body(self, frame: Image | bytes) -> tuple[Encoding, bytes, int, int]:
        if isinstance(frame, bytes):
            return kind_of(frame), frame, 0, 0
        image = np.asarray(frame)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise FrameError(
                f"the image is {image.dtype} of shape {image.shape}", "Give RGB uint8 of (height, width, 3)."
            )
        return self._options.encode(image)


def kind_of(data: bytes) -> Encoding:
    """Which kind of image file this is, by how it begins. Raises WireError for any other."""
    if data[:2] == b"\xff\xd8":
        return "jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    raise WireError(f"the image starts with {data[:8]!r}", "Give a JPEG, PNG or WebP image.")


def frame_of(picture: Picture) -> Frame:
    """A picture from the server, decoded. Raises ImageError."""
    if picture.encoding == "rgb":
        flat = np.frombuffer(picture.payload, np.uint8)
        image = flat.reshape(picture.height, picture.width, 3)
    else:
        image = decode_image(picture.payload)
    return Frame(image, picture.pts, picture.time_base, picture.index)
