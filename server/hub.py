"""`Hub`: the sessions of a server, over all its engines: who is connected, how long ago, and when they end"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..engine import Engine, Session, Track
from ..engine.session import check_id
from ..errors import (
    FrameDroppedError,
    FrameError,
    FramestateError,
    OptionError,
    SessionBusyError,
    StateError,
    UnavailableError,
    UnknownModelError,
    UnknownSessionError,
)
from ..vision import Box, Frame, Image
from .entry import Connection, Entry
from .flow import Rate
from .inline import InlineThreads
from .logs import logger
from .metrics import Metrics
from .settings import Settings

REMEMBERED = 1024
"""Sessions that ended, of which the reason is still told."""
VIDEO_SESSION, SOURCE_SESSION = "video-", "source-"
"""How the ids of the server's own sessions begin."""
PROBE_S = 5.0
"""An engine that does nothing between two steps for so long is broken."""


class Hub:
    """All sessions, by id. Lives on the event loop: nothing here needs a lock."""

    def __init__(self, settings: Settings, engines: Mapping[str, Engine]) -> None:
        self.settings = settings
        self.engines = engines
        self.metrics = Metrics(self._gauges)
        self.draining = asyncio.Event()
        self.keeps = settings.state_dir is not None
        """Whether sessions outlive this process."""
        self.on_end: Callable[[Entry, str], None] = lambda entry, reason: None
        self.on_hello: Callable[[str], None] = lambda key: None
        """Told of sessions that end, and asked whether a stream of one may begin (UnavailableError)."""
        self.visitors = dict.fromkeys(engines, 0)
        """Sessions that live on a connection alone, by model."""
        self.inline = InlineThreads(
            name for name, engine in engines.items() if engine.runtime.spec.task != "tracking"
        )
        self._entries: dict[str, Entry] = {}
        self._opening: set[str] = set()
        self.ended: OrderedDict[str, str] = OrderedDict()

    # Finding

    def engine(self, model: str | None, task: str | None = None) -> tuple[str, Engine]:
        """A model's name and engine; None is the first one for the task. Raises UnknownModelError."""
        able = [name for name, one in self.engines.items() if task in (None, one.runtime.spec.task)]
        name = model if model is not None else able[0] if able else None
        if name not in able:
            raise UnknownModelError(
                f"this server has no model {name[:100]!r}{f' for {task}' if task else ''}"
                if name is not None
                else f"this server has no model for {task}",
                f"choose one of {', '.join(able)}" if able else "start the server with one: --model",
            )
        return name, self.engines[name]

    def find(self, key: str) -> Entry | None:
        """A session that is open."""
        entry = self._entries.get(key)
        return None if entry is None or entry.session.closed else entry

    def get(self, key: str) -> Entry:
        """A session that is open. Raises UnknownSessionError, with the reason where it ended lately."""
        entry = self.find(key)
        if entry is None:
            why = f"; it ended: {self.ended[key]}" if key in self.ended else ""
            raise UnknownSessionError(f"there is no session {key[:80]!r}{why}", "open a new one")
        return entry

    def entries(self) -> list[Entry]:
        """All that are open, the oldest first."""
        return [entry for entry in self._entries.values() if not entry.session.closed]

    # Opening and ending

    async def open(
        self,
        frame: Frame | Image,
        box: Box | tuple[float, float, float, float],
        *,
        model: str | None = None,
        key: str | None = None,
        own: bool = False,
        **options: Any,
    ) -> Entry:
        """Opens a session on the target in ``box``; ``own`` is for the server itself.

        Raises as ``Service.open``, and SessionBusyError.
        """
        name, engine = self.engine(model, "tracking")
        key = self._reserve(key, own)
        try:
            session = await engine.service.open(frame, box, session_id=key, **options)
            return self._enter(Entry(session, name))
        finally:
            self._opening.discard(key)

    async def put(self, key: str, blob: bytes, model: str | None = None) -> tuple[Entry, bool]:
        """Makes ``key`` the session of a snapshot; True when there was none of that id before.

        Raises:
            StateError: the blob is damaged, or belongs to none of the models; nothing is changed.
            CapacityError, OptionError, SessionError: as ``open``.
        """
        entry = self.find(key)
        if entry is not None:
            replaced = await self.engines[entry.model].service.replace(key, blob)
            entry.session = replaced
            entry.used_at = time.monotonic()
            return entry, False
        key = self._reserve(key)
        names = [name for name in self.engines if name not in self.inline.names]
        if model is not None:
            names = [self.engine(model, "tracking")[0]]
        refused: StateError | None = None
        try:
            for name in names:
                try:
                    session = await self.engines[name].service.restore(blob, session_id=key)
                    return self._enter(Entry(session, name, restored=True)), True
                except StateError as error:
                    refused = refused or error
        finally:
            self._opening.discard(key)
        assert refused is not None
        raise refused

    def adopt(self, sessions: Iterable[Session], model: str) -> None:
        """Takes in sessions that were restored from disk."""
        for session in sessions:
            if session.id.startswith(VIDEO_SESSION):  # its video begins anew
                session.close()
                continue
            self._enter(Entry(session, model, was_connected=False, restored=True))

    def end(self, entry: Entry, reason: str, *, evicted: bool = False) -> None:
        """Ends a session, and tells whoever is connected to it."""
        if self._entries.get(entry.id) is not entry:
            return
        del self._entries[entry.id]
        self.ended[entry.id] = reason
        while len(self.ended) > REMEMBERED:
            self.ended.popitem(last=False)
        connection, entry.connection = entry.connection, None
        entry.session.close()
        self.on_end(entry, reason)
        if evicted:
            self.metrics.evicted(entry.model, reason)
        if connection is not None:
            connection.end(UnknownSessionError(f"session {entry.id!r} ended: {reason}", "open a new one"))
        logger().info("session ended", extra={"session": entry.id, "model": entry.model, "reason": reason})

    def sweep(self) -> None:
        """Ends the sessions that nobody has used for too long."""
        for entry in list(self._entries.values()):
            if entry.session.closed:
                self.end(entry, "engine", evicted=True)
            elif entry.seconds_left(self.settings) <= 0:
                self.end(entry, "disconnected" if entry.was_connected else "idle", evicted=True)

    # Using

    def attach(self, entry: Entry, connection: Connection) -> None:
        """Connects a stream. Raises SessionBusyError where one is connected already."""
        if entry.connection is not None:
            raise SessionBusyError(
                f"somebody is connected to session {entry.id!r}", "use another id, or end that connection"
            )
        entry.connection, entry.was_connected = connection, True
        entry.used_at = time.monotonic()

    def detach(self, entry: Entry, connection: Connection) -> None:
        """The stream is gone; its session waits for it to come back."""
        if entry.connection is connection:
            entry.connection = None
            entry.used_at = time.monotonic()

    async def submit(self, entry: Entry, frame: Frame | Image, received: float, decode: float = 0.0) -> Track:
        """A frame's answer; ``received`` is when it came (``time.monotonic``), ``decode`` seconds.

        Raises:
            FrameError, StepError, FrameDroppedError, SessionError: as ``Session.submit``.
        """
        model = entry.model
        entry.used_at = time.monotonic()
        entry.in_flight += 1
        try:
            if isinstance(frame, Frame) and frame.index <= entry.session.clock.index:
                raise FrameError(
                    f"frame {frame.index} came after frame {entry.session.clock.index}",
                    "number frames upwards, and send them in order",
                )
            track = await entry.session.submit(frame)
        except FrameDroppedError as error:
            self.metrics.dropped(model, str(entry.session.options.policy))
            self.metrics.failed(model, error)
            raise
        except FramestateError as error:
            self.metrics.failed(model, error)
            raise
        finally:
            entry.in_flight -= 1
            entry.used_at = time.monotonic()
        self.metrics.track(model, track, time.monotonic() - received, decode)
        return track

    async def probe(self) -> None:
        """Raises UnavailableError when the server stops, or an engine's thread has ended or hangs."""
        self.check_running()
        for name, engine in self.engines.items():
            try:
                inline = name in self.inline.names
                probe = self.inline.post(name, _nothing) if inline else engine.service.call(_nothing)
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(probe)), PROBE_S)
            except TimeoutError:
                raise UnavailableError(
                    f"the engine of {name!r} has not answered for {PROBE_S:g} s", "restart the server"
                ) from None
            except FramestateError as error:
                problem = f"the engine of {name!r} is broken ({error.problem})"
                raise UnavailableError(problem, "restart the server") from error

    def check_running(self) -> None:
        """Raises UnavailableError when the server stops."""
        if self.draining.is_set():
            raise UnavailableError("the server is stopping", "try again in a moment")

    async def drained(self, seconds: float) -> None:
        """Takes nothing new any more, and waits until what is under way is answered, at most so long."""
        self.draining.set()
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._is_busy():
            await asyncio.sleep(0.01)

    def _is_busy(self) -> bool:
        return any(self.visitors.values()) or any(entry.is_active for entry in self._entries.values())

    def _reserve(self, key: str | None, own: bool = False) -> str:
        self.check_running()
        key = uuid.uuid4().hex if key is None else check_id(key)
        if key.startswith(VIDEO_SESSION) or (key.startswith(SOURCE_SESSION) and not own):
            raise OptionError(f"ids like {key!r} are the server's own", "choose another id")
        if key in self._opening or self.find(key) is not None:
            raise SessionBusyError(
                f"there is a session {key!r} already", "choose another id, or end it first"
            )
        self._opening.add(key)
        return key

    def _enter(self, entry: Entry) -> Entry:
        self._entries[entry.id] = entry
        entry.rate = Rate(self.settings.max_frames_per_second)
        self.ended.pop(entry.id, None)
        self.metrics.opened(entry.model)
        extra = {"session": entry.id, "model": entry.model, "restored": entry.restored}
        logger().info("session open", extra=extra)
        return entry

    def _gauges(self) -> Iterable[tuple[str, str, str, float]]:
        for name, engine in self.engines.items():
            mine = [entry for entry in self.entries() if entry.model == name]
            streams = self.visitors[name]
            active = sum(entry.is_active for entry in mine) + streams
            yield "framestate_sessions_active", "Sessions with a peer or frames under way.", name, active
            yield (
                "framestate_sessions_waiting",
                "Sessions open, nobody there.",
                name,
                len(mine) + streams - active,
            )
            yield "framestate_slots_used", "Rows of state in use.", name, engine.slots.num_used
            yield "framestate_slots_total", "Rows of state there are.", name, engine.slots.capacity


def _nothing() -> None:
    """What a probe has the engine's thread do."""


__all__ = ["Connection", "Entry", "Hub"]
