"""`Source`: one live source of the server, with one scene or session at most, and watched by any number"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from .. import wire
from ..errors import FramestateError, UnavailableError, UnknownItemError
from ..vision import Frame
from ..wire.kinds import write
from .answers import Data, Pictures, as_data, message_of
from .detecting import Detecting
from .entry import Entry
from .fitted import fitted
from .hub import SOURCE_SESSION, Hub
from .live import Address, LiveReader
from .logs import logger
from .outbox import Outbox
from .published import PublishedReader
from .screen import Screen
from .source_targets import Targets

READERS: Mapping[str, type[LiveReader]] = MappingProxyType({"whip": PublishedReader})
"""What reads a source, by the scheme of its address, where it is not `LiveReader`."""
PINNED = 4
"""Frames that were handed out lately, on which a target may still be chosen."""
JPEG_QUALITY = 80
SLOW_BYTES = 2 * 1024 * 1024
"""A viewer for whom more than this waits gets no pictures until it has caught up."""


class Source:
    """One live source: its newest frame goes to its scene or session, and to everybody who watches."""

    def __init__(self, hub: Hub, address: Address, detecting: Detecting) -> None:
        self._hub = hub
        self.viewers: set[Outbox] = set()
        self.last: Frame | None = None
        self._skipped = 0
        self._pinned: OrderedDict[int, Frame] = OrderedDict()
        self._there = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self.screen = Screen()
        self.reader = READERS.get(address.scheme, LiveReader)(
            address, self._take, hub.settings.max_pixels, self._told
        )
        self.name = self.reader.address.name
        self.key = SOURCE_SESSION + self.name
        self.targets = Targets(hub, self, detecting)

    @property
    def entry(self) -> Entry | None:
        """Whom its frames go to: a scene of its targets, or a session of another task."""
        return self.targets.entry

    @property
    def newest(self) -> Frame:
        """The newest frame. Raises UnavailableError while there is none, or none that is new."""
        age, limit = self.reader.age, self._hub.settings.stale_s
        if self.last is None or age is None or age > limit:
            sent = (
                "nothing yet"
                if self.last is None
                else f"nothing for {age:.1f} s, and the limit is {limit:g} s"
            )
            raise UnavailableError(
                f"source {self.name!r} has sent {sent} ({self.reader.problem or self.reader.state})",
                "try again in a moment",
            )
        return self.last

    def start(self) -> None:
        """Begins to read, and goes on with a session that was restored."""
        self._loop = asyncio.get_running_loop()
        entry = self.entry
        if entry is not None:
            entry.kept = True
            self.reader.go_on_after(entry.session.clock)
        self._task = asyncio.create_task(self._serve(), name=f"source {self.name}")
        self.reader.start()

    async def stop(self) -> None:
        """Ends reading, and whoever watches is told."""
        self.screen.end()
        for viewer in self.viewers:
            viewer.end(UnknownItemError(f"source {self.name!r} was removed", "watch another one"))
        await asyncio.to_thread(self.reader.stop, self._hub.drain.left / 2)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.targets.stop()

    def pin(self) -> Frame:
        """The newest frame, which is kept a while, so that a target can be chosen on it."""
        frame = self.newest
        self._pinned[frame.index] = frame
        while len(self._pinned) > PINNED:
            self._pinned.popitem(last=False)
        return frame

    def frame(self, index: int | None) -> Frame:
        """The newest one, or one that was handed out lately. Raises UnknownItemError, UnavailableError."""
        frame = self.newest if index is None else self.pinned(index)
        if frame is None:
            raise UnknownItemError(
                f"frame {index} of source {self.name!r} is not kept", "choose on a newer one: GET .../frame"
            )
        return frame

    def pinned(self, index: int) -> Frame | None:
        """One that was handed out lately, if it was."""
        return self._pinned.get(index)

    def _take(self, frame: Frame) -> None:
        """A frame of the reader's thread."""
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # it closes at this moment
                self._loop.call_soon_threadsafe(self._arrive, frame)

    def _told(self, event: str, reason: str | None) -> None:
        """The source went away, or is back. Runs on the reader's thread."""
        level = logging.INFO if reason is None else logging.WARNING
        self._hub.watch.source(event, self.name, reason)
        logger().log(level, event.replace(".", " "), extra={"source": self.name, "reason": reason})

    def _arrive(self, frame: Frame) -> None:
        self._skipped += self._there.is_set()
        self.last = frame
        self._there.set()

    async def _serve(self) -> None:
        """Handles the newest frame, then the one that is newest by then: a slow model makes no delay."""
        await self._begin()
        while True:
            await self._there.wait()
            self._there.clear()
            frame, skipped, self._skipped = self.last, self._skipped, 0
            assert frame is not None, "one has arrived"
            received = time.monotonic()
            try:
                await self._handle(await self._fitted(frame), skipped, received)
            except FramestateError as error:
                failure = wire.Failure.of(error, index=frame.index)
                for viewer in self.viewers:
                    viewer.send(failure)
            except Exception:
                logger().exception("source failed", extra={"source": self.name})

    async def _begin(self) -> None:
        """Opens a session at once where the server's first model needs nobody to choose anything."""
        if self.entry is None and not self._hub.engine(None)[1].task.opens_on_frame:
            try:
                await self.targets.choose(None, {}, None)
            except FramestateError as error:
                logger().error("source not followed", extra={"source": self.name, "error": str(error)})

    async def _fitted(self, frame: Frame) -> Frame:
        """The frame in the size of its session, whatever the camera sends by now."""
        clock = None if self.entry is None else self.entry.session.clock
        if clock is None or (clock.width, clock.height) == (frame.width, frame.height):
            return frame
        return await asyncio.to_thread(fitted, frame, clock.width, clock.height)

    async def _handle(self, frame: Frame, skipped: int, received: float) -> None:
        watched = [viewer for viewer in self.viewers if viewer.bytes < SLOW_BYTES]
        entry = self.entry
        following = entry is not None and (entry.last_index is None or frame.index > entry.last_index)
        self.targets.look_for(frame)
        answering = asyncio.create_task(self._answer(entry, frame, received)) if entry and following else None
        if watched:
            shown = await asyncio.to_thread(shown_as, frame)
            for viewer in watched:
                viewer.post([shown])
        answer = await answering if answering is not None else None
        self.screen.show(frame, answer)
        if answer is not None and watched:
            messages = await asyncio.to_thread(messages_of, answer, frame, skipped)
            for viewer in watched:
                viewer.post(messages)

    async def _answer(self, entry: Entry, frame: Frame, received: float) -> Any:
        return await self._hub.submit(entry, frame, received)


def shown_as(frame: Frame) -> Data:
    """A frame of the source as a message for viewers."""
    return as_data(replace(Pictures("jpeg", JPEG_QUALITY).of(frame), kind="frame"))


def messages_of(answer: Any, frame: Frame, skipped: int) -> list[Data]:
    """An answer and its parts as messages; ``skipped`` frames of the source came before ``frame``."""
    written = write(answer)
    parts = list(Pictures("jpeg", JPEG_QUALITY).parts(written, frame.index, frame.time_base))
    timings = getattr(answer, "timings", wire.Timings())
    return [*parts, message_of(answer, written, frame.index, len(parts), skipped, timings)]
