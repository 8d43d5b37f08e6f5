"""`Detecting`: the server's own detector, which looks at frames of its sources, one at a time, on a thread"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ..engine.scene import Detections, Finder
from ..vision import Frame
from .settings import Settings


class Detecting:
    """Finds targets in frames beside the event loop. Sources share it.

    Args:
        settings: which file, and how often.

    Attributes:
        every: at every Nth frame of a source it is asked; 0: there is none.

    Raises:
        BundleError, OptionError: the file, or a class, cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.every = 0
        if settings.detector is not None:
            self.every = settings.detect_every
            self._find = Finder(
                settings.detector,
                device=settings.device,
                score=settings.detector_score,
                classes=settings.detect_classes,
            )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="framestate-detect")

    async def find(self, frame: Frame) -> Detections:
        """What is in a frame. Raises StepError, BundleError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._find, frame.image)

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(cancel_futures=True)
