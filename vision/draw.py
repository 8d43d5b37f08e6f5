"""Pictures for people: boxes with a label drawn on frames, and contact sheets."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import OptionError
from .box import Box
from .pixels import Image, as_uint8, check_image

Status = Literal["tracking", "uncertain", "lost"]
Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

_STATUS_COLOURS: dict[str, Colour] = {
    "tracking": (74, 222, 128),
    "uncertain": (251, 191, 36),
    "lost": (248, 113, 113),
}
_PLATE: Colour = (17, 24, 39)
_INK: Colour = (243, 244, 246)
_SHEET: Colour = (24, 27, 33)


@dataclass(frozen=True, slots=True)
class Mark:
    """What to draw for one target: where, which, how sure (None leaves the score out), in what status."""

    box: Box
    target: int = 1
    score: float | None = None
    status: Status = "tracking"
    name: str = ""

    @property
    def label(self) -> str:
        """Target number, the name of its class, and score, as shown on the plate."""
        number = f"{self.target} {self.name}" if self.name else f"{self.target}"
        return number if self.score is None else f"{number}  {self.score:.2f}"


def target_colour(target: int) -> Colour:
    """A bright hue for a target number; neighbouring numbers differ most."""
    hue = (0.52 + (target - 1) * 0.61803398875) % 1.0  # golden ratio: no two of the first dozens are close
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.72, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_track(image: Image, box: Box, label: str, status: Status = "tracking", *, target: int = 1) -> Image:
    """A copy of ``image`` with one box and its plate: the label, then the status.

    The hue tells targets apart. The line tells the status: whole with firm corners when tracking, long dashes
    when uncertain, short dim dashes when lost. Line and text scale with the frame. A box that is not
    finite leaves the picture as it was.

    Args:
        image: RGB uint8 (H, W, 3); not changed.
        box: in pixels of the image; parts outside are cut off.
        label: printable ASCII; anything else shows as ``?``.
        status: ``tracking``, ``uncertain`` or ``lost``.
        target: number that chooses the hue.

    Raises:
        FrameError: the image is not RGB uint8.
        OptionError: the status is none of the three.
    """
    canvas = check_image(image).copy()
    _draw(canvas, box, label, status, target, [])
    return canvas


def draw_tracks(image: Image, marks: Iterable[Mark]) -> Image:
    """A copy of ``image`` with every mark on it, as `draw_track`; plates avoid one another where they can."""
    canvas = check_image(image).copy()
    plates: list[Box] = []
    for mark in marks:
        _draw(canvas, mark.box, mark.label, mark.status, mark.target, plates)
    return canvas


def draw_trails(image: Image, trails: Mapping[int, Sequence[tuple[float, float]]]) -> Image:
    """A copy of ``image`` with the way that each target came, by its number: centres, the oldest first."""
    canvas = check_image(image).copy()
    thickness = max(1, round(min(canvas.shape[:2]) / 400))
    for target, way in trails.items():
        points = np.round(8 * np.array(way)).astype(np.int32).reshape(-1, 1, 2)
        colour = target_colour(target)
        cv2.polylines(canvas, [points], False, colour, thickness, cv2.LINE_AA, shift=3)
    return canvas


def contact_sheet(
    images: Sequence[Image],
    columns: int,
    titles: Sequence[str] | None = None,
    *,
    cell_width: int = 320,
) -> Image:
    """One picture of several, row by row, each scaled to ``cell_width`` and with its title above it.

    Raises:
        FrameError: an image is not RGB uint8.
        OptionError: no images, a number that is not positive, or not one title an image.
    """
    if not images or columns < 1 or cell_width < 1:
        raise OptionError(
            f"A sheet of {len(images)} images in {columns} columns of {cell_width} pixels is impossible",
            "Give at least one image, one column and one pixel.",
        )
    if titles is not None and len(titles) != len(images):
        raise OptionError(f"{len(titles)} titles came for {len(images)} images", "Give one title an image.")
    gap = max(cell_width // 32, 2)
    text = max(round(cell_width * 0.034), 7)
    band = 0 if titles is None else 2 * text + gap // 2
    shapes = [check_image(image).shape for image in images]
    cell_height = max(max(round(cell_width * shape[0] / shape[1]), 1) for shape in shapes)
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    sheet = np.empty(
        (gap + rows * (cell_height + band + gap), gap + columns * (cell_width + gap), 3), np.uint8
    )
    sheet[:] = _SHEET
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        left, top = gap + column * (cell_width + gap), gap + row * (cell_height + band + gap)
        height = max(round(cell_width * image.shape[0] / image.shape[1]), 1)
        method = cv2.INTER_AREA if image.shape[1] > cell_width else cv2.INTER_LINEAR
        sheet[top + band : top + band + height, left : left + cell_width] = cv2.resize(
            image, (cell_width, height), interpolation=method
        )
        if titles is not None:
            mask = _text(titles[place], text)[:, :cell_width]
            _paint(sheet, mask, left, top + (band - mask.shape[0]) // 2, _INK)
    return sheet


def _draw(canvas: Image, box: Box, label: str, status: Status, target: int, plates: list[Box]) -> None:
    """Draw one target in place; adds its plate to ``plates``."""
    if status not in _STATUS_COLOURS:
        raise OptionError(f"There is no status {status!r}", "Use tracking, uncertain or lost.")
    height, width = canvas.shape[:2]
    if not box.is_finite or box.intersection(Box(0, 0, width, height)) == 0.0:
        return
    colour = target_colour(target)
    if status == "lost":
        colour = _mixed(colour, (128, 128, 128), 0.45)
    line = max(round(math.hypot(width, height) / 450), 1)
    shadow = _mixed(colour, (0, 0, 0), 0.75)
    strokes = list(_strokes(box, status, line))
    for extra, tint in ((2, shadow), (0, colour)):
        for start, end, weight in strokes:
            _line(canvas, start, end, tint, weight + extra)
    _plate(canvas, box, f"{label}  {status}", _STATUS_COLOURS[status], colour, line, plates)


Point = tuple[float, float]


def _strokes(box: Box, status: Status, line: int) -> Iterator[tuple[Point, Point, int]]:
    """The lines that make up a box, each with its thickness."""
    left, top, right, bottom = box.xyxy
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    dash = {"tracking": 0.0, "uncertain": 9.0 * line, "lost": 3.5 * line}[status]
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        yield from ((a, b, line) for a, b in _dashes(start, end, dash))
    if status == "lost":
        return
    reach = min(0.22 * min(box.w, box.h), 14.0 * line)
    for (x, y), (sx, sy) in zip(corners, ((1, 1), (-1, 1), (-1, -1), (1, -1)), strict=True):
        yield (x, y), (x + sx * reach, y), 2 * line
        yield (x, y), (x, y + sy * reach), 2 * line


def _dashes(start: Point, end: Point, dash: float) -> Iterator[tuple[Point, Point]]:
    """Cut a line into an odd number of equal pieces near ``dash`` long and give every other one."""
    length = math.dist(start, end)
    pieces = 2 * max(round((length / dash - 1) / 2), 0) + 1 if dash else 1
    pieces = min(pieces, 2001)

    def at(piece: int) -> Point:
        share = piece / pieces
        return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share

    for piece in range(0, pieces, 2):
        yield at(piece), at(piece + 1)


def _line(canvas: Image, start: Point, end: Point, colour: Colour, thickness: int) -> None:
    """An anti-aliased line between points given to a fraction of a pixel."""
    height, width = canvas.shape[:2]
    bound = 4.0 * (height + width)  # far outside, and small enough for OpenCV's integers

    def fixed(point: Point) -> tuple[int, int]:
        x, y = (min(max(value, -bound), bound) for value in point)
        return round((x - 0.5) * 16), round((y - 0.5) * 16)

    cv2.line(canvas, fixed(start), fixed(end), colour, thickness, cv2.LINE_AA, 4)


def _plate(
    canvas: Image, box: Box, words: str, dot: Colour, hue: Colour, line: int, plates: list[Box]
) -> None:
    """The label: a dark plate with a stripe in the target's hue, a dot for the status, and the words."""
    height, width = canvas.shape[:2]
    text = max(round(min(width, height) * 0.024), 8)
    mask = _text(words, text)
    pad = max(round(text * 0.6), 3)
    stripe, dot_size = max(text // 3, 2), round(text * 0.75)
    wide, high = stripe + pad + dot_size + pad + mask.shape[1] + pad, text + 2 * pad
    room = Box(box.x, box.y, max(box.w, 0.0), max(box.h, 0.0)).clipped(width, height)
    left, top = _free_place(room, wide, high, width, height, line, plates)
    plates.append(Box(left, top, wide, high))
    area = canvas[top : top + high, left : left + wide]
    area[:] = cv2.addWeighted(area, 0.22, np.full_like(area, _PLATE), 0.78, 0)
    area[:, :stripe] = hue
    centre = (round((stripe + pad + dot_size / 2) * 16), round((high / 2 - 0.5) * 16))
    cv2.circle(area, centre, round(dot_size / 2 * 16), dot, -1, cv2.LINE_AA, 4)
    _paint(area, mask, stripe + 2 * pad + dot_size, (high - mask.shape[0]) // 2, _INK)


def _free_place(
    box: Box, wide: int, high: int, width: int, height: int, line: int, plates: list[Box]
) -> tuple[int, int]:
    """Left and top of the first place near the box that lies in the frame and on no other plate."""
    edge = 2 * line
    left = round(min(max(box.x - line, 0), max(width - wide, 0)))
    right = round(min(max(box.x + box.w + line - wide, 0), max(width - wide, 0)))
    above, below = round(box.y - edge - high), round(box.y + box.h + edge)
    inside, low = round(box.y + edge), round(box.y + box.h - edge - high)
    places = [(x, y) for y in (above, below, inside, low) for x in (left, right)]
    fitting = [(x, y) for x, y in places if 0 <= y <= height - high] or [
        (left, max(min(above, height - high), 0))
    ]
    for x, y in fitting:
        if all(Box(x, y, wide, high).intersection(plate) == 0.0 for plate in plates):
            return x, y
    return fitting[0]


def _text(words: str, height: int) -> npt.NDArray[np.uint8]:
    """Coverage of the words, uint8 (rows, columns): capitals are ``height`` pixels tall, and smooth."""
    words = "".join(letter if " " <= letter <= "~" else "?" for letter in words)
    finer = 4
    font = cv2.FONT_HERSHEY_SIMPLEX
    scale = cv2.getFontScaleFromHeight(font, height * finer, 1)
    thickness = max(round(height * finer * 0.1), 1)
    (wide, high), base = cv2.getTextSize(words, font, scale, thickness)
    big = np.zeros((high + 2 * base, wide + 2 * finer), np.uint8)
    cv2.putText(big, words, (finer, high + base // 2), font, scale, 255, thickness, cv2.LINE_AA)
    size = (max(big.shape[1] // finer, 1), max(big.shape[0] // finer, 1))
    return as_uint8(cv2.resize(big, size, interpolation=cv2.INTER_AREA))


def _paint(canvas: Image, mask: npt.NDArray[np.uint8], left: int, top: int, colour: Colour) -> None:
    """Lay a colour on the canvas through a coverage mask; parts outside are cut off."""
    mask = mask[max(-top, 0) :, max(-left, 0) :]
    left, top = max(left, 0), max(top, 0)
    area = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
    share = mask[: area.shape[0], : area.shape[1], None].astype(np.float32) / 255
    area[:] = np.rint(area + (np.array(colour, np.float32) - area) * share).astype(np.uint8)


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """``share`` of the other colour in the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue
