"""Tracking as the engine runs it: frames into search crops, maps into tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...bundles import ModelSpec
from ...errors import BundleError
from ...runtimes import Arrays
from ...vision import Box, Frame, SquareCrop, around, cut, normalise
from ..track import Track
from .decode import decode, hann_window
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
    """Prepares batches for a tracker's ``step`` and reads its answers. Holds no session of its own."""

    function = "step"

    def __init__(self, spec: ModelSpec, options: TrackingOptions) -> None:
        if spec.task != "tracking":
            raise BundleError(
                f"model {spec.name!r} is made for {spec.task}, not for tracking", "choose a tracker"
            )
        self.options = options
        preprocess: dict[str, Any] = dict(spec.preprocess)
        self.template_size, self.template_factor = (
            int(preprocess["template_size"]),
            float(preprocess["template_factor"]),
        )
        grid = next(tensor for tensor in spec.function("step").outputs if tensor.name == "score").shape[-1]
        assert isinstance(grid, int)
        self._hann = hann_window(grid)
        self.search_size, self.search_factor = (
            int(preprocess["search_size"]),
            float(preprocess["search_factor"]),
        )

    def template(self, frame: Frame, box: Box) -> Arrays:
        """The inputs of ``init``: the target's crop, (1, 3, S, S)."""
        crop = around(box, self.template_factor, self.template_size)
        return {"template": normalise(cut(frame.image, crop))[None]}

    def prepare(self, batch: Sequence[TrackingWork]) -> Arrays:
        """Predicts each target's place and cuts its search crop: the inputs of ``step``."""
        crops = []
        for work in batch:
            work.crop, work.expected = work.memory.predict(work.frame, self.search_factor, self.search_size)
            crops.append(cut(work.frame.image, work.crop))
        carry = np.array([work.memory.carry for work in batch], np.float32)
        return {"search": normalise(np.stack(crops)), "carry": carry}

    def finish(self, batch: Sequence[TrackingWork], outputs: Arrays) -> list[Track]:
        """Decodes each target's maps, moves its filter on, and says where it is."""
        tracks = []
        for index, work in enumerate(batch):
            assert work.crop is not None and work.expected is not None
            maps = {name: values[index] for name, values in outputs.items()}
            measured = decode(
                maps,
                work.crop,
                work.expected,
                hann=self._hann,
                window=self.options.window,
                change=self.options.change,
            )
            work.memory.observe(measured)
            memory = work.memory
            tracks.append(Track(memory.box, memory.score, memory.status, work.frame.index))
        return tracks
