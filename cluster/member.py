"""`Member`: one server in a cluster: which sessions are its own, and how they come and go"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Mapping
from dataclasses import replace

from ..errors import FramestateError, SessionError, UnavailableError
from ..server.entry import Entry
from ..server.hub import Hub
from ..server.logs import logger
from .directory import BEAT_S
from .keeper import Keeper
from .moves import Misdirected, Moves
from .peers import Peers
from .view import DirectoryLink, Load, MemberInfo, View

PAUSE_S = 0.05
PATIENCE_S = 20.0
"""For how long a session that is elsewhere is waited for."""
REFUSED_S = 10.0
"""After how long a session is offered again to an owner that had no room for it."""
MOVED = "moved"


class Member:
    """Keeps the sessions of one server where the ring wants them. Lives on the server's event loop.

    A session is at one server at a time. It leaves after its peer's frames are answered and the new owner
    has it, so whoever does not have a session that it should own asks the owners before it, and waits.

    Args:
        hub: the server's sessions.
        keepers: the snapshots of each model that has any, by the model's name.
        info: name and address of this server.
        directory: who else is there.
        peers: the way to the other servers.
        beat_s: seconds between two beats.
    """

    def __init__(
        self,
        hub: Hub,
        keepers: Mapping[str, Keeper],
        info: MemberInfo,
        directory: DirectoryLink,
        peers: Peers,
        *,
        beat_s: float = BEAT_S,
    ) -> None:
        self.hub = hub
        self.info = info
        self.view = View()
        self.moves = Moves()
        self.busy: dict[str, int] = {}
        """Requests under way, by session."""
        self._keepers = keepers
        self._directory = directory
        self._peers = peers
        self._beat_s = beat_s
        self._refused: dict[str, float] = {}  # sessions that the owner did not take: when to try again
        self._coming: dict[str, asyncio.Task[None]] = {}
        self._going: dict[str, asyncio.Task[bool]] = {}
        self._tasks: set[asyncio.Future[object]] = set()
        self._beating: asyncio.Task[None] | None = None
        hub.keeps = True
        hub.on_end = self._ended
        hub.on_hello = self._greeted

    # Being there

    async def start(self) -> None:
        """Joins. Raises UnavailableError where there is no directory."""
        await self._beat()
        self._beating = asyncio.create_task(self._beats(), name="beats")

    async def leave(self, seconds: float = 60.0) -> int:
        """Gives all sessions to the others, and ends; returns how many could not be given in that time."""
        self.info = replace(self.info, leaving=True)
        if self._beating is not None:
            self._beating.cancel()
        until = time.monotonic() + seconds
        with contextlib.suppress(UnavailableError):
            await self._beat()
        while (left := self._mine()) and self.view.names and time.monotonic() < until:
            await self._move_all(left)
            if self._mine():
                await asyncio.sleep(PAUSE_S)
                with contextlib.suppress(UnavailableError):
                    await self._beat()
        with contextlib.suppress(UnavailableError):
            await self._directory.gone(self.info.name)
        await self._peers.close()
        return len(self._mine())

    @property
    def load(self) -> Load:
        """Slots of all models together."""
        pools = [engine.slots for engine in self.hub.engines.values()]
        return Load(sum(one.num_used for one in pools), sum(one.capacity for one in pools))

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                await self._beat()
            except UnavailableError as error:  # what is here goes on; who is elsewhere is as it was
                logger().error("the directory cannot be reached", extra={"error": str(error)})

    async def _beat(self) -> None:
        view = await self._directory.beat(self.info, self.load, self.view)
        if view.version > self.view.version:
            self.view = view
            self._refused.clear()
        if strangers := self._strangers():
            self._start(self._move_all(strangers))

    # Whose session it is

    async def ensure(self, key: str, *, is_new: bool = False) -> None:
        """Returns when a session that belongs here is here, or is nowhere.

        ``is_new``: the front drew the id, so that it need not be looked for.

        Raises:
            Misdirected: it belongs elsewhere.
            UnavailableError: it could not be had from where it was.
        """
        while (going := self._going.get(key)) is not None:
            await asyncio.wait([going])
        if self.hub.find(key) is not None and key not in self._coming:
            return  # it is here, and leaves only by a move
        if not self._owns(key):
            await self._beat()
            self._check_owner(key)
        if is_new:
            return
        task = self._coming.get(key)
        if task is None:
            task = self._coming[key] = asyncio.create_task(self._fetch(key))
            task.add_done_callback(lambda _: self._coming.pop(key, None))
        await asyncio.shield(task)

    def _owns(self, key: str) -> bool:
        owner = self.view.owner(key)
        return owner is not None and owner.name == self.info.name

    def _check_owner(self, key: str) -> None:
        if not self._owns(key):
            raise Misdirected(f"session {key[:80]!r} belongs to another server", "ask the directory")

    async def _fetch(self, key: str) -> None:
        """Gets a session from its owner before, or from the vault when that is gone."""
        until = time.monotonic() + PATIENCE_S
        names = dict.fromkeys(ring.owner(key) for ring in self.view.past_rings)
        for name in names:
            while not await self._claimed(name, key):
                if time.monotonic() > until:
                    raise UnavailableError(f"session {key!r} is on its way", "try again in a moment")
                await asyncio.sleep(PAUSE_S)
                await self._beat()
                self._check_owner(key)
        if self.hub.find(key) is None and self.hub.ended.get(key, MOVED) == MOVED:
            await self._recover(key)

    async def _claimed(self, name: str | None, key: str) -> bool:
        """Whether a server surely has no such session any more."""
        peer = self.view.find(name)
        if peer is None or peer.name == self.info.name or self.hub.find(key) is not None:
            return True
        try:
            return await self._peers.claim(peer, key)
        except UnavailableError:
            return (await self._directory.suspect(peer.name)).find(peer.name) is None

    async def _recover(self, key: str) -> None:
        """Goes on from the last snapshot of a server that is gone."""
        for name, keeper in self._keepers.items():
            blob = await asyncio.to_thread(keeper.read, key)
            if blob is None:
                continue
            began = time.perf_counter()
            await self.hub.put(key, blob, name)
            keeper.taken(key)
            self.moves.recovered += 1
            extra = {"session": key, "ms": round(1e3 * (time.perf_counter() - began), 2)}
            logger().info("session recovered", extra=extra)
            return

    # Coming and going

    async def take(self, key: str, model: str, index: int, blob: bytes) -> None:
        """A session that another server hands over; one that is here and further on stays as it is.

        Raises:
            FramestateError: it cannot be taken: the other server keeps it.
        """
        entry = self.hub.find(key)
        if entry is not None and (entry.connection is not None or reached(entry) >= index):
            return
        await self.hub.put(key, blob, model)
        if model in self._keepers:
            self._keepers[model].taken(key)
        self.moves.received += 1

    async def give(self, key: str) -> bool:
        """Hands a session to its owner if it is here; False where it stays, as this is the owner."""
        if self.hub.find(key) is None and key not in self._going:
            return True
        await self._beat()
        return await self._moved(key)

    async def _move_all(self, keys: list[str]) -> None:
        for batch in (keys[at : at + 16] for at in range(0, len(keys), 16)):
            await asyncio.gather(*(self._moved(key) for key in batch), return_exceptions=True)

    def _mine(self) -> list[str]:
        return [entry.id for entry in self.hub.entries() if not entry.kept]

    def _strangers(self) -> list[str]:
        """Sessions that are here and belong elsewhere."""
        now = time.monotonic()
        late = [key for key in self._mine() if self._refused.get(key, 0.0) <= now]
        return [key for key in late if self.view.names and not self._owns(key)]

    async def _moved(self, key: str) -> bool:
        """Moves a session to its owner, once however many ask for it; whether it is gone from here."""
        task = self._going.get(key)
        if task is None:
            task = self._going[key] = asyncio.create_task(self._move(key))
            task.add_done_callback(lambda _: self._going.pop(key, None))
        return await asyncio.shield(task)

    async def _move(self, key: str) -> bool:
        entry, owner, began = self.hub.find(key), self.view.owner(key), time.perf_counter()
        if entry is None:
            return True
        keeper = self._keepers.get(entry.model)
        if owner is None or owner.name == self.info.name or keeper is None:
            return False
        connection = entry.connection
        if connection is not None:
            await connection.quiet()
        try:
            while self.busy.get(key) or entry.in_flight:
                await asyncio.sleep(0.001)
            if self.hub.find(key) is None:  # its peer ended it
                return True
            await asyncio.to_thread(keeper.hold, key)
            blob = await asyncio.wrap_future(entry.session.snapshot_nowait())
            await self._peers.put(owner, key, entry.model, reached(entry), blob)
            entry.connection = None
            self.hub.end(entry, MOVED)
        except FramestateError as error:
            keeper.taken(key)
            self._refused[key] = time.monotonic() + REFUSED_S
            extra = {"session": key, "to": owner.name, "error": str(error)}
            logger().error("session could not be moved", extra=extra)
            if isinstance(error, UnavailableError):
                with contextlib.suppress(UnavailableError):
                    await self._directory.suspect(owner.name)
                return False
            raise
        finally:
            if connection is not None:
                connection.part()
        self.moves.count(time.perf_counter() - began)
        return True

    def _greeted(self, key: str) -> None:
        """A stream begins that was let in before its session went: its peer is to come again."""
        if key in self._going or (self.hub.find(key) is None and not self._owns(key)):
            raise UnavailableError(f"session {key!r} moves", "connect again")

    def _ended(self, entry: Entry, reason: str) -> None:
        """Removes the snapshot of a session that ended for good."""
        keeper = self._keepers.get(entry.model)
        if keeper is not None and reason not in (MOVED, "engine"):
            self._start(asyncio.to_thread(self._forget, keeper, entry.id))

    @staticmethod
    def _forget(keeper: Keeper, key: str) -> None:
        try:
            keeper.ended(key)
        except SessionError as error:
            logger().error("a snapshot could not be removed", extra={"session": key, "error": str(error)})

    def _start(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def reached(entry: Entry) -> int:
    """How far a session is: the number after that of its last frame."""
    clock = entry.session.clock
    return 0 if clock is None else clock.index + 1
