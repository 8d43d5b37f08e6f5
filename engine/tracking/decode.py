"""From a head's maps to one measured box: pure geometry, one class a kind of head, chosen by the manifest.

Glossary: G is the grid's side in cells; maps are one session's, without the batch dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ...bundles import ModelSpec
from ...errors import BundleError
from ...runtimes import Arrays
from ...vision import Box, SquareCrop
from .best_cell import BestCell
from .kalman import Four
from .measurement import Array, HostDecoder, Maps, Measurement, number
from .options import TrackingOptions
from .trajectory import TrajectoryDecoder

RIVAL_AWAY = 0.8
"""How far from the target another place is at least, in its own widths or heights."""
RIVAL_SCORE = 0.02
"""Least score of such a place."""


class Decoder(Protocol):
    """Reads one session's maps, or what ``step`` made of them."""

    def asks(self, crop: SquareCrop, previous: Box) -> Arrays:
        """What ``step`` has to be told for it, with a batch of one, beside what every tracker takes."""

    def __call__(self, maps: Maps, crop: SquareCrop, previous: Box) -> Measurement:
        """Maps of a search crop and the box believed before (image pixels) into a measurement."""

    def rival(self, maps: Maps, crop: SquareCrop, target: Box) -> Box | None:
        """What the maps show beside the target, if they can say so: the likest other place (image pixels)."""


class CentreDecoder(HostDecoder):
    """Maps of a centre head.

    score (1, G, G); offset (2, G, G) of the centre from the cell's middle, in cells; size (2, G, G) as shares
    of the crop's side; log_variance (4, G, G) of centre and size relative to the target's size.
    """

    def __init__(self, spec: ModelSpec, options: TrackingOptions) -> None:
        self._best = BestCell(map_side(spec, "score"), options)

    def __call__(self, maps: Maps, crop: SquareCrop, previous: Box) -> Measurement:
        """See ``Decoder``."""
        score = maps["score"][0]
        before = (previous.w / crop.side, previous.h / crop.side)
        row, column = self._best(score, maps["size"], before)
        cell = crop.size / score.shape[0]
        width, height = maps["size"][:, row, column].tolist()
        right, down = maps["offset"][:, row, column].tolist()
        place = (
            (column + 0.5 + right) * cell,
            (row + 0.5 + down) * cell,
            width * crop.size,
            height * crop.size,
        )
        return measured(crop, place, score[row, column].item(), maps["log_variance"][:, row, column])

    def rival(self, maps: Maps, crop: SquareCrop, target: Box) -> Box | None:
        """See ``Decoder``."""
        score = maps["score"][0]
        cell = crop.size / score.shape[0]
        line = ((np.arange(score.shape[0]) + 0.5) * cell).astype(np.float32)
        found = beside(score, line, cell, crop.to_crop(target))
        if found is None:
            return None
        row, column = found
        right, down = maps["offset"][:, row, column].tolist()
        width, height = (maps["size"][:, row, column] * crop.size).tolist()
        place = Box.from_centre((column + 0.5 + right) * cell, (row + 0.5 + down) * cell, width, height)
        return crop.to_image(place) if min(width, height) >= 1 else None


def beside(score: Array, line: Array, cell: float, target: Box) -> tuple[int, int] | None:
    """Row and column of the likest place away from the target, of scores (G, G); None where there is none.

    ``line`` (G,) is where the cells of a row or column look for a centre, and ``cell`` is how far they are
    apart, in pixels of the crop, as ``target`` is.
    """
    cx, cy = target.centre
    away = np.maximum(
        np.abs(line - cx)[None] / max(target.w, cell), np.abs(line - cy)[:, None] / max(target.h, cell)
    )
    row, column = divmod(int(np.where(away > RIVAL_AWAY, score, 0).argmax()), len(line))
    if away[row, column] <= RIVAL_AWAY or score[row, column] < RIVAL_SCORE:
        return None
    return row, column


class CellDecoder(HostDecoder):
    """What a centre head gives whose graph ends with the best cell; ``models/best_cell.py`` says the same.

    cell (9,): score; centre, width and height as shares of the crop's side; their log variances.
    """

    def __init__(self, spec: ModelSpec, options: TrackingOptions) -> None:
        self._options = options
        taken = {tensor.name: tensor.shape for tensor in spec.function("step").inputs}
        given = {tensor.name: tensor.shape for tensor in spec.function("step").outputs}
        if taken.get("belief") != ("batch", 4) or given.get("cell") != ("batch", 9):
            raise BundleError(
                f"'step' of model {spec.name!r} takes no belief (batch, 4) or gives no cell (batch, 9)",
                "export it with --decode graph",
            )

    def asks(self, crop: SquareCrop, previous: Box) -> Arrays:
        """See ``Decoder``."""
        shares = previous.w / crop.side, previous.h / crop.side
        return {"belief": np.array([[*shares, self._options.change, self._options.window]], np.float32)}

    def __call__(self, maps: Maps, crop: SquareCrop, previous: Box) -> Measurement:
        """See ``Decoder``."""
        cell = maps["cell"]
        cx, cy, width, height = (share * crop.size for share in cell[1:5].tolist())
        return measured(crop, (cx, cy, width, height), cell[0].item(), cell[5:])


