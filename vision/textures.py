"""Procedural textures for the demo clip: noise, a pond bed, a koi and a lily pad. NumPy and OpenCV only."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
"""Float32 picture: (H, W), (H, W, 3) RGB, or (H, W, 4) RGB premultiplied with alpha; 0 to 1."""


def noise(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 4) -> Plane:
    """Smooth noise, (height, width), 0 to 1: octaves of random grids; ``cell`` pixels in the coarsest."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = rng.random((math.ceil(height / step) + 3, math.ceil(width / step) + 3), np.float32)
        matrix = np.array([[1 / step, 0, 1 + rng.random()], [0, 1 / step, 1 + rng.random()]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        total += cv2.warpAffine(
            grid, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        ) / (2**octave)
    low, high = np.percentile(total, (1, 99))
    return as_plane(np.clip((total - low) / max(float(high - low), 1e-6), 0, 1))


def pond_bed(rng: np.random.Generator, height: int, width: int, unit: float) -> Plane:
    """Gravel under greenish water, (height, width, 3); a middling pebble is ``unit`` pixels across."""
    soil = noise(rng, height, width, 9 * unit, 6)[..., None]
    bed = _blend((0.24, 0.22, 0.15), (0.58, 0.50, 0.36), soil)
    pebbles = round(2.4 * height * width / unit**2 / 3)
    for size in np.sort(rng.uniform(0.25, 1.0, pebbles))[::-1] ** 1.6 * unit:
        shade = float(rng.uniform(0.3, 1.0))
        tint = np.array((1.0, rng.uniform(0.88, 1.0), rng.uniform(0.72, 1.0))) * shade
        centre = (round(rng.uniform(0, width) * 16), round(rng.uniform(0, height) * 16))
        axes = (round(size * 0.7 * 16), round(size * rng.uniform(0.4, 0.65) * 16))
        turn = float(rng.uniform(0, 180))
        shift = round(size * 0.12 * 16)
        below, above = (centre[0] + shift, centre[1] + shift), (centre[0] - shift, centre[1] - shift)
        glint = (round(axes[0] * 0.62), round(axes[1] * 0.62))
        for place, reach, light in ((below, axes, 0.35), (centre, axes, 1.0), (above, glint, 1.18)):
            cv2.ellipse(bed, place, reach, turn, 0, 360, (tint * light).tolist(), -1, cv2.LINE_AA, 4)
    bed *= 0.72 + 0.5 * noise(rng, height, width, 1.2 * unit, 4)[..., None]
    weed = noise(rng, height, width, 14 * unit, 5)[..., None] ** 3
    bed = as_plane(bed * (1 - 0.75 * weed) + 0.75 * weed * np.array((0.16, 0.30, 0.12), np.float32))
    depth = 0.12 + 0.33 * noise(rng, height, width, 22 * unit, 2)[..., None]
    bed = as_plane(bed * (1 - depth) + depth * np.array((0.14, 0.31, 0.28), np.float32))
    return as_plane(cv2.GaussianBlur(np.clip(bed, 0, 1), (0, 0), 0.8))


def koi(rng: np.random.Generator, length: int, patch: tuple[float, float, float]) -> Plane:
    """A koi from above, nose to the right, (0.62 * length, length, 4); ``patch`` colours its markings."""
    height = round(length * 0.62)
    y, x = np.mgrid[0:height, 0:length].astype(np.float32)
    u, v = (x + 0.5) / length, (y + 0.5 - height / 2) / length  # u from tail to nose, v across
    s = np.clip((u - 0.22) / 0.75, 1e-4, 1)  # along the body
    half = 0.145 * np.sin(np.pi * s**0.8).clip(0, 1) ** 0.8 * (0.45 + 0.55 * np.sqrt(s)) + 0.012
    edge = 1.5 / length
    body = _inside((half - np.abs(v)) / edge) * _inside((u - 0.22) / edge) * _inside((0.97 - u) / edge)
    fan = 0.03 + 0.5 * (0.30 - u) - 0.25 * np.abs(0.12 - u)
    notch = 0.02 + 0.45 * np.abs(v)
    tail = (
        _inside((fan - np.abs(v)) / edge)
        * _inside((u - 0.10 + notch - 0.055) / edge)
        * _inside((0.32 - u) / edge)
    )
    fins = np.zeros_like(u)
    for side in (-1.0, 1.0):
        a, b = u - 0.60, side * v - 0.155
        along, across = 0.62 * -a + 0.78 * b, 0.78 * a + 0.62 * b
        fins = np.maximum(fins, _inside((1 - np.hypot(along / 0.12, across / 0.05)) * 0.05 / edge))
    rays = 0.75 + 0.25 * np.sin(v * length * 1.1 + 9 * noise(rng, height, length, length / 6, 3))
    thin = np.maximum(tail, fins)
    base = np.ones((height, length, 3), np.float32) * np.array((0.93, 0.89, 0.82), np.float32)
    marks = _inside((noise(rng, height, length, length / 3.2, 3) - 0.46) * 26)[..., None]
    spots = _inside((noise(rng, height, length, length / 7, 3) - 0.77) * 30)[..., None]
    skin = base * (1 - marks) + marks * np.array(patch, np.float32)
    skin = skin * (1 - spots) + spots * np.array((0.10, 0.10, 0.13), np.float32)
    scales = np.sin(u * 150) * np.sin((v + 0.006 * np.sin(u * 75)) * 150)
    round_off = 0.50 + 0.50 * np.sqrt(np.clip(1 - (v / half) ** 2, 0, 1))
    skin = skin * (round_off * (0.95 + 0.07 * scales) + 0.10 * np.exp(-((v / 0.02) ** 2)))[..., None]
    for side in (-1.0, 1.0):
        eye = _inside((0.016 - np.hypot(u - 0.885, v - side * 0.062)) / edge)[..., None]
        skin = skin * (1 - eye) + eye * 0.05
    veil = (0.6 * base + 0.4 * np.array(patch, np.float32)) * rays[..., None]
    cover = body[..., None]
    colour = veil * (1 - cover) + skin * cover
    alpha = np.maximum(body, 0.78 * thin)
    return as_plane(np.dstack([np.clip(colour, 0, 1) * alpha[..., None], alpha]))


def lily_pad(rng: np.random.Generator, size: int) -> Plane:
    """A floating leaf with a notch, (size, size, 4)."""
    y, x = (np.mgrid[0:size, 0:size].astype(np.float32) + 0.5 - size / 2) / (size / 2)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    edge = 3.0 / size
    rim = 0.93 + 0.03 * np.sin(5 * angle + 1) + 0.02 * np.sin(11 * angle)
    alpha = _inside((rim - radius) / edge) * _inside((np.abs(angle) - 0.17) * radius / edge)
    veins = np.exp(-((np.sin(angle * 9) * radius / 0.05) ** 2)) * np.clip(1.1 - radius, 0, 1)
    cloud = noise(rng, size, size, size / 3, 5)[..., None]
    leaf = _blend((0.13, 0.30, 0.10), (0.36, 0.55, 0.20), cloud)
    leaf = leaf * (0.82 + 0.25 * radius[..., None]) + 0.14 * veins[..., None]
    leaf = leaf + (
        np.array((0.30, 0.12, 0.05), np.float32) * _inside((radius - rim + 0.07) * 30)[..., None] * 0.6
    )
    return as_plane(np.dstack([np.clip(leaf, 0, 1) * alpha[..., None], alpha]))


def as_plane(array: npt.NDArray[np.generic]) -> Plane:
    """As contiguous float32."""
    return np.ascontiguousarray(array, np.float32)


def _inside(distance: npt.NDArray[np.floating]) -> Plane:
    """Coverage of an edge that is one unit wide: 0 outside, 1 inside."""
    return as_plane(np.clip(distance + 0.5, 0, 1))


def _blend(
    low: tuple[float, float, float], high: tuple[float, float, float], share: npt.NDArray[np.floating]
) -> Plane:
    """From one colour to another."""
    return as_plane(np.array(low) * (1 - share) + np.array(high) * share)
