"""A folder of numbered images as a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from ..errors import ImageError, VideoError
from .container import Picture
from .images import IMAGE_SUFFIXES, by_number, decode_image
from .look import Look


class FolderSource:
    """The images of a folder in the order of their numbers, a tick of ``1 / rate`` apart.

    Hidden files, which systems leave beside images (``._f1.png``), and folders are no images.

    Raises:
        VideoError: there is no image.
    """

    is_interlaced = False
    is_deep = False
    has_alpha = False
    shift = Fraction(0)
    stream = 0

    def __init__(self, path: Path, *, rate: Fraction, max_pixels: int) -> None:
        self.broken = 0
        self.rate = rate
        self.time_base = 1 / rate
        self.look = Look()
        self._max_pixels = max_pixels
        found = (
            one
            for one in path.iterdir()
            if one.suffix.lower() in IMAGE_SUFFIXES and not one.name.startswith(".") and not one.is_dir()
        )
        self._files = sorted(found, key=lambda one: by_number(one.name))
        self.count: int | None = len(self._files)
        self.notes = _gaps([one.name for one in self._files])
        if not self._files:
            raise VideoError(
                f"The folder {path} holds no images",
                f"Put numbered {', '.join(IMAGE_SUFFIXES)} files into it.",
            )

    def pictures(self) -> Iterator[Picture]:
        for place, file in enumerate(self._files):
            try:
                image = decode_image(file.read_bytes(), max_pixels=self._max_pixels)
            except (ImageError, OSError):
                self.broken += 1
                continue
            yield Picture(image, place, 1)

    def close(self) -> None:
        self._files = []


def _gaps(names: list[str]) -> list[str]:
    """What is missing among the numbers of files, in a sentence; each file is a frame all the same."""
    numbers = [next((part for part, _ in reversed(by_number(name)) if part >= 0), None) for name in names]
    known = [number for number in numbers if number is not None]
    if len(known) < len(names) or len(set(known)) < len(known):
        return []
    missing = [range(one + 1, other) for one, other in zip(known, known[1:], strict=False) if other > one + 1]
    if not missing:
        return []
    first = missing[0]
    named = f"{first[0]}" if len(first) == 1 else f"{first[0]} to {first[-1]}"
    count = sum(len(one) for one in missing)
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return [f"the numbers of the images have gaps ({named}{more}): those that are there follow one another"]
