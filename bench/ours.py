"""Our own engine as a tracker to evaluate."""

from __future__ import annotations

from ..engine import Engine, Target
from ..errors import SessionError
from ..vision import Box, Frame


class EngineTracker:
    """One engine, one session after another.

    What is timed includes cropping, the model, decoding and the filter.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._target: Target | None = None

    def start(self, frame: Frame, box: Box) -> None:
        """Opens a session; the last one is closed."""
        if self._target is not None:
            self._target.close()
        self._target = self._engine.track(frame, box)

    def update(self, frame: Frame) -> Box:
        """The engine's box, rounded by nobody."""
        if self._target is None:
            raise SessionError("update was called before start", "start on the first frame")
        return self._target.update(frame).box
