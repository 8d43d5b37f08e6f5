"""`VideoWorkers`: do the videos that wait, several side by side, whatever a disk or a video does."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import FramestateError, RunError, StorageError, UnavailableError
from .disk import is_full
from .hub import Hub
from .jobs import Job, JobStore, failed
from .logs import logger
from .video_work import RESULTS, Stopped, work

RECORD_S = 1.0
"""How often progress goes to disk, and how long a worker waits after a disk that refused."""


@dataclass(eq=False)
class Running:
    """A video that is worked on: how far it is, and whether it is to end."""

    job: Job
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)  # guards the record


class VideoWorkers:
    """Works on the jobs of a store. Lives on the event loop; the work itself runs on threads.

    Args:
        folder: of the jobs' own folders.
        count: how many are done side by side.
    """

    def __init__(self, hub: Hub, store: JobStore, folder: Path, count: int) -> None:
        self._hub, self._store, self._folder = hub, store, folder
        self._running: dict[str, Running] = {}
        self._unwritten: dict[str, Job] = {}  # ends that the disk did not take yet
        self._wake = asyncio.Event()
        self._tasks = [asyncio.create_task(self._run(), name=f"videos {number}") for number in range(count)]

    def current(self, key: str) -> Job | None:
        """A job that is further than its record, or None."""
        running = self._running.get(key)
        return running.job if running is not None else self._unwritten.get(key)

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def cancel(self, key: str) -> bool:
        """Ends a job under way, and returns whether it was."""
        running = self._running.get(key)
        if running is None:
            return False
        with running.lock:
            running.job = self._store.put(replace(running.job, state="cancelled"))
            running.stop.set()
        return True

    async def gone(self, key: str) -> None:
        """Waits until nobody works on a job any more, and forgets its end."""
        while key in self._running:
            await asyncio.sleep(0.01)
        self._unwritten.pop(key, None)

    def check(self) -> None:
        """Raises UnavailableError when a worker has ended, or the end of a job cannot be kept."""
        if any(task.done() for task in self._tasks):
            raise UnavailableError("a worker for videos has ended", "restart the server")
        if self._unwritten:
            raise UnavailableError("the end of a video cannot be recorded", "make room in the state folder")

    def stop(self) -> None:
        """Ends the work; what is under way goes on with the next start."""
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Waits for the end of the work."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                self._write_ends()
                job = next((job for job in self._store.queued() if self.current(job.id) is None), None)
                if job is not None:
                    await self._work(job)
                    continue
                self._wake.clear()
                wait = RECORD_S if self._unwritten else None
                await asyncio.wait_for(self._wake.wait(), wait)
            except TimeoutError:
                continue
            except StorageError as error:  # nothing is lost: the job is tried again
                logger().error("the record of videos cannot be written", extra={"error": str(error)})
                await asyncio.sleep(RECORD_S)
            except Exception:
                logger().exception("worker for videos failed")
                await asyncio.sleep(RECORD_S)

    def _write_ends(self) -> None:
        for key, job in list(self._unwritten.items()):
            self._store.put(job)
            del self._unwritten[key]

    async def _work(self, job: Job) -> None:
        running = Running(self._store.put(replace(job, state="running", attempts=job.attempts + 1)))
        self._running[job.id] = running
        thread = asyncio.ensure_future(asyncio.to_thread(self._do, running))
        try:
            await asyncio.shield(thread)
        except asyncio.CancelledError:  # the server stops: the job goes on with the next one
            running.stop.set()
            await asyncio.wait([thread])
            if running.job.state == "running":
                attempts = running.job.attempts - 1
                with contextlib.suppress(StorageError):  # it is recorded as running, and begins anew
                    self._store.put(replace(running.job, state="queued", frames=0, attempts=attempts))
            raise
        finally:
            del self._running[job.id]

    def _do(self, running: Running) -> None:
        """One job, on a thread."""
        recorded, job = time.monotonic(), running.job
        folder = self._folder / job.id

        def step(frames: int, total: int | None) -> None:
            nonlocal recorded
            on_disk = time.monotonic() - recorded >= RECORD_S
            recorded = time.monotonic() if on_disk else recorded
            self._note(running, replace(running.job, frames=frames, total=total or job.total), on_disk)

        try:
            names, notes = work(self._hub, job, folder, step)
            ended = running.job
            ending = replace(ended, state="done", results=names, total=ended.frames, notes=notes)
        except Stopped:
            return
        except Exception as error:
            ending = failed(running.job, self._reason(error, job, folder))
            shutil.rmtree(folder / RESULTS, ignore_errors=True)
        with running.lock:
            if running.stop.is_set():
                return
            try:
                running.job = self._store.put(ending)
            except StorageError:
                running.job = self._unwritten[job.id] = ending
        logger().info("video over", extra={"video": job.id, "state": ending.state})

    def _reason(self, error: Exception, job: Job, folder: Path) -> FramestateError:
        """Why a job failed, as its owner is told."""
        if is_full(error):
            return StorageError("the server's disk was full", "upload it again once there is room")
        if isinstance(error, FramestateError):
            return type(error)(error.problem.replace(str(folder / "input"), "the upload"), error.remedy)
        logger().error("video failed", extra={"video": job.id}, exc_info=error)
        return RunError(f"the work failed ({type(error).__name__})", "the server's log says how")

    def _note(self, running: Running, job: Job, on_disk: bool) -> None:
        """Keeps how far a job is. Raises Stopped when it is to end."""
        with running.lock:
            if running.stop.is_set():
                raise Stopped
            running.job = job
            if on_disk:
                try:
                    running.job = self._store.put(job)
                except StorageError as error:  # its end tells all of it
                    logger().warning("progress not recorded", extra={"video": job.id, "error": str(error)})
