"""What a decoder reads and gives, and the numbers that it asks of a manifest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...bundles import ModelSpec
from ...errors import BundleError
from ...runtimes import Arrays
from ...vision import Box, SquareCrop
from .kalman import Four

Array = npt.NDArray[np.float32]
Maps = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A box in image pixels, its raw score in [0, 1], and the deviations (4,) of cx, cy, w, h in pixels."""

    box: Box
    score: float
    std: Four


class HostDecoder:
    """What most decoders do: they look for the best cell themselves, and tell of no other place."""

    def asks(self, crop: SquareCrop, previous: Box) -> Arrays:
        """See ``Decoder``."""
        return {}

    def rival(self, maps: Maps, crop: SquareCrop, target: Box) -> Box | None:
        """See ``Decoder``."""
        return None


def number(spec: ModelSpec, key: str) -> float:
    """A number that the manifest's ``preprocess`` must hold. Raises BundleError."""
    value = spec.preprocess.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BundleError(f"preprocess.{key} of model {spec.name!r} is {value!r}", "it must be a number")
    return float(value)
