"""How a model wants to see the world: the crops of template and search, by its manifest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...bundles import ModelSpec
from ...errors import BundleError
from ...vision import Box, Image, Piece, SquareCrop, around, cut, normalise
from .measurement import number

Planes = npt.NDArray[np.float32]


class Cropping:
    """Crops and pixel values as ``ModelSpec.preprocess`` asks for.

    - ``template_size``, ``search_size``: output pixels.
    - ``template_factor``, ``search_factor``: side of the crop in units of the target's extent, ``sqrt(w h)``.
    - ``context``: the extent is ``sqrt((w + p)(h + p))`` with ``p = context (w + h)`` (Siamese trackers).
    - ``normalisation``: "imagenet", or "none" for RGB 0–255.
    - ``padding``: "zero", or "mean" for the first frame's mean colour.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.template_size = int(number(spec, "template_size"))
        self.search_size = int(number(spec, "search_size"))
        self.template_factor = number(spec, "template_factor")
        self.search_factor = number(spec, "search_factor")
        self.context = number(spec, "context") if "context" in spec.preprocess else 0.0
        self.look_factor = number(spec, "look_factor") if "look" in spec.functions else 0.0
        self.look_size, self.near_size = _side(spec, "look"), _side(spec, "near")
        self.raw = self._choice(spec, "normalisation", ("imagenet", "none")) == "none"
        self.mean_padding = self._choice(spec, "padding", ("zero", "mean")) == "mean"

    def template(self, box: Box) -> SquareCrop:
        """The template's square around a box in image pixels."""
        return around(self._extended(box), self.template_factor, self.template_size)

    def search(self, box: Box, growth: float, near: bool = False) -> SquareCrop:
        """The search square around a box in image pixels, ``growth`` times its usual side.

        ``near`` is the smaller one of ``near``, of the same scale.
        """
        size = self.near_size if near else self.search_size
        return around(self._extended(box), self.search_factor * growth * size / self.search_size, size)

    def look(self, box: Box) -> SquareCrop:
        """The square around a box in image pixels whose looks are compared."""
        return around(box, self.look_factor, self.look_size)

    def fill(self, image: Image) -> npt.NDArray[np.uint8] | None:
        """The colour (3,) for what lies outside the frame, or None for black."""
        return image.reshape(-1, 3).mean(0).astype(np.uint8) if self.mean_padding else None

    def view(self, image: Image, crop: SquareCrop, fill: npt.NDArray[np.uint8] | None) -> Image:
        """Cuts a crop: (size, size, 3) uint8, with ``fill`` outside the image."""
        piece = cut(image, crop)
        if fill is not None:
            paint_outside(piece, crop, image, fill)
        return piece

    def planes(self, views: Sequence[Image]) -> Planes:
        """Views of one size as the model wants them: (batch, 3, size, size) float32."""
        batch = views[0][None] if len(views) == 1 else np.stack(views)
        if self.raw:
            return np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32)
        return normalise(batch)

    def piece(self, image: Image, crop: SquareCrop, fill: npt.NDArray[np.uint8] | None) -> Piece:
        """What ``view`` cuts, still to be resized where the model runs; a crop with ``fill`` has its size."""
        return Piece.of(image, crop) if fill is None else Piece.ready(self.view(image, crop, fill))

    def _extended(self, box: Box) -> Box:
        if not self.context:
            return box
        pad = self.context * (box.w + box.h)
        return Box.from_centre(*box.centre, box.w + pad, box.h + pad)

    def _choice(self, spec: ModelSpec, key: str, allowed: tuple[str, ...]) -> str:
        value = spec.preprocess.get(key, allowed[0])
        if value not in allowed:
            raise BundleError(
                f"preprocess.{key} of model {spec.name!r} is {value!r}", f"known: {', '.join(allowed)}"
            )
        return str(value)


def _side(spec: ModelSpec, function: str) -> int:
    """Pixels on each side of the views that a function takes, where there is such a function; else 0."""
    side = spec.function(function).inputs[0].shape[-1] if function in spec.functions else 0
    if not isinstance(side, int):
        raise BundleError(
            f"{function!r} of model {spec.name!r} takes views of {side} pixels", "give a fixed size"
        )
    return side


def paint_outside(piece: Image, crop: SquareCrop, image: Image, colour: npt.NDArray[np.uint8]) -> None:
    """Paints what lies outside the image in one colour, in place."""
    height, width = image.shape[:2]
    left, top = (max(0, round(-edge * crop.scale)) for edge in (crop.left, crop.top))
    right, bottom = (
        min(crop.size, round((end - edge) * crop.scale))
        for end, edge in ((width, crop.left), (height, crop.top))
    )
    if left > 0:
        piece[:, :left] = colour
    if top > 0:
        piece[:top] = colour
    if right < crop.size:
        piece[:, max(right, 0) :] = colour
    if bottom < crop.size:
        piece[max(bottom, 0) :] = colour
