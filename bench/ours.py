"""Our own engine as a tracker to evaluate."""

from __future__ import annotations

from ..engine import Engine, Session, Track
from ..errors import BundleError, SessionError
from ..vision import Box, Frame


class EngineTracker:
    """One engine, one session after another.

    What is timed includes cropping, the model, decoding and the filter.

    Raises BundleError: the engine's sessions follow nothing.
    """

    def __init__(self, engine: Engine) -> None:
        if not engine.task.opens_on_frame:
            raise BundleError(f"model {engine.runtime.spec.name!r} follows no target", "choose a tracker")
        self._engine = engine
        self._session: Session[Track] | None = None

    def start(self, frame: Frame, box: Box) -> None:
        """Opens a session; the last one is closed."""
        if self._session is not None:
            self._session.close()
        self._session = self._engine.open(frame, box=box)

    def update(self, frame: Frame) -> Box:
        """The engine's box, rounded by nobody."""
        return self.track(frame).box

    def track(self, frame: Frame) -> Track:
        """All that the engine answers. Raises SessionError before ``start``."""
        if self._session is None:
            raise SessionError("update was called before start", "start on the first frame")
        return self._session.push(frame)
