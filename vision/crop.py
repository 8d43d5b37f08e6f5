"""The one crop geometry, shared by training and by the engine.

A crop is a square of image pixels resized to a square of ``size`` output pixels. Its side and place
follow ARTrack (Wei et al., CVPR 2023): ``side = ceil(sqrt(w * h) * factor)``, the left edge at
``round(cx - side / 2)``, and zeros outside the image.
Coordinates map by one shift and one scale: `SquareCrop.to_crop` and `SquareCrop.to_image` undo one another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import BoxError, FrameError, OptionError
from .box import Box
from .pixels import Image, as_uint8, check_image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_LEVELS = tuple((1 / (255 * std), -mean / std) for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))

Interpolation = Literal["smooth", "nearest", "linear", "cubic"]

_SHRINK_SMOOTHLY = 1.5  # image pixels an output pixel, from which a plain bilinear resize would alias
_HALVE = 2.5  # and from which pixels are halved first, two by two: two halves cost less than one quarter
_MOST_OVERSAMPLING = 16  # bounds the cost of absurdly large crops


@dataclass(frozen=True, slots=True)
class SquareCrop:
    """A square of ``side`` image pixels centred on ``cx, cy``, shown as ``size`` output pixels.

    Raises:
        BoxError: a number is not finite, ``side`` is not positive, or ``size`` is below 1.
    """

    cx: float
    cy: float
    side: float
    size: int

    def __post_init__(self) -> None:
        finite = math.isfinite(self.cx) and math.isfinite(self.cy) and math.isfinite(self.side)
        if not finite or self.side <= 0 or self.size < 1:
            raise BoxError(
                f"A crop around ({self.cx:g}, {self.cy:g}) of side {self.side:g} "
                f"and size {self.size} is impossible",
                "Its numbers must be finite, its side positive and its size at least 1.",
            )

    @property
    def scale(self) -> float:
        """Output pixels per image pixel."""
        return self.size / self.side

    @property
    def left(self) -> float:
        """Left edge in image pixels."""
        return self.cx - self.side / 2

    @property
    def top(self) -> float:
        """Top edge in image pixels."""
        return self.cy - self.side / 2

    @property
    def box(self) -> Box:
        """The square of the image that the crop shows."""
        return Box(self.left, self.top, self.side, self.side)

    def to_crop(self, box: Box) -> Box:
        """Image pixels to output pixels."""
        scale = self.scale
        return Box((box.x - self.left) * scale, (box.y - self.top) * scale, box.w * scale, box.h * scale)

    def to_image(self, box: Box) -> Box:
        """Output pixels to image pixels; undoes `to_crop`."""
        scale = self.scale
        return Box(box.x / scale + self.left, box.y / scale + self.top, box.w / scale, box.h / scale)


def around(box: Box, factor: float, size: int) -> SquareCrop:
    """The crop of ``factor`` times the box's geometric-mean side around its centre, on whole image pixels.

    The side of a crop that shrinks by more than 2.5 is even, by more than 5 a multiple of 4, and so on:
    it can be `halved`.

    Raises:
        BoxError: the box is not finite or has a side that is not positive, or the factor is not positive.
    """
    usable = box.is_finite and box.w > 0 and box.h > 0
    wanted = math.sqrt(box.w * box.h) * factor if usable else 0.0
    if not 0.0 < wanted < math.inf:
        raise BoxError(
            f"No crop can be laid around the box {box} with factor {factor:g}",
            "Give a finite box with a positive width and height, and a positive factor.",
        )
    side = max(math.ceil(wanted), 2)
    side += -side % 2 ** _halvings(side / size)
    left, top = round(box.x + box.w / 2 - side / 2), round(box.y + box.h / 2 - side / 2)
    return SquareCrop(left + side / 2, top + side / 2, float(side), size)


def cut(image: Image, crop: SquareCrop, *, interpolation: Interpolation = "smooth") -> Image:
    """Cut ``crop`` out of ``image`` (uint8, (H, W, 3)) as uint8 (size, size, 3); zeros outside the image.

    The result never shares memory with the image, and the cost depends on the crop, not on the image.
    Crops on whole pixels (all that `around` makes) take one bilinear resize; others are sampled between
    pixels. Where a smooth crop shrinks by more than 1.5, it is sampled a whole number of times more densely
    and averaged, which is nearly as smooth as OpenCV's area resize and two to three times faster; by more
    than 2.5, its pixels are halved before, two by two.

    Args:
        image: RGB frame.
        crop: what to cut.
        interpolation: ``smooth`` as above; ``nearest``, ``linear`` or ``cubic`` for that method alone.

    Raises:
        FrameError: the image is not uint8 of shape (H, W, 3).
        OptionError: the interpolation has none of the four names.
    """
    height, width = check_image(image).shape[:2]
    dense = density(crop.side, crop.size) if interpolation == "smooth" else 1
    flag = _flag(interpolation)
    exact = crop.left, crop.top, crop.side
    left, top, side = map(int, exact)
    inside = 0 <= left <= width - side and 0 <= top <= height - side
    if dense == 1 and inside and (left, top, side) == exact:  # most crops
        region = image[top : top + side, left : left + side]
        return as_uint8(cv2.resize(region, (crop.size, crop.size), interpolation=flag))
    covered = crop.box.clipped(width, height)
    if covered.area == 0.0:
        return np.zeros((crop.size, crop.size, 3), np.uint8)
    if is_on_pixels(crop, covered):
        if interpolation == "smooth":
            part = halved(image, crop, covered)
            dense = density(part.side, crop.size)
        else:
            part = Part.of(image, crop, covered)
        samples = _resized(part, crop.size * dense, flag)
        return samples if dense == 1 else _averaged(samples, crop.size, crop.size)
    return _sampled(image, crop, covered, dense, flag)


def density(side: float, size: int) -> int:
    """Samples a side of an output pixel that a smooth crop of ``side`` pixels takes and averages."""
    shrink = side / size
    return min(round(shrink), _MOST_OVERSAMPLING) if shrink > _SHRINK_SMOOTHLY else 1


class Part(NamedTuple):
    """What of a crop lies in the image: ``pixels`` (h, w, 3) at ``left, top`` of a square of ``side``."""

    pixels: Image
    left: int
    top: int
    side: int

    @classmethod
    def of(cls, image: Image, crop: SquareCrop, covered: Box) -> Self:
        """Of a crop on whole pixels, of which ``covered`` lies in the image: a view."""
        left, top, right, bottom = (int(value) for value in covered.xyxy)
        return cls(image[top:bottom, left:right], left - int(crop.left), top - int(crop.top), int(crop.side))


def halved(image: Image, crop: SquareCrop, covered: Box) -> Part:
    """``Part.of``, each two by two pixels averaged into one, as often as a smooth crop asks for it."""
    part = Part.of(image, crop, covered)
    for _ in range(_halvings(crop.side / crop.size)):
        pixels, left, top, side = part
        if side % 2:
            break  # a crop that `around` did not make
        height, width = pixels.shape[:2]
        border = top % 2, (top + height) % 2, left % 2, (left + width) % 2
        if any(border):
            pixels = as_uint8(cv2.copyMakeBorder(pixels, *border, cv2.BORDER_CONSTANT, value=(0, 0, 0)))
        height, width = pixels.shape[:2]
        part = Part(_averaged(pixels, width // 2, height // 2), left // 2, top // 2, side // 2)
    return part


def _halvings(shrink: float) -> int:
    """How often pixels are halved that are to shrink so much."""
    return max(0, math.ceil(math.log2(shrink / _HALVE)))


def is_on_pixels(crop: SquareCrop, covered: Box) -> bool:
    """Whether a crop, of which ``covered`` lies in the image, is cut as whole pixels and then resized."""
    whole = all(value % 1 == 0 for value in (crop.left, crop.top, crop.side))
    return whole and crop.side**2 <= 4 * max(covered.area, 512.0**2)


def _flag(interpolation: Interpolation) -> int:
    """OpenCV's number for an interpolation."""
    match interpolation:
        case "smooth" | "linear":
            return cv2.INTER_LINEAR
        case "nearest":
            return cv2.INTER_NEAREST
        case "cubic":
            return cv2.INTER_CUBIC
    raise OptionError(
        f"There is no interpolation {interpolation!r}", "Choose smooth, nearest, linear or cubic."
    )


