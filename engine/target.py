"""`Target`: one followed object of an engine that runs inline, frame by frame, on the caller's thread."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..errors import SessionError
from ..vision import Frame, Image
from .inputs import as_frame
from .track import Track
from .tracking import TargetMemory, TrackingWork

if TYPE_CHECKING:
    from .engine import Engine


class Target:
    """One followed object: what ``Engine.track`` opened."""

    def __init__(self, engine: Engine, slot: int, memory: TargetMemory) -> None:
        self._engine = engine
        self._slot: int | None = slot
        self.memory = memory

    def update(self, frame: Frame | Image) -> Track:
        """Where the target is in the next frame.

        A bare image counts as one nominal frame after the last one; a ``Frame`` brings its own time.

        Raises:
            FrameError: the frame has another size or is not later than the last one; the session goes on.
            StepError: the model failed or gave numbers that are not finite; the session is as it was.
            SessionError: the target or its engine is closed, or the engine has gone over to a thread.
        """
        slot = self.slot
        self._engine.check_inline()
        current = as_frame(frame, self.memory.clock, self._engine.task.options.reference_rate)
        self.memory.check(current)
        (answer,) = self._engine.step([TrackingWork(slot, self.memory, current)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def slot(self) -> int:
        """Its row of state. Raises SessionError when it is closed."""
        if self._slot is None:
            raise SessionError("this target is closed", "start a new one with Engine.track")
        return self._slot

    def close(self) -> None:
        """Gives the row back. Closing twice is harmless."""
        if self._slot is not None:
            slot, self._slot = self._slot, None
            self._engine.give_back(slot)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
