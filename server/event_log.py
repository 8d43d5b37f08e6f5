"""`EventLog`: events on disk until everybody has them: an outbox with a place for each who is told"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ..errors import OptionError
from .logs import logger

FILE = "events.sqlite"
KEPT = 10_000
"""Events that stay for whoever asks, when everybody has been told of them."""
TRIM_EVERY = 256
TABLES = """
create table if not exists events (seq integer primary key autoincrement, body text not null);
create table if not exists places (name text primary key, seq integer not null);
create table if not exists watched (session text primary key, body text not null);
"""
Row = tuple[int, str]


class EventLog:
    """A file of events, in order, and of what is watched in each session. Any thread may use it.

    What cannot be written, as where the disk is full, waits in memory in order, and is written with the next.

    Args:
        folder: where the file lies; in memory without.
        most: events that wait; more, and the oldest are lost, which is counted and logged.
    """

    def __init__(self, folder: Path | None, most: int) -> None:
        self._most = most
        self._lock = threading.RLock()
        self._waiting: list[tuple[str, tuple[Any, ...]]] = []
        self._failing = False
        self._added = 0
        self.lost = 0
        self.on_add: Callable[[], object] = lambda: None
        self._folder = folder
        self._connection: sqlite3.Connection | None = None

    def open(self) -> Self:
        """Opens the file, or goes on with it; until then, what is added waits.

        Raises:
            OptionError: it cannot be opened, or is damaged.
        """
        if self._connection is not None:
            return self
        folder = self._folder
        where = ":memory:" if folder is None else str(folder / FILE)
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            file = sqlite3.connect(where, check_same_thread=False, isolation_level=None, timeout=1.0)
            file.execute("pragma journal_mode=wal")
            file.execute("pragma synchronous=normal")
            file.executescript(TABLES)
        except (OSError, sqlite3.Error) as error:
            raise OptionError(
                f"the events in {where} cannot be used ({error})",
                "Make the folder writable, or move the file away; events that nobody was told of go with it.",
            ) from error
        self._connection = file
        return self

    @property
    def _file(self) -> sqlite3.Connection:
        assert self._connection is not None, "it is open"
        return self._connection

    def add(
        self, events: Iterable[Mapping[str, Any]], session: str = "", watched: Mapping[str, Any] | None = None
    ) -> None:
        """Adds events, and with them what is watched in a session by now; None: the session ended."""
        orders: list[tuple[str, tuple[Any, ...]]] = [
            ("insert into events (body) values (?)", (json.dumps(event),)) for event in events
        ]
        if watched:
            body = json.dumps(watched)
            orders.append(("insert or replace into watched values (?, ?)", (session, body)))
        elif session:
            orders.append(("delete from watched where session = ?", (session,)))
        with self._lock:
            self._waiting += orders
            self._write()
            self._added += len(orders)
            if self._added >= TRIM_EVERY and self._connection is not None:
                self._added = 0
                self._trim()
        self.on_add()

    def after(self, seq: int, limit: int) -> list[Row]:
        """Events that come after a number, with their own."""
        with self._lock:
            self._write()
            rows = self._file.execute(
                "select seq, body from events where seq > ? order by seq limit ?", (seq, limit)
            )
            return [(int(number), str(body)) for number, body in rows]

    @property
    def last(self) -> int:
        """The number of the last event that there was; 0 before the first."""
        if self._connection is None:
            return 0
        with self._lock:
            found = self._file.execute("select seq from sqlite_sequence where name = 'events'").fetchone()
            return int(found[0]) if found else 0

    def watched(self) -> dict[str, dict[str, Any]]:
        """What was watched in each session, as it last stood."""
        with self._lock:
            return {key: json.loads(body) for key, body in self._file.execute("select * from watched")}

    def places(self, names: Sequence[str]) -> dict[str, int]:
        """How far each of these has been told; one that is new begins now, and others are forgotten."""
        with self._lock:
            held = {str(name): int(seq) for name, seq in self._file.execute("select * from places")}
            for name in held.keys() - set(names):
                self._file.execute("delete from places where name = ?", (name,))
            for name in set(names) - held.keys():
                held[name] = self.last
                self._file.execute("insert into places values (?, ?)", (name, held[name]))
            return {name: held[name] for name in names}

    def told(self, name: str, seq: int) -> None:
        """One of them has been told as far as this."""
        with self._lock:
            self._waiting.append(("update places set seq = ? where name = ?", (seq, name)))
            self._write()

    def _trim(self) -> None:
        """Forgets what everybody has, except for the newest; and what is too much."""
        last, least = self.last, self._file.execute("select min(seq) from places").fetchone()[0]
        taken, too_many = last if least is None else int(least), last - self._most
        if too_many > taken:
            query = "select count(*) from events where seq > ? and seq <= ?"
            count = int(self._file.execute(query, (taken, too_many)).fetchone()[0])
            self.lost += count
            logger().error("events lost", extra={"count": count, "reason": f"more than {self._most} waited"})
        upto = max(min(taken, last - KEPT), too_many)
        self._waiting.append(("delete from events where seq <= ?", (upto,)))
        self._write()

    def close(self) -> None:
        """Writes what can be written, and closes the file."""
        with self._lock:
            self._write()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _write(self) -> None:
        if not self._waiting or self._connection is None:
            return
        try:
            self._file.execute("begin immediate")
            for order, values in self._waiting:
                self._file.execute(order, values)
            self._file.execute("commit")
        except sqlite3.Error as error:
            if self._file.in_transaction:
                self._file.execute("rollback")
            if not self._failing:
                logger().error("events cannot be written", extra={"error": str(error)})
            self._failing = True
            if len(self._waiting) > self._most:
                self.lost += len(self._waiting) - self._most
                del self._waiting[: -self._most]
            return
        self._waiting.clear()
        self._failing = False
