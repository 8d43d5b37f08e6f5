"""What cameras, codecs and weather do to a crop: random but seeded changes of colour and sharpness."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ...vision.pixels import as_uint8

Pixels = npt.NDArray[np.uint8]


def colour_curve(rng: np.random.Generator, strength: float) -> tuple[npt.NDArray[np.uint8], float]:
    """A (256, 3) look-up table of contrast, brightness, gamma and tint, and a saturation factor."""
    grid = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.normal(0, 0.35 * strength))
    contrast = np.exp(rng.normal(0, 0.3 * strength))
    level = rng.normal(0, 0.12 * strength)
    tint = 1 + rng.normal(0, 0.06 * strength, 3).astype(np.float32)
    curve = ((grid**gamma - 0.5) * contrast + 0.5 + level)[:, None] * tint
    return (curve.clip(0, 1) * 255).astype(np.uint8), float(np.exp(rng.normal(0, 0.4 * strength)))


def recolour(image: Pixels, curve: Pixels, saturation: float) -> Pixels:
    """Puts every pixel through a (256, 3) look-up table and scales its distance from grey."""
    mapped = cv2.LUT(image, np.ascontiguousarray(curve)[None].astype(np.uint8))
    if abs(saturation - 1) < 0.05:
        return as_uint8(mapped)
    grey = cv2.cvtColor(cv2.cvtColor(mapped, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = min(saturation, 2.5)
    return as_uint8(cv2.addWeighted(mapped, share, grey, 1 - share, 0))


def motion_blur(image: Pixels, length: float, angle: float) -> Pixels:
    """Smears along a line of ``length`` pixels at ``angle`` radians."""
    reach = max(3, int(length) | 1)
    kernel = np.zeros((reach, reach), np.float32)
    middle = reach // 2
    dx, dy = np.cos(angle) * middle, np.sin(angle) * middle
    cv2.line(kernel, (round(middle - dx), round(middle - dy)), (round(middle + dx), round(middle + dy)), 1.0)
    return as_uint8(cv2.filter2D(image, -1, kernel / kernel.sum()))


def coarsen(image: Pixels, share: float) -> Pixels:
    """Loses detail as a small target does: down to ``share`` of the size and back."""
    small = max(8, round(image.shape[0] * share))
    shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return as_uint8(cv2.resize(shrunk, image.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def compress(image: Pixels, quality: int) -> Pixels:
    """To JPEG and back; ``quality`` 1 to 100."""
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return as_uint8(cv2.imdecode(encoded, cv2.IMREAD_COLOR))


def degrade(image: Pixels, rng: np.random.Generator, *, detail: float, grey: bool) -> Pixels:
    """One frame's own defects. ``detail`` is the share of resolution that the sample has (1 is full)."""
    curve, saturation = colour_curve(rng, 0.45)
    image = recolour(image, curve, saturation)
    if detail < 0.9:
        image = coarsen(image, detail * rng.uniform(0.85, 1.0))
    draw = rng.random(4)
    if draw[0] < 0.2:
        image = motion_blur(image, rng.uniform(3, 15), rng.uniform(0, np.pi))
    elif draw[0] < 0.3:
        image = as_uint8(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.8)))
    if draw[1] < 0.2:
        sigma = rng.uniform(2, 14)
        noise = rng.normal(0, sigma, image.shape).astype(np.int16)
        image = (image.astype(np.int16) + noise).clip(0, 255).astype(np.uint8)
    if draw[2] < 0.3:
        image = compress(image, int(rng.integers(20, 75)))
    if grey:
        image = as_uint8(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))
    return image
