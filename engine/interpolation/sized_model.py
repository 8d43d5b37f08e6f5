"""The model over frames of one size: padded, in tiles where large, motion at a smaller size if asked."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from ...errors import OptionError, StateError
from ...runtimes import Arrays
from ...vision import Image
from ...vision.motion import Grey, Neighbour, PairFlow
from ...vision.pixels import as_uint8, is_deep
from ..codec import DAMAGED
from .finer import Sight, finer, sight_of
from .model import Aimed, Features, InterpolationModel, Motion, Shown, Take
from .options import SCALES, InterpolationOptions
from .padding import Plane, as_image, padded, padded_size, put_levels, put_pixels
from .resampling import Maps, enlarged, part
from .tiles import plan

_ENOUGH = 1280 * 720
"""Pixels on which "auto" finds motion, at most. On training clips of 1280 x 720 half the size gave 1.1 dB
more than the full size (-0.4 to 2.7), at 2560 x 1440 1.3 dB more (0.7 to 2.1): it reaches twice as far."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFrame:
    """A frame's features: of each tile at full size, and of the whole at reduced size where that is used.

    ``is_deep`` tells that it has 16 bits a component, as what is made of it then has. ``whole`` stands in
    place of tiles where nothing is looked at in full size: the frame, and the small one to compare places.
    """

    tiles: Sequence[Features]
    small: Features | None
    is_deep: bool = False
    whole: tuple[Shown, Sight] | None = None


