"""`Videos`: uploaded videos as jobs, one at a time; they outlive the process where there is a state folder"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import Request

from ..errors import FramestateError, RunError, SessionError, TooManyError, UnknownItemError
from ..vision import Box
from .bodies import save_body
from .hub import Hub
from .jobs import Job, JobStore, failed
from .logs import logger
from .video_work import Stopped, check_video, work

RECORD_S = 1.0
"""How often progress goes to disk."""


class Videos:
    """The jobs of a server. Every file lies in a folder named by the job's id, which the server draws."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._store: JobStore | None = None
        self._folder = Path()
        self._running: Job | None = None
        self._stop = threading.Event()  # the work under way is to end: cancelled, or the server stops
        self._lock = threading.Lock()  # guards the two, and the record of the job under way
        self._wake = asyncio.Event()
        self._uploading = 0

    @property
    def store(self) -> JobStore:
        """The records."""
        assert self._store is not None, "it is opened when the server starts"
        return self._store

    async def started(self) -> AbstractAsyncContextManager[None]:
        """What runs the jobs while the server runs, begun."""
        manager = self._run()
        await manager.__aenter__()
        return manager

    def get(self, key: str) -> Job:
        """A job as it stands now. Raises UnknownItemError."""
        job = self._running if self._running is not None and self._running.id == key else self.store.get(key)
        if job is None:
            raise UnknownItemError(f"there is no video {key[:80]!r}", "upload one: POST /v1/videos")
        return job

    def all(self) -> list[Job]:
        """Every job, the oldest first."""
        return [self.get(job.id) for job in self.store.all()]

    async def add(
        self, request: Request, task: str, model: str, options: dict[str, Any], boxes: Sequence[Box]
    ) -> Job:
        """Takes in the video of a request's body.

        Raises:
            TooManyError: there are as many videos as there may be.
            VideoError, BoxError: the video or a box cannot be used; nothing is left of it.
            TooLargeError, TooSlowError, RequestError: as ``save_body``.
        """
        settings = self._hub.settings
        if len(self.store.all()) + self._uploading >= settings.max_videos:
            raise TooManyError(
                f"there are {settings.max_videos} videos, as many as may be", "delete some that are done"
            )
        job = Job(uuid.uuid4().hex, task, model, options)
        folder = self._folder / job.id
        self._uploading += 1
        try:
            folder.mkdir()
            path = folder / "input"
            limit, seconds, rate = settings.max_upload_bytes, settings.body_s, settings.upload_rate
            await save_body(request, path, limit, seconds, rate)
            total = await asyncio.to_thread(check_video, path, boxes, settings.max_pixels)
            job = self.store.put(replace(job, total=total))
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, True)
            raise
        finally:
            self._uploading -= 1
        self._wake.set()
        logger().info("video queued", extra={"video": job.id, "task": task})
        return job

    def cancel(self, key: str) -> Job:
        """Ends a job that is not over. Raises UnknownItemError, and SessionError when it is over."""
        job = self.get(key)
        if job.is_over:
            raise SessionError(f"video {key!r} is {job.state}", "there is nothing left to cancel")
        with self._lock:
            job = self.store.put(replace(job, state="cancelled"))
            if self._running is not None and self._running.id == key:
                self._running = job
                self._stop.set()
        return job

    async def remove(self, key: str) -> None:
        """Cancels a job if it must, and deletes all there is of it."""
        if not self.get(key).is_over:
            self.cancel(key)
        while self._running is not None and self._running.id == key:
            await asyncio.sleep(0.01)
        self.store.remove(key)
        await asyncio.to_thread(shutil.rmtree, self._folder / key, True)

    def result(self, key: str, name: str) -> Path:
        """A file to download. Raises UnknownItemError unless the job lists it."""
        job = self.get(key)
        path = self._folder / job.id / "results" / name
        if name not in job.results or not path.is_file():
            known = ", ".join(job.results) or f"none yet, it is {job.state}"
            raise UnknownItemError(f"video {key!r} has no result {name[:80]!r}", f"its results: {known}")
        return path

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        state = self._hub.settings.state_dir
        with tempfile.TemporaryDirectory(prefix="framestate-") as scratch:
            self._folder = (state or Path(scratch)) / "videos"
            self._folder.mkdir(parents=True, exist_ok=True)
            self._store = JobStore((state or Path(scratch)) / "jobs.sqlite")
            self.store.recover(self._folder)
            self._clean()
            worker = asyncio.create_task(self._work(), name="videos")
            self._hub.drain.on_start(worker.cancel)
            try:
                yield
            finally:
                self._stop.set()
                worker.cancel()
                await asyncio.gather(worker, return_exceptions=True)
                self.store.close()

    def _clean(self) -> None:
        """Removes the folders of uploads that never became a job."""
        known = {job.id for job in self.store.all()}
        for folder in self._folder.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    async def _work(self) -> None:
        """Does one job after another, for ever."""
        while True:
            job = next((job for job in self.store.all() if job.state == "queued"), None)
            if job is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._stop.clear()
            self._running = self.store.put(replace(job, state="running", attempts=job.attempts + 1))
            thread = asyncio.ensure_future(asyncio.to_thread(self._do, self._running))
            try:
                await asyncio.shield(thread)
            except asyncio.CancelledError:  # the server stops: the job goes on with the next one
                self._stop.set()
                await asyncio.wait([thread])
                if self._running.state == "running":
                    attempts = self._running.attempts - 1
                    self.store.put(replace(self._running, state="queued", frames=0, attempts=attempts))
                raise
            finally:
                self._running = None

    def _do(self, job: Job) -> None:
        """One job, on a thread."""
        recorded = time.monotonic()

        def step(frames: int, total: int | None) -> None:
            nonlocal recorded
            on_disk = time.monotonic() - recorded >= RECORD_S
            recorded = time.monotonic() if on_disk else recorded
            self._note(replace(self._current(job), frames=frames, total=total or job.total), on_disk)

        try:
            names = work(self._hub, job, self._folder / job.id, step)
            done = self._current(job)
            ending = replace(done, state="done", results=names, total=done.frames)
        except Stopped:
            return
        except FramestateError as error:
            problem = error.problem.replace(str(self._folder / job.id / "input"), "the upload")
            ending = failed(self._current(job), type(error)(problem, error.remedy))
        except Exception as error:
            logger().exception("video failed", extra={"video": job.id})
            failure = RunError(f"the work failed ({type(error).__name__})", "the server's log says how")
            ending = failed(self._current(job), failure)
        with contextlib.suppress(Stopped):
            self._note(ending, on_disk=True)
            logger().info("video over", extra={"video": job.id, "state": ending.state})

    def _note(self, job: Job, on_disk: bool) -> None:
        """Keeps how far the job under way is. Raises Stopped when it is to end."""
        with self._lock:
            if self._stop.is_set():
                raise Stopped
            self._running = self.store.put(job) if on_disk else job

    def _current(self, job: Job) -> Job:
        return self._running or job