def _resized(part: Part, size: int, flag: int) -> Image:
    """Pads with zeros what lies outside, and resizes once to ``size``."""
    pixels, left, top, side = part
    height, width = pixels.shape[:2]
    if (height, width) != (side, side):
        padded = np.zeros((side, side, 3), np.uint8)
        padded[top : top + height, left : left + width] = pixels
        pixels = padded
    return as_uint8(cv2.resize(pixels, (size, size), interpolation=flag))


def _sampled(image: Image, crop: SquareCrop, covered: Box, dense: int, flag: int) -> Image:
    """Sample between pixels, ``dense`` times a side per output pixel, only where the image reaches."""
    result = np.zeros((crop.size, crop.size, 3), np.uint8)
    reach = crop.to_crop(covered)
    x0, y0 = max(math.floor(reach.x) - 1, 0), max(math.floor(reach.y) - 1, 0)
    x1 = min(math.ceil(reach.x + reach.w) + 1, crop.size)
    y1 = min(math.ceil(reach.y + reach.h) + 1, crop.size)
    wide, high = x1 - x0, y1 - y0
    step = crop.side / (crop.size * dense)  # image pixels between samples
    # OpenCV counts from pixel centres: sample i lies at left + (x0 * dense + i + 0.5) * step - 0.5.
    shift_x = crop.left + (x0 * dense + 0.5) * step - 0.5
    shift_y = crop.top + (y0 * dense + 0.5) * step - 0.5
    matrix = np.array([[step, 0.0, shift_x], [0.0, step, shift_y]])
    where = (wide * dense, high * dense)
    samples = as_uint8(cv2.warpAffine(image, matrix, where, flags=flag | cv2.WARP_INVERSE_MAP))
    result[y0:y1, x0:x1] = samples if dense == 1 else _averaged(samples, wide, high)
    return result