def measured(crop: SquareCrop, place: Four, score: float, log_variance: Array) -> Measurement:
    """A centre head's cell: where, in pixels of the crop, and variances relative to the target's size."""
    cx, cy, width, height = place
    box = crop.to_image(Box.from_centre(cx, cy, max(width, 1e-3), max(height, 1e-3)))
    relative = np.exp(0.5 * log_variance.astype(np.float64)).tolist()
    std = (relative[0] * box.w, relative[1] * box.h, relative[2] * box.w, relative[3] * box.h)
    return Measurement(box, score, std)


class PointDecoder(HostDecoder):
    """Maps of an anchor-free Siamese head: at each point, distances to the four sides.

    classes (2, G, G), logits of background and target; sides (4, G, G): left, top, right, bottom distances in
    crop pixels from the point, points being ``stride`` pixels apart around the crop's middle.
    """

    def __init__(self, spec: ModelSpec, options: TrackingOptions) -> None:
        grid = map_side(spec, "classes")
        self._best = BestCell(grid, options)
        self._stride = number(spec, "stride")
        self._line = ((np.arange(grid) - grid // 2) * self._stride).astype(np.float32)
        self._relative_std = number(spec, "relative_std")

    def __call__(self, maps: Maps, crop: SquareCrop, previous: Box) -> Measurement:
        """See ``Decoder``."""
        score, sides = self._scores(maps), maps["sides"][:2] + maps["sides"][2:]
        before = (previous.w * crop.scale, previous.h * crop.scale)
        row, column = self._best(score, sides, before)
        box = self._box(maps, crop, row, column)
        wide, high = self._relative_std * box.w, self._relative_std * box.h
        return Measurement(box, float(score[row, column]), (wide, high, wide, high))

    def rival(self, maps: Maps, crop: SquareCrop, target: Box) -> Box | None:
        """See ``Decoder``."""
        line = self._line + np.float32(crop.size / 2)
        found = beside(self._scores(maps), line, self._stride, crop.to_crop(target))
        return None if found is None else self._box(maps, crop, *found)

    def _scores(self, maps: Maps) -> Array:
        """How likely each point is to lie on the target: (G, G) in [0, 1]."""
        background, target = maps["classes"]
        scores: Array = 1 / (1 + np.exp(np.clip(background - target, -30, 30)))
        return scores

    def _box(self, maps: Maps, crop: SquareCrop, row: int, column: int) -> Box:
        """What a point says, in pixels of the image."""
        left, top, right, bottom = maps["sides"][:, row, column].tolist()
        cx = crop.size / 2 + self._line[column].item() + (right - left) / 2
        cy = crop.size / 2 + self._line[row].item() + (bottom - top) / 2
        return crop.to_image(Box.from_centre(cx, cy, max(left + right, 1.0), max(top + bottom, 1.0)))


DECODERS: dict[str, Callable[[ModelSpec, TrackingOptions], Decoder]] = {
    "centre": CentreDecoder,
    "points": PointDecoder,
    "trajectory": lambda spec, options: TrajectoryDecoder(spec),
    "cell": CellDecoder,
}
"""By ``preprocess.decode``."""


def open_decoder(spec: ModelSpec, options: TrackingOptions) -> Decoder:
    """The decoder that ``preprocess.decode`` names ("centre" if it names none). Raises BundleError."""
    name = spec.preprocess.get("decode", "centre")
    if not isinstance(name, str) or name not in DECODERS:
        raise BundleError(
            f"model {spec.name!r} asks for decoder {name!r}", f"known decoders: {', '.join(DECODERS)}"
        )
    return DECODERS[name](spec, options)


def map_side(spec: ModelSpec, output: str) -> int:
    """Cells a side of a square map that ``step`` gives. Raises BundleError when there is no such map."""
    for tensor in spec.function("step").outputs:
        side = tensor.shape[-1]
        if tensor.name == output and isinstance(side, int):
            return side
    raise BundleError(
        f"'step' of model {spec.name!r} has no map {output!r}", "name the outputs as its decoder expects"
    )
