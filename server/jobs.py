"""`JobStore`: what became of every video, in SQLite, so that a restart knows it too."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import FramestateError, OptionError, RunError
from .disk import stored

State = Literal["queued", "running", "done", "failed", "cancelled"]
MOST_ATTEMPTS = 3
"""A video that was being worked on when the server died so often is what kills it, most likely."""
SCHEMA = """CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, task TEXT NOT NULL, model TEXT NOT NULL, options TEXT NOT NULL, state TEXT NOT NULL,
    frames INTEGER NOT NULL, total INTEGER, attempts INTEGER NOT NULL, created REAL NOT NULL,
    updated REAL NOT NULL, results TEXT NOT NULL, error TEXT, notes TEXT NOT NULL DEFAULT '[]')"""
ADDED = "ALTER TABLE jobs ADD COLUMN notes TEXT NOT NULL DEFAULT '[]'"
"""For files of servers that kept no notes."""
COLUMNS = "id, task, model, options, state, frames, total, attempts, created, updated, results, error, notes"
CHANGES = "ON CONFLICT(id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in COLUMNS.split(", ")[1:]
)
"""A job that changes keeps its place in the row, which no clock decides."""


@dataclass(frozen=True)
class Job:
    """One video.

    Attributes:
        options: what was asked for, as plain JSON.
        frames, total: done, and to expect (None: unknown).
        attempts: how often it was begun.
        created, updated: seconds since 1970.
        results: names of files that can be downloaded.
        error: class, problem and remedy of what failed it.
        notes: what the results lack of the video, a sentence each.
    """

    id: str
    task: str
    model: str
    options: Mapping[str, Any]
    state: State = "queued"
    frames: int = 0
    total: int | None = None
    attempts: int = 0
    created: float = 0.0
    updated: float = 0.0
    results: tuple[str, ...] = ()
    error: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in ("done", "failed", "cancelled")


class JobStore:
    """Jobs on disk; every change is there when the call returns. Any thread may use it.

    Raises:
        OptionError: the file cannot be opened, or is no database.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(SCHEMA)
            if "notes" not in {row[1] for row in self._database.execute("PRAGMA table_info(jobs)")}:
                self._database.execute(ADDED)
            (found,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        except sqlite3.Error as error:
            raise OptionError(
                f"{path} cannot be used ({error})", "Move it away, or choose another --state-dir."
            ) from error

    def put(self, job: Job) -> Job:
        """Writes a job, new or changed, and returns it as written. Raises StorageError."""
        now = time.time()
        job = replace(job, created=job.created or now, updated=now)
        error = None if job.error is None else json.dumps(dict(job.error))
        row = (
            job.id, job.task, job.model, json.dumps(dict(job.options)), job.state, job.frames, job.total,
            job.attempts, job.created, job.updated, json.dumps(job.results), error,
            json.dumps(job.notes),
        )  # fmt: skip
        with self._lock, stored("the record of a video"):
            marks = ", ".join("?" * len(row))
            self._database.execute(f"INSERT INTO jobs ({COLUMNS}) VALUES ({marks}) {CHANGES}", row)
        return job

    def get(self, key: str) -> Job | None:
        """A job by its id."""
        with self._lock:
            row = self._database.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (key,)).fetchone()
        return _job(row) if row else None

    def all(self) -> list[Job]:
        """Every job, the oldest first."""
        with self._lock:
            rows = self._database.execute(f"SELECT {COLUMNS} FROM jobs ORDER BY rowid").fetchall()
        return [_job(row) for row in rows]

    def queued(self) -> list[Job]:
        """Those that wait, the oldest first."""
        return [job for job in self.all() if job.state == "queued"]

    def remove(self, key: str) -> None:
        """Forgets a job. Raises StorageError."""
        with self._lock, stored("the end of a video"):
            self._database.execute("DELETE FROM jobs WHERE id = ?", (key,))

    def recover(self, folder: Path) -> None:
        """After a restart: what was running begins anew, and fails where that makes no sense any more."""
        for job in self.all():
            if job.is_over:
                continue
            error: FramestateError | None = None
            if not (folder / job.id / "input").is_file():
                error = RunError("its file is gone", "upload it again")
            elif job.attempts >= MOST_ATTEMPTS:
                error = RunError(f"the server ended {job.attempts} times while at it", "check the file")
            if error is None:
                self.put(replace(job, state="queued", frames=0))
            else:
                self.put(failed(job, error))

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._database.close()


def failed(job: Job, error: FramestateError) -> Job:
    """The job as this error leaves it."""
    table = {"code": type(error).__name__, "problem": error.problem, "remedy": error.remedy}
    return replace(job, state="failed", error=table)


def _job(row: tuple[Any, ...]) -> Job:
    key, task, model, options, state, frames, total, attempts, created, updated, results, error, notes = row
    return Job(
        key, task, model, json.loads(options), state, frames, total, attempts, created, updated,
        tuple(json.loads(results)), None if error is None else json.loads(error), tuple(json.loads(notes)),
    )  # fmt: skip
