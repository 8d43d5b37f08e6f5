"""A tracker that is used as OpenCV's are: ``init``, ``update``, ``getTrackingScore``, pictures in BGR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import OptionError, SessionError
from ..wire import Track
from .engine import Engine
from .inputs import as_box, as_frame
from .session import Session
from .tracking import Tracking

Picture = npt.NDArray[np.uint8]
Rect = tuple[int, int, int, int]
"""x, y, width, height in whole pixels."""


class OpenCVTracker:
    """One target, as ``cv2.Tracker`` has it; see `TrackerFramestate_create`.

    Args:
        engine: of a tracker.
        owns: whether the engine ends with it.
    """

    def __init__(self, engine: Engine, owns: bool) -> None:
        self._engine, self._owns = engine, owns
        self._session: Session[Track] | None = None
        self._score = 0.0

    def init(self, image: Picture, boundingBox: Sequence[float]) -> None:
        """Begins with what the box (x, y, w, h in pixels) holds in a BGR picture; again forgets the last one.

        A box that reaches over the edge is cut there. Raises BoxError, FrameError.
        """
        frame = as_frame(_rgb(image), None, self._engine.task.reference_rate)
        box = as_box(boundingBox).check(frame.width, frame.height).clipped(frame.width, frame.height)
        if self._session is not None:
            self._session.close()
        self._session, self._score = self._engine.open(frame, box=box), 1.0

    def update(self, image: Picture) -> tuple[bool, Rect]:
        """Whether the target is in the next BGR picture, and where; False while it is lost.

        Raises SessionError before ``init``; FrameError for a picture of another size.
        """
        if self._session is None:
            raise SessionError("the tracker was not initialised", "call init first")
        picture = _rgb(image)
        track = self._session.push(picture)
        self._score = track.score
        left, top, right, bottom = track.box.clipped(picture.shape[1], picture.shape[0]).xyxy
        x, y = round(left), round(top)
        return track.status != "lost", (x, y, max(round(right) - x, 1), max(round(bottom) - y, 1))

    def getTrackingScore(self) -> float:
        """The chance, in [0, 1], that the last box is right."""
        return self._score

    def close(self) -> None:
        """Ends the session, and the engine where it is its own."""
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._owns:
            self._engine.close()

    def __del__(self) -> None:
        if getattr(self, "_owns", False):
            self._engine.close()


def TrackerFramestate_create(
    model: str = "tracker-nano", engine: Engine | None = None, **given: Any
) -> OpenCVTracker:
    """As ``cv2.TrackerMIL_create`` and the like: a tracker that has yet to be initialised.

    Args:
        model: the name of a default model, or the path of a bundle.
        engine: many trackers may share one, which then has to be closed by whoever opened it.
        given: as ``Engine.load`` takes it.

    Raises BundleError, OptionError.
    """
    if engine is not None:
        if not isinstance(engine.task, Tracking):
            raise OptionError(f"the engine's task is {engine.task.name}", "load a tracker")
        return OpenCVTracker(engine, owns=False)
    return OpenCVTracker(Engine.load(model, **{"capacity": 1, **given}), owns=True)


def _rgb(image: Any) -> Picture:
    """Grey and BGR become RGB; anything else is refused where frames are."""
    if isinstance(image, np.ndarray) and image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] in (3, 4):
        return np.ascontiguousarray(image[..., 2::-1])
    return image  # type: ignore[no-any-return]
