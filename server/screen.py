"""`Screen`: the newest picture of a source with its answer drawn in, for any number who look"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from ..errors import UnknownItemError
from ..vision import Box, Frame, Mark, draw_tracks
from ..wire import SceneAnswer


class Screen:
    """Holds one picture: who is slow misses some, and nobody waits. Lives on the event loop.

    A picture is drawn once for all who look, and not at all while nobody does.
    """

    def __init__(self) -> None:
        self._number = 0
        self._shown: tuple[Frame, Any] | None = None
        self._drawn: asyncio.Task[Frame] | None = None
        self._changed = asyncio.Event()
        self._ended = False

    def show(self, frame: Frame, answer: Any) -> None:
        """A new picture, and what it came to: None while nothing is followed."""
        self._shown, self._drawn = (frame, answer), None
        self._number += 1
        self._wake()

    def end(self) -> None:
        """There will be no more."""
        self._ended = True
        self._wake()

    async def after(self, number: int) -> tuple[int, Frame]:
        """The newest picture after this number, with its own. Raises UnknownItemError at the end."""
        while self._number <= number or self._shown is None:
            if self._ended:
                raise UnknownItemError("the source is no more", "watch another one")
            await self._changed.wait()
        if self._drawn is None:
            self._drawn = asyncio.create_task(asyncio.to_thread(annotated, *self._shown))
        number, drawn = self._number, self._drawn
        return number, await asyncio.shield(drawn)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def annotated(frame: Frame, answer: Any) -> Frame:
    """A frame with the boxes of its answer, where the answer has any."""
    marks = marks_of(answer)
    return replace(frame, image=draw_tracks(frame.image, marks)) if marks else frame


def marks_of(answer: Any) -> list[Mark]:
    """What is drawn of an answer: each target of a scene, or the one of a session."""
    if isinstance(answer, SceneAnswer):
        return [Mark(one.box, one.id, one.score, one.status, one.label) for one in answer]
    box, score, status = (getattr(answer, name, None) for name in ("box", "score", "status"))
    if not isinstance(box, Box) or status not in ("tracking", "uncertain", "lost"):
        return []
    return [Mark(box, 1, score, status)]
