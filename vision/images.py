"""Decoding of encoded images that may come from anyone: JPEG, PNG and WebP, with the size checked first."""

from __future__ import annotations

import re
import struct
from typing import Literal

import cv2
import numpy as np

from ..errors import ImageError
from .pixels import Image, as_uint8, check_image

MAX_PIXELS = 8192 * 8192
"""Largest picture decoded unless the caller says otherwise: 64 Mpx, 192 MiB of RGB."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""File names that are taken for images, in lower case."""

_RGB: int = getattr(cv2, "IMREAD_COLOR_RGB", 0)  # OpenCV 4.11 and later need no second pass
_REMEDY = "Send a complete JPEG, PNG or WebP image."
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start-of-frame markers
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a length


def by_number(name: str) -> list[tuple[int, str]]:
    """Sort key of file names under which frame2 comes before frame10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def image_size(data: bytes) -> tuple[int, int]:
    """Read ``(width, height)`` from the header of a JPEG, PNG or WebP image, decoding nothing.

    Raises:
        ImageError: empty, of another format, or the header is damaged.
    """
    if not data:
        raise ImageError("The image holds 0 bytes", _REMEDY)
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR":
            width, height = struct.unpack_from(">II", data, 16)
        elif data[:2] == b"\xff\xd8":
            width, height, _ = _jpeg_frame(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            width, height = _webp_size(data)
        else:
            raise ImageError(f"The image starts with {data[:8]!r}, which is not JPEG, PNG or WebP", _REMEDY)
    except (struct.error, IndexError):
        raise ImageError(f"The image ends inside its header, after {len(data)} bytes", _REMEDY) from None
    if width < 1 or height < 1:
        raise ImageError(f"The image's header says {width} x {height} pixels", _REMEDY)
    return width, height


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode one JPEG, PNG or WebP image to RGB uint8 (H, W, 3).

    The size in the header is checked before anything is decoded. Grey images become RGB, transparency is
    dropped, 16 bits become 8, an EXIF orientation is applied, of an animation the first picture is taken.

    Raises:
        ImageError: empty, of another format, damaged, cut short, or of more than ``max_pixels`` pixels.
    """
    width, height = image_size(data)
    if width * height > max_pixels:
        raise ImageError(
            f"The image has {width} x {height} pixels, and the limit is {max_pixels}",
            "Send a smaller image.",
        )
    if not _is_complete(data):
        raise ImageError(f"The image is cut short after {len(data)} bytes", _REMEDY)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), _RGB or cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(f"The image does not decode ({error.err})", _REMEDY) from None
    if decoded is None or {*decoded.shape[:2]} != {width, height}:
        raise ImageError(f"The image of {width} x {height} pixels is damaged and does not decode", _REMEDY)
    return as_uint8(decoded if _RGB else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def encode_image(image: Image, kind: Literal["jpeg", "png", "webp"] = "png", *, quality: int = 92) -> bytes:
    """Encode RGB uint8 (H, W, 3); ``quality`` (1 to 100) is for JPEG and WebP.

    Raises:
        FrameError: the image is not RGB uint8.
        ImageError: the kind is unknown, or the picture does not fit it.
    """
    settings = {
        "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]),
        "png": (".png", []),
        "webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, quality]),
    }
    if kind not in settings:
        raise ImageError(f"There is no image format {kind!r}", "Choose jpeg, png or webp.")
    suffix, options = settings[kind]
    try:
        done, data = cv2.imencode(suffix, cv2.cvtColor(check_image(image), cv2.COLOR_RGB2BGR), options)
    except cv2.error as error:
        raise ImageError(f"The {image.shape} image cannot be a {kind} ({error.err})", "Choose png.") from None
    if not done:
        raise ImageError(f"The {image.shape} image cannot be a {kind}", "Choose png.")
    return data.tobytes()


def _is_complete(data: bytes) -> bool:
    """False where the end is missing; OpenCV would fill up the rest of such a JPEG with grey."""
    if data[:2] == b"\xff\xd8":
        return data.find(b"\xff\xd9", _jpeg_frame(data)[2]) >= 0
    if data[:4] == b"RIFF":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    return b"IEND" in data


def _jpeg_frame(data: bytes) -> tuple[int, int, int]:
    """Width, height and the place of the start of frame; a thumbnail inside a segment is passed over."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ImageError(f"The JPEG image has no marker at byte {at} of its header", _REMEDY)
        while data[at] == 0xFF:  # any number of fill bytes
            at += 1
        marker = data[at]
        at += 1
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height, at
        if marker == 0xDA:
            raise ImageError("The JPEG image has no size before its pixels", _REMEDY)
        if marker not in _JPEG_BARE:
            at += max(struct.unpack_from(">H", data, at)[0], 2)


def _webp_size(data: bytes) -> tuple[int, int]:
    """The canvas of the extended form, or the picture of the two simple forms."""
    match data[12:16]:
        case b"VP8X":
            canvas = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
            if len(data) < 30:
                raise IndexError
            return canvas[0] + 1, canvas[1] + 1
        case b"VP8L":
            bits = struct.unpack_from("<I", data, 21)[0]
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    raise ImageError(f"The WebP image starts with a chunk {data[12:16]!r}", _REMEDY)
