"""From a head's maps to one measured box: pure geometry, one class a kind of head, chosen by the manifest.

Glossary: G is the grid's side in cells; maps are one session's, without the batch dimension.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...bundles import ModelSpec
from ...errors import BundleError
from ...vision import Box, SquareCrop
from .measurement import Array, Maps, Measurement, number
from .options import TrackingOptions
from .trajectory import TrajectoryDecoder


class Decoder(Protocol):
    """Reads one session's maps."""

    def __call__(self, maps: Maps, crop: SquareCrop, previous: Box) -> Measurement:
        """Maps of a search crop and the box believed before (image pixels) into a measurement."""


def hann_window(grid: int) -> Array:
    """(G, G) Hann window with its top in the middle; the outermost cells keep a little."""
    line = np.hanning(grid + 2)[1:-1]
    return np.outer(line, line).astype(np.float32)


def change_penalty(sides: Array, before: tuple[float, float], strength: float) -> Array:
    """Factors in (0, 1], small where size or shape differ much from those before (SiamRPN, section 4.3).

    ``sides`` (2, G, G) are width and height in the unit of ``before``; strength 0 gives ones (G, G).
    """
    low = np.float32(1e-3)
    sides = np.maximum(sides, low)
    before_w, before_h = (max(side, 1e-3) for side in before)
    pad = (before_w + before_h) / 2
    extent, shape = (before_w + pad) * (before_h + pad), before_w / before_h
    context = (sides[0] + sides[1]) * np.float32(0.5)  # what a Siamese crop leaves around a box
    padded = sides + context
    squares = np.empty_like(sides)  # of the ratios of extent and of shape, now to before
    np.multiply(padded[0], padded[1] * np.float32(1 / extent), out=squares[0])
    np.square(sides[0] / sides[1] * np.float32(1 / shape), out=squares[1])
    apart = np.maximum(squares, 1 / squares)
    penalty: Array = np.exp(np.float32(strength) * (1 - np.sqrt(apart[0] * apart[1])))
    return penalty


class CentreDecoder:
    """Maps of a centre head.

    score (1, G, G); offset (2, G, G) of the centre from the cell's middle, in cells; size (2, G, G) as shares
    of the crop's side; log_variance (4, G, G) of centre and size relative to the target's size.
    """

    def __init__(self, spec: ModelSpec, options: TrackingOptions) -> None:
        self.options = options
        self._window = hann_window(map_side(spec, "score")) * np.float32(options.window)

    def __call__(self, maps: Maps, crop: SquareCrop, previous: Box) -> Measurement:
        """See ``Decoder``."""
        o = self.options
        score = maps["score"][0]
        grid = score.shape[0]
        before = (previous.w / crop.side, previous.h / crop.side)
        preference = score * change_penalty(maps["size"], before, o.change)
        preference = preference * (1 - o.window) + self._window
        row, column = divmod(int(preference.argmax()), grid)
        cell = crop.size / grid
        width, height = (max(share * crop.size, 1e-3) for share in maps["size"][:, row, column].tolist())
        right, down = maps["offset"][:, row, column].tolist()
        cx, cy = (column + 0.5 + right) * cell, (row + 0.5 + down) * cell
        box = crop.to_image(Box.from_centre(cx, cy, width, height))
        relative = np.exp(0.5 * maps["log_variance"][:, row, column].astype(np.float64))
        return Measurement(box, float(score[row, column]), relative * np.array([box.w, box.h, box.w, box.h]))


class PointDecoder:
    """Maps of an anchor-free Siamese head: at each point, distances to the four sides.

    classes (2, G, G), logits of background and target; sides (4, G, G): left, top, right, bottom distances in
    crop pixels from the point, points being ``stride`` pixels apart around the crop's middle.
    """

    def __init__(self, spec: ModelSpec, options: TrackingOptions) -> None:
        self.options = options
        grid = map_side(spec, "classes")
        self._window = hann_window(grid) * np.float32(options.window)
        stride = number(spec, "stride")
        self._line = ((np.arange(grid) - grid // 2) * stride).astype(np.float32)
        self._relative_std = number(spec, "relative_std")

    def __call__(self, maps: Maps, crop: SquareCrop, previous: Box) -> Measurement:
        """See ``Decoder``."""
        o = self.options
        background, target = maps["classes"]
        score = 1 / (1 + np.exp(np.clip(background - target, -30, 30)))
        left, top, right, bottom = maps["sides"]
        sides = maps["sides"][:2] + maps["sides"][2:]
        before = (previous.w * crop.scale, previous.h * crop.scale)
        preference = score * change_penalty(sides, before, o.change)
        preference = preference * (1 - o.window) + self._window
        row, column = divmod(int(preference.argmax()), score.shape[0])
        cx = crop.size / 2 + self._line[column] + (right - left)[row, column] / 2
        cy = crop.size / 2 + self._line[row] + (bottom - top)[row, column] / 2
        size = [max(side, 1.0) for side in sides[:, row, column].tolist()]
        box = crop.to_image(Box.from_centre(float(cx), float(cy), *size))
        std = self._relative_std * np.array([box.w, box.h, box.w, box.h])
        return Measurement(box, float(score[row, column]), std)


def open_decoder(spec: ModelSpec, options: TrackingOptions) -> Decoder:
    """The decoder that ``preprocess.decode`` names ("centre" if it names none). Raises BundleError."""
    name = spec.preprocess.get("decode", "centre")
    if name == "centre":
        return CentreDecoder(spec, options)
    if name == "points":
        return PointDecoder(spec, options)
    if name == "trajectory":
        return TrajectoryDecoder(spec)
    raise BundleError(
        f"model {spec.name!r} asks for decoder {name!r}", "known decoders: centre, points, trajectory"
    )


def map_side(spec: ModelSpec, output: str) -> int:
    """Cells a side of a square map that ``step`` gives. Raises BundleError when there is no such map."""
    for tensor in spec.function("step").outputs:
        side = tensor.shape[-1]
        if tensor.name == output and isinstance(side, int):
            return side
    raise BundleError(
        f"'step' of model {spec.name!r} has no map {output!r}", "name the outputs as its decoder expects"
    )
