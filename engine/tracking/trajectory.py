"""Boxes as words of a vocabulary of places, as in ARTrackV2: what a trajectory head is told and says.

Glossary
    share   a coordinate over the search crop's side: 0 and 1 are its edges
    low     the vocabulary's first place, as a share: 0.5 - span / 2, ``span`` sides around the middle
    word    ``int((share - low) · (bins - 1))``, at least 0; there are ``bins · span`` of them
Source: the code of Bai et al., "ARTrackV2" (CVPR 2024), whose two readings of a word differ a little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...bundles import ModelSpec
from ...errors import BundleError
from ...vision import Box, SquareCrop
from .measurement import HostDecoder, Maps, Measurement, number


class Vocabulary:
    """The places that a model knows, by ``preprocess.bins`` and ``preprocess.span``. Raises BundleError."""

    def __init__(self, spec: ModelSpec) -> None:
        self.bins, self.span = int(number(spec, "bins")), int(number(spec, "span"))
        if self.bins < 2 or self.span < 1:
            raise BundleError(
                f"model {spec.name!r} has {self.bins} bins over a span of {self.span}",
                "there are at least 2 bins, and a span of at least 1",
            )
        self.places = self.bins * self.span
        self.low = 0.5 - self.span / 2
        self.centres = (self.low + (np.arange(self.places) + 0.5) / self.bins).astype(np.float64)

    def words(self, boxes: Sequence[Box], crop: SquareCrop) -> npt.NDArray[np.int64]:
        """Boxes in image pixels, oldest first -> words (4 · boxes,): left, top, right, bottom."""
        corners = np.array([box.xyxy for box in boxes], np.float64)
        shares = (corners - np.array([crop.left, crop.top, crop.left, crop.top])) / crop.side
        shares = np.clip(np.nan_to_num(shares), self.low, self.low + self.span)
        words: npt.NDArray[np.int64] = ((shares - self.low) * (self.bins - 1)).astype(np.int64)
        return words.reshape(-1)


class TrajectoryDecoder(HostDecoder):
    """Outputs of a trajectory head: logits (4, places) of left, top, right, bottom; score (1,) in [0, 1].

    A coordinate is the mean of the likeliest word (hard) and of the expectation over all (soft). Its
    deviation is that of the distribution. There is no window: the history tells the model where to look.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._words = Vocabulary(spec)
        logits = next((one for one in spec.function("step").outputs if one.name == "logits"), None)
        if logits is None or logits.shape[1:] != (4, self._words.places):
            raise BundleError(
                f"'step' of model {spec.name!r} gives no logits of 4 x {self._words.places} places",
                "a trajectory head's outputs are logits (batch, 4, bins * span) and score (batch, 1)",
            )

    def __call__(self, maps: Maps, crop: SquareCrop, previous: Box) -> Measurement:
        """See ``Decoder``."""
        words = self._words
        logits = maps["logits"].astype(np.float64)
        likely = np.exp(logits - logits.max(1, keepdims=True))
        likely /= likely.sum(1, keepdims=True)
        soft = likely @ words.centres
        variance = np.maximum(likely @ words.centres**2 - soft**2, 0.0)
        hard = (logits.argmax(1) + 0.5) / (words.bins - 1) + words.low
        left, top, right, bottom = ((hard + soft) / 2).tolist()
        least = 1 / crop.size  # a pixel of the crop
        width, height = max(right - left, least), max(bottom - top, least)
        box = Box.from_centre(
            crop.left + (left + right) / 2 * crop.side,
            crop.top + (top + bottom) / 2 * crop.side,
            width * crop.side,
            height * crop.side,
        )
        across, down = variance[0] + variance[2], variance[1] + variance[3]
        wide, high, tall, long = (np.sqrt([across / 4, down / 4, across, down]) * crop.side).tolist()
        return Measurement(box, float(maps["score"][0]), (wide, high, tall, long))