Guides = Sequence[Grey]
"""What a flow to start from is found by: of the small frame or of each tile, as the model looks for motion
there; none where the model starts from no flow."""
Flows = Sequence[PairFlow]
"""The flows that a pair starts from: of the small frames or of each tile; none where there are no guides."""


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
        self._aims_small = self._times > 1 and model.shows(self._padded)
        most = self._padded[0] * self._padded[1] if self._aims_small else options.tile_pixels
        self.tiles = plan(height, width, multiple=multiple, most=most, overlap=options.overlap)
        sizes = [padded_size(*tile.size, multiple) for tile in self.tiles]
        self.tile_size = max(size[0] for size in sizes), max(size[1] for size in sizes)
        """Height and width of what the model sees of a tile: one size for all, so memory is laid out once."""
        small = self._padded[0] // self._times, self._padded[1] // self._times
        self._motion_size = self.tile_size if self._times == 1 else small

    def encode(self, image: Image) -> Generator[Any, Any, EncodedFrame]:
        """The features of RGB uint8 (height, width, 3), a call a tile."""
        if self._times > 1:
            shrunk = self._shrunk(image)
            small = yield from self._model.encode(shrunk, self._motion_size, shown=False)
            if self._aims_small:
                whole = Shown(image, self._padded), sight_of(shrunk)
                return EncodedFrame((), small, is_deep(image), whole)
        else:
            small = None
        tiles, moves = [], small is None
        for tile in self.tiles:
            tiles.append((yield from self._model.encode(image[tile.area], self.tile_size, moves=moves)))
        return EncodedFrame(tiles, small, is_deep(image))

    def guides(self, image: Image) -> Guides:
        """What flows of RGB uint8 (height, width, 3) are found by; none where the model asks for none."""
        prior = self._model.prior
        if prior is None:
            return ()
        if self._times > 1:
            return [prior.guide(self._shrunk(image))]
        return [prior.guide(padded(image[tile.area], *self.tile_size)) for tile in self.tiles]

    def flows(self, first: Guides, second: Guides) -> Flows:
        """The flows that a pair starts from. Raises StepError."""
        prior = self._model.prior
        if prior is None:
            return ()
        quick = self._times > 1  # a large frame takes long enough
        pairs = zip(first, second, strict=True)
        return [prior.find(*pair, *self._motion_size, quick=quick) for pair in pairs]

    def check_flows(self, pairs: Sequence[Flows]) -> None:
        """Raises StateError unless these may be flows of pairs of such frames."""
        prior = self._model.prior
        count = 0 if prior is None else 1 if self._times > 1 else len(self.tiles)
        shrink = 1 if prior is None else prior.shrink
        grid = (self._motion_size[0] // shrink, self._motion_size[1] // shrink, 2)
        for flows in pairs:
            if len(flows) != count or any(flow.forth.shape != grid for flow in flows):
                raise StateError(f"the flows of the snapshot are not {count} of {grid}", DAMAGED)

    def motion_state(self) -> list[list[Any]]:
        """The tensors of a pair's motion, a list a tile; empty where the model does not carry it."""
        tensors = [one.sized(self._motion_size) for one in self._model.carried]
        return [tensors] * (1 if self._times > 1 else len(self.tiles)) if tensors else []

    def motion(
        self,
        first: EncodedFrame,
        second: EncodedFrame,
        last: PairMotion | None,
        flows: Flows = (),
        before: tuple[Flows, float] | None = None,
        after: tuple[Flows, float] | None = None,
    ) -> Generator[Any, Any, PairMotion]:
        """The motion between two frames.

        Args:
            first, second: the frames.
            last: the motion of the last pair, for a model that carries it.
            flows: of this pair.
            before, after: flows of the pairs around it, and how often each fits in the duration of this one.
        """
        told = self._told(flows, before, after)
        if first.small is None or second.small is None:
            starts = last.tiles if last else [self._model.start(*self.tile_size)] * len(self.tiles)
            found = []
            for pair in zip(first.tiles, second.tiles, starts, told, strict=True):
                found.append((yield from self._model.motion(*pair)))
            return PairMotion(found, None)
        start = last.tiles[0] if last else self._model.start(*self._motion_size)
        motion = yield from self._model.motion(first.small, second.small, start, *told)
        if self._aims_small:
            return PairMotion([motion], None)
        maps = enlarged(self._model.runtime, motion, self._model.resizes, self._times)
        return PairMotion([motion], maps)

    def _told(
        self, flows: Flows, before: tuple[Flows, float] | None, after: tuple[Flows, float] | None
    ) -> Sequence[Arrays]:
        """What the model is handed beside the features: for the small frames, or for each tile."""
        prior = self._model.prior
        if prior is None:
            return [{}] * (1 if self._times > 1 else len(self.tiles))
        around = [
            [None] * len(flows) if known is None else [Neighbour(pair, known[1]) for pair in known[0]]
            for known in (before, after)
        ]
        return [prior.told(*given) for given in zip(flows, *around, strict=True)]

    def between(
        self, first: EncodedFrame, second: EncodedFrame, motion: PairMotion, t: float
    ) -> Generator[Any, Any, Image]:
        """The RGB frame at ``t`` in (0, 1) between two, as deep as they are, a call a tile."""
        if len(self.tiles) > 1:
            levels = yield from self.levels(first, second, motion, t)
            return as_image(levels, deep=first.is_deep)
        image = as_uint8(np.empty((self._height, self._width, 3), np.uint16 if first.is_deep else np.uint8))
        yield from self._made(0, first, second, motion, t, partial(put_pixels, image))
        return image

    def levels(
        self, first: EncodedFrame, second: EncodedFrame, motion: PairMotion, t: float
    ) -> Generator[Any, Any, Plane]:
        """As `between`, but float32 levels that are neither rounded nor kept within 0 to 255."""
        total = np.zeros((self._height, self._width, 3), np.float32) if len(self.tiles) > 1 else None
        for place, tile in enumerate(self.tiles):
            levels = np.empty((*tile.size, 3), np.float32)
            yield from self._made(place, first, second, motion, t, partial(put_levels, levels))
            if total is None:
                return levels
            total[tile.area] += np.multiply(levels, tile.weights(), out=levels)
        assert total is not None, "there is at least one tile"
        return total

    def _made(
        self, place: int, first: EncodedFrame, second: EncodedFrame, motion: PairMotion, t: float, take: Take
    ) -> Generator[Any, Any, None]:
        if first.whole is None or second.whole is None:
            found = self._motion_of(place, motion)
            yield from self._model.interpolate(first.tiles[place], second.tiles[place], found, t, take)
            return
        assert first.small is not None, "motion is found on it"
        assert second.small is not None, "motion is found on it"
        aimed = yield from self._model.aim(first.small, second.small, motion.tiles[0], t)
        yield from self._model.blend(
            first.whole[0], second.whole[0], self._enlarged(aimed, first.whole[1], second.whole[1]), take
        )

    def _enlarged(self, aimed: Aimed, first: Sight, second: Sight) -> Aimed:
        """Where places of the frame lie, by where those of the small frame do."""
        rows, columns = (side * self._times for side in aimed.flow.shape[2:])
        found = finer(aimed.flow, first, second)
        flow = np.empty((1, len(found[0]), rows, columns), np.float32)
        for plane, into in zip(found[0], flow[0], strict=True):
            into[...] = cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_LINEAR)
        return Aimed(np.multiply(flow, self._times, out=flow), aimed.maps)

    def _motion_of(self, place: int, motion: PairMotion) -> Motion:
        if motion.maps is None:
            return motion.tiles[place]
        tile = self.tiles[place]
        corner = tile.rows.start, tile.columns.start
        return part(self._model.runtime, motion.maps, self._padded, corner, self.tile_size)

    def _shrunk(self, image: Image) -> Image:
        """The whole frame at the size for motion: padded first, so that both grids agree."""
        height, width = self._motion_size
        whole = padded(image, *self._padded)
        return as_uint8(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA))


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
