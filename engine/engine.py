"""The engine: one model, one task, many sessions. A frame's way is in ``flight.py``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from ..bundles import Bundle, load_bundle
from ..runtimes import Runtime, StateStore, open_runtime
from ..vision import Frame, Image
from .capacity import Capacity, choose_capacity
from .core import Core
from .futures import claimed
from .lanes import Lanes, num_cores
from .service import Service
from .session import Session
from .session_options import SessionOptions
from .slots import SlotPool
from .task import Task
from .tasks import task_of

_QUEUE = ("policy", "deadline_ms", "queue")


class Engine:
    """Runs a model's sessions. Use as a context manager, or call ``close``.

    ::

        with Engine.load("tracker-nano") as engine, engine.open(first, box=(x, y, w, h)) as session:
            for frame in frames:
                track = session.push(frame)

        with Engine.load("interp-nano") as engine, engine.open(factor=2) as session:
            for frame in frames:
                shown = session.push(frame)
            shown = session.flush()

    Args:
        runtime: opened for a model; the engine closes it.
        task: what its sessions do; None is what the model's manifest says. See ``task.Task`` for your own.
        options: of all sessions, for a task of the manifest: ``TrackingOptions`` and the like.
        capacity: sessions that can be open at once; None is what the memory allows.
        lanes: how frames fly; None suits the runtime.
        bundle_hash: which snapshots are this engine's.

    Raises:
        BundleError: the model lacks what the task needs, or its task is not known.
        OptionError, CapacityError: ``capacity`` is out of range, or not even one session fits.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        task: Task[Any, Any] | None = None,
        options: Any = None,
        capacity: int | None = 16,
        lanes: Lanes | None = None,
        bundle_hash: str | None = None,
    ) -> None:
        chosen = task if task is not None else task_of(runtime, options)
        fits = choose_capacity(runtime.spec, runtime.device, rows=chosen.has_rows, given=capacity)
        self._core = Core(runtime, chosen, fits, lanes or Lanes.of(runtime), bundle_hash)
        self._service = Service(self._core)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | Bundle,
        *,
        runtime: str = "auto",
        device: str = "auto",
        threads: int | None = None,
        precision: str | None = None,
        workers: int = 1,
        capacity: int | None = 16,
        options: Any = None,
        task: Callable[[Runtime], Task[Any, Any]] | None = None,
    ) -> Engine:
        """Opens a bundle by name or path on a runtime.

        Args:
            model: the name of a default model, the path of a bundle, or a loaded bundle.
            runtime: ``auto``, ``eager`` or ``onnx``.
            device: ``auto``, ``cpu`` or ``cuda``.
            threads: of one model call; None chooses for this machine, 1 where calls run side by side.
            precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``; None is what the graphs have; eager: fp32.
            workers: model calls side by side on a CPU, for many sessions; 0 is one a core.
            capacity: sessions that can be open at once; their state is allocated now. None is what the memory
                allows; ``engine.capacity`` says why.
            options: of all sessions: thresholds of the tracker, how many frames to make ...
            task: makes a task of your own from the runtime.

        Raises:
            BundleError, UnknownRuntimeError, RuntimeUnavailableError, OptionError.
        """
        bundle = model if isinstance(model, Bundle) else load_bundle(model)
        side_by_side = workers or num_cores()
        if threads is None and side_by_side > 1:
            threads = 1
        opened = open_runtime(bundle, runtime, device=device, threads=threads, precision=precision)
        try:
            return cls(
                opened,
                task=None if task is None else task(opened),
                options=options,
                capacity=capacity,
                lanes=Lanes.of(opened, side_by_side),
                bundle_hash=bundle.hash,
            )
        except BaseException:
            opened.close()
            raise

    def open(
        self,
        frame: Frame | Image | None = None,
        *,
        session_id: str | None = None,
        part_of: str = "",
        **given: Any,
    ) -> Session[Any]:
        """Opens a session: follows a target, makes frames ..., as the engine's task does.

        Args:
            frame: the first frame, where the task wants one.
            session_id: what to call it; without one it is drawn at random.
            part_of: the scene whose snapshot holds it, so that nothing else keeps it.
            given: what the task's ``open`` takes (``box``, ``factor`` ...), and the queue's ``policy``,
                ``deadline_ms`` and ``queue``, see ``SessionOptions``.

        Raises:
            BoxError, FrameError, OptionError: what was given cannot be used.
            CapacityError: every slot is in use.
            SessionError: the id is taken, or the engine is closed.
        """
        return self.open_nowait(frame, session_id=session_id, part_of=part_of, **given).result()

    def open_nowait(
        self,
        frame: Frame | Image | None = None,
        *,
        session_id: str | None = None,
        part_of: str = "",
        **given: Any,
    ) -> Future[Session[Any]]:
        """A future of ``open``; what can be refused at once is raised at once."""
        options = SessionOptions(**{name: given.pop(name) for name in _QUEUE if name in given})
        return self._service.open(frame, session_id, options, given, part_of)

    async def opened(
        self, frame: Frame | Image | None = None, *, session_id: str | None = None, **given: Any
    ) -> Session[Any]:
        """As ``open`` for event loops, on the lanes. A caller that is cancelled leaves none behind."""
        await self._ready(session_id)
        return await claimed(self.open_nowait(frame, session_id=session_id, **given))

    def restore(
        self, blob: bytes, *, session_id: str | None = None, part_of: str = "", **changed: Any
    ) -> Session[Any]:
        """Goes on with a session from its blob, under its old id and queue options unless others are given.

        Raises:
            StateError: the blob is damaged, or of another bundle, task or format version. Nothing is changed.
            CapacityError, OptionError, SessionError: as ``open``.
        """
        return self._service.resume_session(blob, session_id, changed, part_of).result()

    async def restored(self, blob: bytes, *, session_id: str | None = None, **changed: Any) -> Session[Any]:
        """As ``restore`` for event loops, on the engine's lanes."""
        await self._ready(session_id)
        return await claimed(self._service.resume_session(blob, session_id, changed))

    async def _ready(self, session_id: str | None) -> None:
        """Waits, without holding up the loop, for what a closed session is about to free."""
        self._service.start()
        while self._service.is_leaving(session_id):
            await asyncio.sleep(0.001)

    def sessions(self) -> list[Session[Any]]:
        """Those that are open. Raises SessionError once the engine is closed."""
        return self._service.sessions()

    @property
    def service(self) -> Service:
        """The sessions and their lanes."""
        return self._service

    @property
    def task(self) -> Task[Any, Any]:
        """What its sessions do."""
        return self._core.task

    @property
    def runtime(self) -> Runtime:
        """What runs the model."""
        return self._core.runtime

    @property
    def store(self) -> StateStore | None:
        """The sessions' rows of state; None where the task has none."""
        return self._core.store

    @property
    def slots(self) -> SlotPool:
        """Which rows are free."""
        return self._core.slots

    @property
    def lanes(self) -> Lanes:
        """How frames fly."""
        return self._core.lanes

    @property
    def capacity(self) -> Capacity:
        """How many sessions fit, and why."""
        return self._core.capacity

    @property
    def bundle_hash(self) -> str:
        """Which snapshots are this engine's."""
        return self._core.bundle_hash

    @property
    def most_snapshot_bytes(self) -> int:
        """Of a session's blob."""
        return self._core.most_bytes

    def give_back(self) -> None:
        """Gives memory back that large frames needed and nothing needs now. Frames may fly beside it."""
        self.task.give_back()
        self.runtime.give_back()

    def close(self) -> None:
        """Ends the engine and all its sessions; closing twice is harmless."""
        self._service.close()
        self._core.runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
