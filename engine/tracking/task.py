"""Tracking as the engine runs it: frames into search crops, maps into tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...bundles import ModelSpec
from ...errors import BundleError
from ...runtimes import Arrays
from ...vision import Box, Frame, SquareCrop
from ..track import Track
from .cropping import Cropping
from .decode import open_decoder
from .options import TrackingOptions
from .target import TargetMemory


@dataclass
class TrackingWork:
    """One frame of one target on its way through a step."""

    slot: int
    memory: TargetMemory
    frame: Frame
    crop: SquareCrop | None = None
    expected: Box | None = None


class TrackingTask:
    """Prepares batches for a tracker's ``step`` and reads its answers. Holds no session of its own.

    Args:
        spec: of a tracker; its ``preprocess`` names crops, decoder and the thresholds it was tuned with.
        options: thresholds to use instead.
    """

    function = "step"

    def __init__(self, spec: ModelSpec, options: TrackingOptions | None = None) -> None:
        if spec.task != "tracking":
            raise BundleError(
                f"model {spec.name!r} is made for {spec.task}, not for tracking", "choose a tracker"
            )
        self.options = options or TrackingOptions.from_spec(spec)
        self._cropping = Cropping(spec)
        self._decode = open_decoder(spec, self.options)
        self._carries = any(tensor.name == "carry" for tensor in spec.function("step").inputs)

    def open(self, frame: Frame, box: Box) -> TargetMemory:
        """What is remembered of a new target, box in pixels of the frame."""
        return TargetMemory(frame, box, self.options, self._cropping.fill(frame.image))

    def template(self, memory: TargetMemory, frame: Frame, box: Box) -> Arrays:
        """The inputs of ``init``: the target's crop, (1, 3, S, S)."""
        return {
            "template": self._cropping.pixels([frame.image], [self._cropping.template(box)], [memory.fill])
        }

    def prepare(self, batch: Sequence[TrackingWork]) -> Arrays:
        """Predicts each target's place and cuts its search crop: the inputs of ``step``."""
        crops = []
        for work in batch:
            work.expected, growth = work.memory.predict(work.frame)
            work.crop = self._cropping.search(work.expected, growth)
            crops.append(work.crop)
        fills = [work.memory.fill for work in batch]
        inputs: Arrays = {"search": self._cropping.pixels([work.frame.image for work in batch], crops, fills)}
        if self._carries:
            inputs["carry"] = np.array([work.memory.carry for work in batch], np.float32)
        return inputs

    def finish(self, batch: Sequence[TrackingWork], outputs: Arrays) -> list[Track]:
        """Decodes each target's maps, moves its filter on, and says where it is."""
        tracks = []
        for index, work in enumerate(batch):
            assert work.crop is not None, "prepare comes before finish"
            assert work.expected is not None
            maps = {name: values[index] for name, values in outputs.items()}
            work.memory.observe(self._decode(maps, work.crop, work.expected))
            memory = work.memory
            tracks.append(Track(memory.box, memory.score, memory.status, work.frame.index))
        return tracks