def _averaged(samples: Image, width: int, height: int) -> Image:
    """Mean of whole blocks of samples, down to ``width`` x ``height``."""
    return as_uint8(cv2.resize(samples, (width, height), interpolation=cv2.INTER_AREA))


def normalise(crops: Image) -> npt.NDArray[np.float32]:
    """RGB crops, uint8 (..., H, W, 3), to ImageNet-normalised float32 (..., 3, H, W).

    ``(value / 255 - mean) / std`` for each channel, as one multiply and one add.

    Raises:
        FrameError: the crops are not uint8 with three channels last.
    """
    if crops.dtype != np.uint8 or crops.ndim < 3 or crops.shape[-1] != 3:
        raise FrameError(
            f"The crops have type {crops.dtype} and shape {crops.shape}",
            "Give RGB as uint8 of shape (..., height, width, 3).",
        )
    *lead, height, width, _ = crops.shape
    result = np.empty((*lead, 3, height, width), np.float32)
    planes = result.reshape(-1, 3, height, width)
    for crop, out in zip(crops.reshape(-1, height, width, 3), planes, strict=True):
        for channel, plane, (scale, shift) in zip(out, cv2.split(crop), _LEVELS, strict=True):
            cv2.addWeighted(plane, scale, plane, 0.0, shift, dst=channel, dtype=cv2.CV_32F)
    return result
