"""`Finder`: a detector's ONNX file as what finds the targets of a scene."""

from __future__ import annotations

import os
from collections.abc import Collection

from ...vision import Image
from .detections import Detections


class Finder:
    """Finds targets in pictures; not for several threads at a time.

    Args:
        path: an ONNX file of the YOLO form, see `runtimes.detector`.
        device: ``cuda``; anything else is the CPU.
        threads: of one call on a CPU.
        score: least score that counts.
        classes: only these, by name; empty: all.

    Raises:
        BundleError: the file is no ONNX model, or of another form.
        OptionError: the model has no such class.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        threads: int | None = None,
        score: float = 0.25,
        classes: Collection[str] = (),
    ) -> None:
        from ...runtimes.detector import Detector

        self._detector = Detector(
            path,
            device="cuda" if device == "cuda" else "cpu",
            threads=threads or 2,
            score=score,
            classes=classes,
        )

    def __call__(self, image: Image) -> Detections:
        """What is in a picture, RGB uint8 (H, W, 3). Raises FrameError, StepError, BundleError."""
        return Detections.from_xyxy(*self._detector(image))
