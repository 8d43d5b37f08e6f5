"""`Target`: a handle of one target of a scene."""

from __future__ import annotations

from typing import Protocol

from ...vision import Box, Frame
from ...wire import Status
from ..inputs import BoxLike
from .memory import Known


class Owner(Protocol):
    """What a target asks of its scene."""

    def known(self, number: int) -> Known:
        """What is known of a target."""

    def correct(self, number: int, box: BoxLike, frame: Frame | None = None) -> None:
        """Puts right where it is."""

    def end(self, number: int) -> None:
        """Ends it."""


class Target:
    """One target of a scene. Everything raises SessionError once it has ended.

    Attributes:
        id: stable; never given twice in the scene.
    """

    def __init__(self, scene: Owner, number: int) -> None:
        self.id = number
        self._scene = scene

    @property
    def box(self) -> Box:
        """Where it is, in pixels of the last frame; while lost, where it would be."""
        return self._scene.known(self.id).box

    @property
    def score(self) -> float:
        """How sure the scene is of it, in [0, 1]."""
        return self._scene.known(self.id).score

    @property
    def status(self) -> Status:
        """``tracking``, ``uncertain`` or ``lost``."""
        return self._scene.known(self.id).status

    @property
    def label(self) -> str:
        """Its class; empty where nobody said."""
        return self._scene.known(self.id).label

    @property
    def looks(self) -> int:
        """How often the model has looked at it."""
        return self._scene.known(self.id).looks

    def correct(self, box: BoxLike, frame: Frame | None = None) -> None:
        """Puts right where it is in the last frame, or in ``frame``: see ``Scene.correct``. The id stays."""
        self._scene.correct(self.id, box, frame)

    def end(self) -> None:
        """Ends it."""
        self._scene.end(self.id)

    def __repr__(self) -> str:
        return f"Target({self.id})"
