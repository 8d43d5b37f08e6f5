"""Tracking as the engine runs it: frames into search crops, maps into tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...bundles import ModelSpec
from ...errors import BundleError
from ...runtimes import Arrays, CropMaker
from ...vision import Box, Frame, Image, SquareCrop
from ..track import Track
from .cropping import Cropping
from .decode import open_decoder
from .first_view import Bytes, compact, expand
from .options import TrackingOptions
from .target import TargetMemory
from .trajectory import Vocabulary


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
        crops: makes search crops where the model runs; without it they are made here.
    """

    function = "step"

    def __init__(
        self, spec: ModelSpec, options: TrackingOptions | None = None, crops: CropMaker | None = None
    ) -> None:
        if spec.task != "tracking":
            raise BundleError(
                f"model {spec.name!r} is made for {spec.task}, not for tracking", "choose a tracker"
            )
        self.options = options or TrackingOptions.from_spec(spec)
        self._cropping, self._crops = Cropping(spec), crops
        self._decode = open_decoder(spec, self.options)
        inputs = {tensor.name: tensor for tensor in spec.function("step").inputs}
        self._carries = "carry" in inputs
        self.history, self._copies = 0, 1
        if "history" in inputs:
            self._words = Vocabulary(spec)
            self.history = int(inputs["history"].shape[1]) // 4
        template = next((one for one in spec.function("init").inputs if one.name == "template"), None)
        if template is not None and len(template.shape) == 5:  # several templates; at first all are the same
            self._copies = int(template.shape[1])

    def open(self, frame: Frame, box: Box) -> TargetMemory:
        """What is remembered of a new target, box in pixels of the frame."""
        fill = self._cropping.fill(frame.image)
        memory = TargetMemory(frame, box, self.options, fill, self.history)
        if self.options.refresh_every:
            memory.first_view = compact(self._template(memory, frame, box))
        return memory

    def template(self, memory: TargetMemory, frame: Frame, box: Box) -> Arrays:
        """The inputs of ``init``: the target's crop, (1, 3, S, S), or (1, T, 3, S, S) of T templates."""
        return self._templates(self._template(memory, frame, box))

    def first_template(self, view: Bytes) -> Arrays:
        """The inputs of ``init`` for a ``TargetMemory.first_view``. Raises StateError when it is none."""
        return self._templates(expand(view, self._cropping.template_size))

    def _templates(self, view: Image) -> Arrays:
        planes = self._cropping.planes([view])
        return {"template": planes if self._copies == 1 else np.repeat(planes[:, None], self._copies, 1)}

    def _template(self, memory: TargetMemory, frame: Frame, box: Box) -> Image:
        return self._cropping.view(frame.image, self._cropping.template(box), memory.fill)

    def prepare(self, batch: Sequence[TrackingWork]) -> Arrays:
        """Predicts each target's place and cuts its search crop: the inputs of ``step``."""
        cuts: list[Any] = []
        cut = self._cropping.view if self._crops is None else self._cropping.piece
        for work in batch:
            work.expected, growth = work.memory.predict(work.frame)
            work.crop = self._cropping.search(work.expected, growth)
            cuts.append(cut(work.frame.image, work.crop, work.memory.fill))
        if self._crops is None:
            inputs: dict[str, Any] = {"search": self._cropping.planes(cuts)}
        else:
            inputs = {"search": self._crops(cuts, raw=self._cropping.raw)}
        if self._carries:
            inputs["carry"] = np.array([work.memory.carry for work in batch], np.float32)
        if self.history:
            crops = [work.crop for work in batch if work.crop is not None]
            told = zip(batch, crops, strict=True)
            inputs["history"] = np.stack([self._words.words(work.memory.recent, crop) for work, crop in told])
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
            chance = self.options.chance(memory.score)
            tracks.append(Track(memory.box, chance, memory.status, work.frame.index))
        return tracks
