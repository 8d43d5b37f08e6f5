"""`Videos`: uploaded videos as jobs; they outlive the process where there is a state folder"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import Request

from ..errors import SessionError, StorageError, TooManyError, UnknownItemError
from ..vision import Box
from .bodies import save_body
from .disk import Disk, stored
from .hub import Hub
from .jobs import Job, JobStore
from .logs import logger
from .state_folder import JOBS, VIDEOS
from .video_work import RESULTS, check_video
from .video_workers import VideoWorkers

TIDY_S = 60.0
"""How often videos that are over are looked through, at least."""


class Videos:
    """The jobs of a server. Every file lies in a folder named by the job's id, which the server draws."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._store: JobStore | None = None
        self._workers: VideoWorkers | None = None
        self._folder = Path()
        self._disk = Disk(Path())
        self._uploading = 0

    @property
    def store(self) -> JobStore:
        """The records."""
        assert self._store is not None, "it is opened when the server starts"
        return self._store

    @property
    def workers(self) -> VideoWorkers:
        """Who does the work."""
        assert self._workers is not None, "they begin when the server starts"
        return self._workers

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What runs the jobs, while the server runs."""
        settings = self._hub.settings
        with tempfile.TemporaryDirectory(prefix="framestate-") as scratch:
            state = settings.state_dir or Path(scratch)
            self._folder = state / VIDEOS
            self._folder.mkdir(parents=True, exist_ok=True)
            self._disk = Disk(state)
            self._store = JobStore(state / JOBS)
            self.store.recover(self._folder)
            self._clean()
            self._workers = VideoWorkers(self._hub, self.store, self._folder, settings.video_workers)
            tidying = asyncio.create_task(self._tidy(), name="tidy videos")
            self._hub.drain.on_start(self._workers.stop)
            self._hub.checks += [self._workers.check, self._disk.check]
            self._hub.disk = self._disk
            try:
                yield
            finally:
                tidying.cancel()
                await self._workers.ended()
                self.store.close()

    def get(self, key: str) -> Job:
        """A job as it stands now. Raises UnknownItemError."""
        job = self.workers.current(key) or self.store.get(key)
        if job is None:
            raise UnknownItemError(f"there is no video {key[:80]!r}", "upload one: POST /v1/videos")
        return job

    def all(self) -> list[Job]:
        """Every job, the oldest first."""
        return [self.workers.current(job.id) or job for job in self.store.all()]

    async def add(
        self, request: Request, task: str, model: str, options: dict[str, Any], boxes: Sequence[Box]
    ) -> Job:
        """Takes in the video of a request's body.

        Raises:
            TooManyError: there are as many videos waiting as there may be.
            StorageError: there is no room for it; nothing is left of it.
            VideoError, BoxError: the video or a box cannot be used; nothing is left of it.
            TooLargeError, TooSlowError, RequestError: as ``save_body``.
        """
        settings = self._hub.settings
        if sum(not job.is_over for job in self.all()) + self._uploading >= settings.max_videos:
            raise TooManyError(
                f"{settings.max_videos} videos wait or are worked on, as many as may be",
                "send it when some are done",
            )
        length = request.headers.get("content-length", "")
        self._disk.room(min(int(length), settings.max_upload_bytes) if length.isdecimal() else 0)
        job = Job(uuid.uuid4().hex, task, model, options)
        folder = self._folder / job.id
        self._uploading += 1
        try:
            with stored("the upload"):
                folder.mkdir()
                path = folder / "input"
                limit, seconds, rate = settings.max_upload_bytes, settings.body_s, settings.upload_rate
                await save_body(request, path, limit, seconds, rate)
            total = await asyncio.to_thread(check_video, path, task, boxes, settings.max_pixels)
            job = self.store.put(replace(job, total=total))
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, True)
            raise
        finally:
            self._uploading -= 1
        self.workers.wake()
        logger().info("video queued", extra={"video": job.id, "task": task})
        return job

    def cancel(self, key: str) -> Job:
        """Ends a job that is not over. Raises UnknownItemError, and SessionError when it is over."""
        job = self.get(key)
        if job.is_over:
            raise SessionError(f"video {key!r} is {job.state}", "there is nothing left to cancel")
        if not self.workers.cancel(key):
            self.store.put(replace(job, state="cancelled"))
        return self.get(key)

    async def remove(self, key: str) -> None:
        """Cancels a job if it must, and deletes all there is of it."""
        if not self.get(key).is_over:
            self.cancel(key)
        await self.workers.gone(key)
        await asyncio.to_thread(shutil.rmtree, self._folder / key, True)
        self.store.remove(key)

    def result(self, key: str, name: str) -> Path:
        """A file to download. Raises UnknownItemError unless the job lists it."""
        job = self.get(key)
        path = self._folder / job.id / RESULTS / name
        if name not in job.results or not path.is_file():
            known = ", ".join(job.results) or f"none yet, it is {job.state}"
            raise UnknownItemError(f"video {key!r} has no result {name[:80]!r}", f"its results: {known}")
        return path

    def _clean(self) -> None:
        """Removes the folders of uploads that never became a job, and half-written results."""
        known = {job.id for job in self.store.all()}
        for folder in self._folder.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
            for path in folder.glob(f"{RESULTS}/*.part"):
                path.unlink(missing_ok=True)

    async def _tidy(self) -> None:
        """Deletes videos that are over for long enough, and the oldest beyond the size allowed; for ever."""
        while True:
            try:
                for job in await asyncio.to_thread(self._too_old):
                    with contextlib.suppress(UnknownItemError):  # somebody else has just deleted it
                        await self.remove(job.id)
                        logger().info("video deleted", extra={"video": job.id, "state": job.state})
            except (OSError, StorageError, sqlite3.Error) as error:
                logger().error("videos not tidied", extra={"error": str(error)})
            await asyncio.sleep(min(TIDY_S, self._hub.settings.keep_videos / 4))

    def _too_old(self) -> list[Job]:
        settings = self._hub.settings
        over = sorted((job for job in self.all() if job.is_over), key=lambda job: job.updated)
        old = [job for job in over if time.time() - job.updated > settings.keep_videos]
        if settings.keep_videos_bytes is not None:
            left = [job for job in over if job not in old]
            sizes = {job.id: size_of(self._folder / job.id) for job in left}
            while left and sum(sizes[job.id] for job in left) > settings.keep_videos_bytes:
                old.append(left.pop(0))
        return old


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
