"""`Hub`: the sessions of a server, over all its engines: who is connected, how long ago, and when they end"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..engine import Engine, Session, Task
from ..engine.session_options import check_id
from ..errors import (
    FramestateError,
    OptionError,
    SessionBusyError,
    StateError,
    UnavailableError,
    UnknownModelError,
    UnknownSessionError,
)
from ..vision import Frame, Image
from ..wire import Timings, stamped
from .disk import Disk
from .drain import Drain, Saves
from .entry import Connection, Entry
from .event_log import EventLog
from .flow import Rate, at_server
from .live_scene import Scenes
from .logs import logger
from .memory import Memory
from .metrics import Metrics
from .options import OWN_OPTIONS, checked
from .pulse import Pulse
from .session_readings import session_readings
from .settings import Settings
from .state_folder import StateFolder
from .traces import Frames, NoTraces
from .watch import Watch
from .zones import Zones, split_zones

REMEMBERED = 1024
"""Sessions that ended, of which the reason is still told."""
VIDEO_SESSION, SOURCE_SESSION = "video-", "source-"
"""How the ids of the server's own sessions begin."""
NEW, CHOSEN = "new", "another session was chosen"
"""What a stream says in place of an id to have one drawn; why one ended that another takes the place of."""


class Hub:
    """All sessions, by id. Lives on the event loop: nothing here needs a lock."""

    def __init__(self, settings: Settings, engines: Mapping[str, Engine]) -> None:
        self.settings, self.engines = settings, engines
        self.metrics = Metrics()
        self.traces: Frames = NoTraces()
        self.metrics.read_from(lambda: session_readings(self.engines, self.entries()))
        self.watch = Watch(EventLog(settings.state_dir, settings.max_events))
        self.metrics.read_from(self.watch.readings)
        self.drain = Drain()
        self.saves: list[Saves] = []
        """What keeps sessions, one for each engine, where something does."""
        self.state = StateFolder(settings.state_dir, settings.state_wait_s)
        self.checks: list[Callable[[], None]] = []
        """What else the server needs to be ready: each raises UnavailableError where it is not so."""
        self.disk: Disk | None = None
        self.memory, self.scenes = Memory(engines), Scenes(settings)
        self.keeps = settings.state_dir is not None
        """Whether sessions outlive this process."""
        self.on_end: Callable[[Entry, str], None] = lambda entry, reason: None
        self.on_hello: Callable[[str], None] = lambda key: None
        """Told of sessions that end, and asked whether a stream of one may begin (UnavailableError)."""
        self._pulses = {name: Pulse(name, engine) for name, engine in engines.items()}
        self._entries: dict[str, Entry] = {}
        self._opening: set[str] = set()
        self.ended: OrderedDict[str, str] = OrderedDict()

    # Finding

    def engine(self, model: str | None, task: str | None = None) -> tuple[str, Engine]:
        """A model's name and engine; None is the first one for the task. Raises UnknownModelError."""
        able = [name for name, one in self.engines.items() if task in (None, one.task.name)]
        name = model if model is not None else able[0] if able else None
        if name is None or name not in able:
            what = " ".join([*([repr(name[:100])] if name else []), *([f"for {task[:100]}"] if task else [])])
            remedy = f"choose one of {', '.join(able)}" if able else "start the server with one: --model"
            raise UnknownModelError(f"this server has no model {what}".rstrip(), remedy)
        return name, self.engines[name]

    def task(self, entry: Entry) -> Task[Any, Any]:
        """What a session does."""
        return self.engines[entry.model].task

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
        """All that are open, the oldest first. Any thread may ask."""
        return [entry for entry in list(self._entries.values()) if not entry.session.closed]

    # Opening and ending

    async def open(
        self,
        frame: Frame | Image | None = None,
        *,
        model: str | None = None,
        key: str | None = None,
        own: bool = False,
        replaces: Entry | None = None,
        options: Mapping[str, Any] | None = None,
        **queue: Any,
    ) -> Entry:
        """Opens a session, with its task's ``options``; ``own`` is for the server itself.

        Where it ``replaces`` one of the same id, that goes on if it cannot be opened: it is tried first, in a
        slot of its own.

        Raises as ``Engine.open``, and SessionBusyError.
        """
        name, engine = self.engine(model)
        given, zones = split_zones(options or {})
        checked(engine, given)
        if engine.task.opens_on_frame and frame is None:
            raise OptionError(
                f"a session of {engine.task.name} opens on a frame", "send the first one with it"
            )
        opening = {"frame": frame, **given, **queue}
        trial = None if replaces is None else await self._session(engine, uuid.uuid4().hex, opening)
        if replaces is not None:
            self.end(replaces, CHOSEN)
        try:
            key = self._reserve(key, own)
            try:
                return self._enter(Entry(await self._session(engine, key, opening), name), zones)
            finally:
                self._opening.discard(key)
        finally:
            if trial is not None:
                trial.close()

    def enter(self, session: Session[Any], model: str, zones: Zones, replaces: Entry | None) -> Entry:
        """Takes in what the server itself has opened, in the place of another one."""
        if replaces is not None:
            self.end(replaces, CHOSEN)
        return self._enter(Entry(session, model), zones)

    async def _session(self, engine: Engine, key: str, opening: Mapping[str, Any]) -> Session[Any]:
        try:
            return await engine.opened(session_id=key, **opening)
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            given = {name: value for name, value in opening.items() if name not in OWN_OPTIONS}
            raise OptionError(
                f"a session of {engine.task.name} cannot be opened with {str(given)[:200]} ({error})",
                "give what its task takes, see docs/server.md",
            ) from error

    async def put(self, key: str, blob: bytes, model: str | None = None) -> tuple[Entry, bool]:
        """Makes ``key`` the session of a snapshot; True when there was none of that id before.

        Raises:
            StateError: the blob is damaged, or belongs to none of the models; nothing is changed.
            CapacityError, OptionError, SessionError: as ``open``.
        """
        entry = self.find(key)
        if entry is not None:
            await asyncio.wrap_future(entry.session.replace_nowait(blob))
            entry.moved()
            return entry, False
        names = list(self.engines) if model is None else [self.engine(model)[0]]
        key = self._reserve(key)
        refused: StateError | None = None
        try:
            for name in names:
                try:
                    session = await self.engines[name].restored(blob, session_id=key)
                    return self._enter(Entry(session, name, restored=True)), True
                except StateError as error:
                    refused = refused or error
        finally:
            self._opening.discard(key)
        raise refused or StateError("this server has no model", "start it with one: --model")

    def adopt(self, sessions: Iterable[Session[Any]], model: str) -> None:
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
        self.memory.note(entry)
        connection, entry.connection = entry.connection, None
        entry.session.close()
        self.on_end(entry, reason)
        self.watch.closed(entry.id, entry.model, reason)
        if evicted:
            self.metrics.evicted(entry.model, reason)
        if connection is not None:
            connection.end(UnknownSessionError(f"session {entry.id!r} ended: {reason}", "open a new one"))
        logger().info("session ended", extra={"session": entry.id, "model": entry.model, "reason": reason})

    def sweep(self) -> None:
        """Ends the sessions that nobody has used for too long, and asks the engines whether they answer."""
        for pulse in self._pulses.values():
            pulse.ask()
        for entry in list(self._entries.values()):
            if entry.session.closed:
                self.end(entry, "engine", evicted=True)
            elif entry.seconds_left(self.settings) <= 0:
                self.end(entry, "disconnected" if entry.was_connected else "idle", evicted=True)

    # Using

    async def take_over(self, entry: Entry, token: str | None) -> None:
        """Ends the connection to a session for a client that has the session's token; without it nothing."""
        old = entry.connection
        if old is None or token is None or not secrets.compare_digest(token.encode(), entry.token.encode()):
            return
        old.end(
            SessionBusyError(
                f"session {entry.id!r} was taken over by another connection", "go on there, or open a new one"
            )
        )
        while entry.connection is old:
            await asyncio.sleep(0.005)

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

    async def submit(self, entry: Entry, frame: Frame | Image, received: float, decode: float = 0.0) -> Any:
        """A frame's answer; ``received`` is when it came (``time.monotonic``), ``decode`` seconds.

        Raises:
            FrameError, StepError, FrameDroppedError, SessionError: as ``Session.submit``.
        """
        model = entry.model
        entry.used_at = time.monotonic()
        entry.in_flight += 1
        try:
            if isinstance(frame, Frame):
                entry.check_number(frame)
            answer = await entry.session.submit(frame)
        except FramestateError as error:
            self.metrics.failed(model, error, str(entry.session.options.policy))
            raise
        finally:
            entry.in_flight -= 1
            entry.used_at = time.monotonic()
        timings = at_server(getattr(answer, "timings", Timings()), received, decode)
        self.metrics.frame(model, timings)
        self.watch.answered(entry.id, model, answer)
        self.traces.frame(entry.id, model, timings)
        return None if answer is None else stamped(answer, timings=timings)

    def probe(self) -> None:
        """Raises UnavailableError where the server stops, or an engine, a worker or the disk fails."""
        self.check_running()
        for pulse in self._pulses.values():
            pulse.check()
        for check in self.checks:
            check()

    def check_running(self) -> None:
        """Raises UnavailableError when the server stops."""
        if self.drain.started.is_set():
            raise UnavailableError("the server is stopping", "try again in a moment")

    async def drained(self, told_at: float | None = None) -> None:
        """Takes nothing new any more, and waits until what is under way is answered, as far as there is time.

        ``drain_s`` counts from ``told_at`` (monotonic seconds), or from the first call, and ends with the
        process: a round of snapshots is made at once, and as long as it takes is kept free for the last one.
        """
        if not self.drain.started.is_set():
            began = time.monotonic() if told_at is None else told_at
            self.drain.begin(began + self.settings.drain_s)
            self.drain.reserve(self._last_round_s)
            self._measuring = asyncio.create_task(self._measure(), name="first snapshots")
        while not self.drain.over.is_set() and any(entry.is_active for entry in self._entries.values()):
            await asyncio.sleep(0.01)

    @property
    def _last_round_s(self) -> float:
        """What the last snapshots are expected to take: a round, or the turn that one has to wait for."""
        turns = [engine.service.longest_turn_s for engine in self.engines.values()]
        return max([sum(save.seconds for save in self.saves), *turns])

    async def _measure(self) -> None:
        for save in self.saves:
            await asyncio.to_thread(save.round)
        self.drain.reserve(self._last_round_s)

    def _reserve(self, key: str | None, own: bool = False) -> str:
        self.check_running()
        key = uuid.uuid4().hex if key is None else check_id(key)
        if key == NEW or key.startswith(VIDEO_SESSION) or (key.startswith(SOURCE_SESSION) and not own):
            raise OptionError(f"ids like {key!r} are the server's own", "choose another id")
        if key in self._opening or self.find(key) is not None:
            raise SessionBusyError(
                f"there is a session {key!r} already", "choose another id, or end it first"
            )
        self._opening.add(key)
        return key

    def _enter(self, entry: Entry, zones: Zones | None = None) -> Entry:
        self._entries[entry.id] = entry
        entry.rate = Rate(self.settings.max_frames_per_second)
        self.ended.pop(entry.id, None)
        self.metrics.opened(entry.model)
        self.watch.opened(entry.id, entry.model, zones or {}, entry.restored)
        extra = {"session": entry.id, "model": entry.model, "restored": entry.restored}
        logger().info("session open", extra=extra)
        return entry


__all__ = ["Connection", "Entry", "Hub"]
