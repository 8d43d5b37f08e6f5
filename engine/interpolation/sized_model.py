"""The model over frames of one size: padded, in tiles where large, motion at a smaller size if asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...errors import OptionError
from ...vision import Image
from ...vision.motion import Grey
from ...vision.pixels import as_uint8
from .model import Features, InterpolationModel, Motion
from .options import SCALES, InterpolationOptions
from .padding import Plane, as_image, as_input, as_levels, as_pixels, padded, padded_size
from .resampling import Maps, enlarged, part
from .tiles import plan

_ENOUGH = 1280 * 720
"""Pixels on which "auto" finds motion, at most. On training clips of 1280 x 720 half the size gave 1.1 dB
more than the full size (-0.4 to 2.7), at 2560 x 1440 1.3 dB more (0.7 to 2.1): it reaches twice as far."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFrame:
    """A frame's features: of each tile at full size, and of the whole at reduced size where that is used.

    ``guides`` are what a flow to start from is found by: of the small frame or of each tile, as the model
    looks for motion there; none where the model starts from no flow.
    """

    tiles: Sequence[Features]
    small: Features | None
    guides: Sequence[Grey] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PairMotion:
    """A pair's motion: of each tile; or found on the small frame, with the same ``maps`` at full size."""

    tiles: Sequence[Motion]
    maps: Maps | None


class SizedModel:
    """Encodes frames, finds the motion of pairs, and makes frames between; one tile after the other.

    Args:
        model: the bundle's functions.
        height, width: of all frames, in pixels.
        options: scale, and how large a tile may be.

    Raises:
        OptionError: a scale below 1, and the model does not say how its motion goes to another size.
    """

    def __init__(
        self, model: InterpolationModel, height: int, width: int, options: InterpolationOptions
    ) -> None:
        self._model = model
        self._height, self._width = height, width
        self.scale = choose_scale(model, height, width, options)
        multiple = model.multiple
        self._times = round(1 / self.scale)
        self._padded = padded_size(height, width, multiple * self._times)
        self.tiles = plan(height, width, multiple=multiple, most=options.tile_pixels, overlap=options.overlap)
        sizes = [padded_size(*tile.size, multiple) for tile in self.tiles]
        self.tile_size = max(size[0] for size in sizes), max(size[1] for size in sizes)
        """Height and width of what the model sees of a tile: one size for all, so memory is laid out once."""
        small = self._padded[0] // self._times, self._padded[1] // self._times
        self._motion_size = self.tile_size if self._times == 1 else small

    def encode(self, image: Image) -> EncodedFrame:
        """The features of RGB uint8 (height, width, 3). Raises StepError."""
        pieces = [padded(image[tile.area], *self.tile_size) for tile in self.tiles]
        tiles = [self._model.encode(as_input(piece, *self.tile_size)) for piece in pieces]
        if self._times == 1:
            return EncodedFrame(tiles, None, self._guides(pieces))
        small = self._shrunk(image)
        return EncodedFrame(
            tiles, self._model.encode(as_input(small, *self._motion_size)), self._guides([small])
        )

    def motion(self, first: EncodedFrame, second: EncodedFrame, before: PairMotion | None) -> PairMotion:
        """The motion between two frames; ``before`` is that of the last pair, if any."""
        if first.small is None or second.small is None:
            starts = before.tiles if before else [self._model.start(*self.tile_size)] * len(self.tiles)
            pairs = zip(first.tiles, second.tiles, starts, self._flows(first, second), strict=True)
            return PairMotion([self._model.motion(*pair) for pair in pairs], None)
        start = before.tiles[0] if before else self._model.start(*self._motion_size)
        (flow,) = self._flows(first, second)
        motion = self._model.motion(first.small, second.small, start, flow)
        return PairMotion([motion], enlarged(motion, self._model.resizes, self._times))

    def between(self, first: EncodedFrame, second: EncodedFrame, motion: PairMotion, t: float) -> Image:
        """The frame at ``t`` in (0, 1) between two: RGB uint8 (height, width, 3). Raises StepError."""
        if len(self.tiles) == 1:
            return as_pixels(self._made(0, first, second, motion, t), *self.tiles[0].size)
        return as_image(self.levels(first, second, motion, t))

    def levels(self, first: EncodedFrame, second: EncodedFrame, motion: PairMotion, t: float) -> Plane:
        """As `between`, but float32 levels that are neither rounded nor kept within 0 to 255."""
        total = np.zeros((self._height, self._width, 3), np.float32) if len(self.tiles) > 1 else None
        for place, tile in enumerate(self.tiles):
            levels = as_levels(self._made(place, first, second, motion, t), *tile.size)
            if total is None:
                return levels
            total[tile.area] += np.multiply(levels, tile.weights(), out=levels)
        assert total is not None, "there is at least one tile"
        return total

    def _made(
        self, place: int, first: EncodedFrame, second: EncodedFrame, motion: PairMotion, t: float
    ) -> Plane:
        found = self._motion_of(place, motion)
        return self._model.interpolate(first.tiles[place], second.tiles[place], found, t)

    def _motion_of(self, place: int, motion: PairMotion) -> Motion:
        if motion.maps is None:
            return motion.tiles[place]
        tile = self.tiles[place]
        corner = tile.rows.start, tile.columns.start
        return part(motion.maps, motion.tiles[0], self._padded, corner, self.tile_size)

    def _shrunk(self, image: Image) -> Image:
        """The whole frame at the size for motion: padded first, so that both grids agree."""
        height, width = self._motion_size
        whole = padded(image, *self._padded)
        return as_uint8(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA))

    def _guides(self, seen: Sequence[Image]) -> Sequence[Grey]:
        prior = self._model.prior
        return () if prior is None else [prior.guide(image) for image in seen]

    def _flows(self, first: EncodedFrame, second: EncodedFrame) -> Sequence[Plane | None]:
        """What each motion of a pair starts from."""
        prior = self._model.prior
        if prior is None:
            return [None] * (1 if self._times > 1 else len(self.tiles))
        guides = zip(first.guides, second.guides, strict=True)
        return [prior.find(*pair, *self._motion_size) for pair in guides]


def choose_scale(model: InterpolationModel, height: int, width: int, options: InterpolationOptions) -> float:
    """The size at which motion is estimated, as a share of the frame's. Raises OptionError."""
    if options.scale != "auto":
        if options.scale < 1 and not model.resizes:
            raise OptionError(
                f"scale is {options.scale:g}, and {model.runtime.spec.name!r} finds motion at full size only",
                "use scale 1 or auto: large frames go through in tiles",
            )
        return float(options.scale)
    if not model.resizes:
        return 1.0
    fitting = [scale for scale in SCALES if scale**2 * height * width <= _ENOUGH]
    return max(fitting, default=min(SCALES))
