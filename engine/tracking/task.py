"""Tracking as the engine runs it: frames into search crops, maps into tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...bundles import ModelSpec
from ...errors import BundleError
from ...runtimes import Arrays
from ...vision import Box, Frame, Image, SquareCrop
from ..track import Track
from .cropping import Cropping
from .decode import open_decoder
from .first_view import Bytes, compact, expand
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
        memory = TargetMemory(frame, box, self.options, self._cropping.fill(frame.image))
        if self.options.refresh_every:
            memory.first_view = compact(self._template(memory, frame, box))
        return memory

    def template(self, memory: TargetMemory, frame: Frame, box: Box) -> Arrays:
        """The inputs of ``init``: the target's crop, (1, 3, S, S)."""
        return {"template": self._cropping.planes([self._template(memory, frame, box)])}

    def first_template(self, view: Bytes) -> Arrays:
        """The inputs of ``init`` for a ``TargetMemory.first_view``. Raises StateError when it is none."""
        return {"template": self._cropping.planes([expand(view, self._cropping.template_size)])}

    def _template(self, memory: TargetMemory, frame: Frame, box: Box) -> Image:
        return self._cropping.view(frame.image, self._cropping.template(box), memory.fill)

    def prepare(self, batch: Sequence[TrackingWork]) -> Arrays:
        """Predicts each target's place and cuts its search crop: the inputs of ``step``."""
        views = []
        for work in batch:
            work.expected, growth = work.memory.predict(work.frame)
            work.crop = self._cropping.search(work.expected, growth)
            views.append(self._cropping.view(work.frame.image, work.crop, work.memory.fill))
        inputs: Arrays = {"search": self._cropping.planes(views)}
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
