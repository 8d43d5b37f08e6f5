"""Numbered images as a video: a folder of them, or those of a pattern; and animations that OpenCV reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import ImageError, VideoError
from .container import Picture
from .extras import Extras
from .images import IMAGE_SUFFIXES, by_number, decode_image, image_size
from .look import Look
from .opening import NUMBERED
from .pixels import Image, as_uint8, in_eight_bits, is_deep

FOLDER_SUFFIXES = (*IMAGE_SUFFIXES, ".tif", ".tiff", ".bmp")
"""File names that are taken for images of a folder, in lower case."""
_EXR = ".exr"
_COARSE = (".jpg", ".jpeg", ".webp")  # whose colours are shared by pixels beside each other
_HEAD = 1 << 16  # bytes of an image, in which its size is looked for
_AT_ONCE = 8  # pictures of an animation that are decoded together
_MILLISECOND = Fraction(1, 1000)
_FORMATS = {
    (False, False): "rgb24",
    (False, True): "rgba",
    (True, False): "rgb48le",
    (True, True): "rgba64le",
}


def is_pattern(path: Path) -> bool:
    """Whether ``path`` names numbered images, such as frames/%04d.png, and is no file of that name."""
    return bool(NUMBERED.search(path.name)) and not path.exists() and path.parent.is_dir()


class FolderSource:
    """The images of a folder in the order of their numbers, a tick of ``1 / rate`` apart.

    Hidden files, which systems leave beside images (``._f1.png``), and folders are no images. 16 bits a
    component and an opacity are read where they are asked for, and where an image has them.

    Args:
        path: a folder, or a pattern with the number's place: frames/%04d.png.
        rate: frames a second.
        max_pixels: largest image accepted, in pixels.
        deep, mask, one_size: as `VideoReader` has them.

    Raises:
        VideoError: there is no image, or none of whole numbers, or their sizes differ and must not.
    """

    is_interlaced = False
    told_end: Fraction | None = None
    shift = Fraction(0)
    stream = 0

    def __init__(
        self,
        path: Path,
        *,
        rate: Fraction,
        max_pixels: int,
        deep: bool = False,
        mask: bool = False,
        one_size: bool = False,
    ) -> None:
        self.broken = 0
        self.extras = Extras()
        self.rate = rate
        self.time_base = 1 / rate
        self._max_pixels = max_pixels
        self._mask = mask
        folder, fits = (path, None) if path.is_dir() else (path.parent, _matcher(path.name))
        found = [one for one in folder.iterdir() if not one.name.startswith(".") and not one.is_dir()]
        found = [one for one in found if fits is None or fits.fullmatch(one.name)]
        self._files = sorted(
            (one for one in found if one.suffix.lower() in FOLDER_SUFFIXES),
            key=lambda one: by_number(one.name),
        )
        self.count: int | None = len(self._files)
        self.notes = _gaps([one.name for one in self._files])
        if not self._files:
            exr = any(one.suffix.lower() == _EXR for one in found)
            raise VideoError(
                f"{path} holds no images"
                if not exr
                else f"The images of {path} are EXR, which is not read here",
                f"Put numbered {', '.join(FOLDER_SUFFIXES)} files into it."
                if not exr
                else "Convert them to 16-bit PNG or TIFF first.",
            )
        if one_size:
            _check_sizes(self._files)
        self.is_deep, self.has_alpha, self.is_finely_coloured = self._about_them()
        self.look = replace(Look(), pixel_format=_FORMATS[self.is_deep, self.has_alpha])
        if self.is_deep:
            self.look = replace(self.look, bits=16)
        self.is_deep &= deep

    def pictures(self) -> Iterator[Picture]:
        """Decode lazily; what does not decode leaves a gap."""
        for place, file in enumerate(self._files):
            try:
                image = self._read(file)
            except (ImageError, OSError, cv2.error):
                self.broken += 1
                continue
            yield Picture(image, place, 1)

    def close(self) -> None:
        """Forget the files."""
        self._files = []

    def _about_them(self) -> tuple[bool, bool, bool]:
        """Whether the images have 16 bits, an opacity, and colours pixel by pixel.

        The first one that can be read tells, and what PNG files say in their heads.
        """
        heads = [_png_head(file) for file in self._files]
        deep, alpha = any(bits > 8 for bits, _ in heads), any(opaque for _, opaque in heads)
        for file in self._files:
            image = _decoded(file, cv2.IMREAD_UNCHANGED)
            if image is not None and image.dtype not in (np.uint8, np.uint16):
                raise VideoError(
                    f"The images hold numbers of {image.dtype} ({file.name}), and 8 or 16 bits are read",
                    "Convert them to 16-bit PNG or TIFF first.",
                )
            if image is not None:
                deep |= image.dtype == np.uint16
                alpha |= image.ndim == 3 and image.shape[2] == 4
                return deep, alpha, image.ndim == 3 and file.suffix.lower() not in _COARSE
        return deep, alpha, False

    def _read(self, file: Path) -> Image:
        if not self.is_deep and not self._mask and file.suffix.lower() in IMAGE_SUFFIXES:
            return decode_image(file.read_bytes(), max_pixels=self._max_pixels)
        way = cv2.IMREAD_UNCHANGED if self._mask else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
        image = _decoded(file, way)
        if image is None or image.shape[0] * image.shape[1] > self._max_pixels:
            raise ImageError(f"{file} does not decode, or is too large", "Check the image.")
        if self._mask:
            white = np.iinfo(image.dtype).max
            is_there = image.ndim == 3 and image.shape[2] == 4
            opacity = image[..., 3:] if is_there else np.full((*image.shape[:2], 1), white, image.dtype)
            image = np.repeat(opacity, 3, axis=2)
        else:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if not self.is_deep:
            return in_eight_bits(as_uint8(image))
        return as_uint8(image if is_deep(image) else image.astype(np.uint16) * 257)


class AnimationSource:
    """An animated WebP, which FFmpeg does not read: its pictures for as long as each says.

    Raises:
        VideoError: it does not decode.
    """

    is_interlaced = is_deep = is_finely_coloured = False
    told_end: Fraction | None = None
    shift = Fraction(0)
    stream = 0
    time_base = _MILLISECOND

    def __init__(self, path: Path, *, max_pixels: int, mask: bool = False) -> None:
        self.broken = 0
        self.extras = Extras()
        self._path, self._mask, self._max_pixels = path, mask, max_pixels
        self.notes: list[str] = []
        first = self._some(0)
        if not first:
            raise VideoError(f"{path} cannot be opened as a video", "Check that the file is complete.")
        self.count: int | None = cv2.imcount(str(path))
        total = sum(duration for _, duration in first)
        self.rate = Fraction(1000 * len(first), total) if total else Fraction(10)
        self.has_alpha = first[0][0].shape[2] == 4 and any((one[..., 3] < 255).any() for one, _ in first)
        self.look = replace(Look(), pixel_format=_FORMATS[False, self.has_alpha])

    def pictures(self) -> Iterator[Picture]:
        """Decode a few at a time."""
        place, time = 0, 0
        while some := self._some(place):
            for image, duration in some:
                part = np.repeat(image[..., 3:], 3, axis=2) if self._mask else image[..., :3]
                yield Picture(as_uint8(np.ascontiguousarray(part)), time, duration)
                time += duration
            place += len(some)

    def close(self) -> None:
        """Nothing is open."""

    def _some(self, start: int) -> list[tuple[Any, int]]:
        """A few pictures in RGBA and how many milliseconds each is shown."""
        if start and start >= (self.count or 0):
            return []
        found, animation = cv2.imreadanimation(str(self._path), start, _AT_ONCE)
        if not found:
            return []
        pictures = [cv2.cvtColor(one, cv2.COLOR_BGRA2RGBA) for one in animation.frames]
        if any(one.shape[0] * one.shape[1] > self._max_pixels for one in pictures):
            return []
        return list(zip(pictures, map(int, animation.durations), strict=True))


def _decoded(file: Path, way: int) -> Any:
    """The picture in a file; None where it does not decode. (``cv2.imread`` fails over turned TIFF.)"""
    try:
        data = np.fromfile(file, np.uint8)
        return cv2.imdecode(data, way) if data.size else None
    except (OSError, cv2.error):
        return None


def _png_head(file: Path) -> tuple[int, bool]:
    """Bits a component and whether there is an opacity, as the head of a PNG file says; 8 for all others."""
    if file.suffix.lower() != ".png":
        return 8, False
    try:
        with file.open("rb") as opened:
            head = opened.read(26)
    except OSError:  # a link to nowhere leaves a gap, as what does not decode
        return 8, False
    return (head[24], bool(head[25] & 4)) if len(head) == 26 and head[12:16] == b"IHDR" else (8, False)


def _check_sizes(files: list[Path]) -> None:
    """Raises VideoError where the heads of images say different sizes; a turn by EXIF makes no difference."""
    first: tuple[Path, tuple[int, int]] | None = None
    for file in files:
        try:
            with file.open("rb") as opened:
                size = image_size(opened.read(_HEAD))
        except (OSError, ImageError):  # TIFF, BMP, or damaged: reading it tells
            continue
        first = first or (file, size)
        if {*size} != {*first[1]}:
            (one, (width, height)), (other_width, other_height) = first, size
            raise VideoError(
                f"The images differ in size: {one.name} is {width}x{height}, "
                f"{file.name} is {other_width}x{other_height}",
                "Bring them to one size, or put those of each size into a folder of their own.",
            )


def is_animation(path: Path) -> bool:
    """Whether a file is a WebP, by how it begins."""
    with path.open("rb") as file:
        start = file.read(12)
    return start[:4] == b"RIFF" and start[8:] == b"WEBP"


def _matcher(pattern: str) -> re.Pattern[str]:
    """What file names of a pattern look like: %04d is a number of 4 digits or more, %d any number."""
    found = NUMBERED.search(pattern)
    assert found is not None, "a pattern has a place for the number"
    digits = rf"\d{{{found[2]},}}" if found[1] and found[2] else r"\d+"
    return re.compile(re.escape(pattern[: found.start()]) + digits + re.escape(pattern[found.end() :]))


def _gaps(names: list[str]) -> list[str]:
    """What is missing among the numbers of files, in a sentence; each file is a frame all the same."""
    numbers = [next((part for part, _ in reversed(by_number(name)) if part >= 0), None) for name in names]
    known = [number for number in numbers if number is not None]
    if len(known) < len(names) or len(set(known)) < len(known):
        return []
    missing = [range(one + 1, other) for one, other in pairwise(known) if other > one + 1]
    if not missing:
        return []
    first = missing[0]
    named = f"{first[0]}" if len(first) == 1 else f"{first[0]} to {first[-1]}"
    count = sum(len(one) for one in missing)
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return [f"the numbers of the images have gaps ({named}{more}): those that are there follow one another"]
