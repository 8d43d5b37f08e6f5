"""The engine: one model, many sessions, each with a row of state. ``Engine.step`` is a frame's whole way."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ..bundles import Bundle, load_bundle
from ..errors import SessionError
from ..runtimes import Arrays, Runtime, open_runtime
from ..vision import Frame, Image
from .capacity import choose_capacity
from .classification import TASK as CLASSIFICATION
from .classification import ClassificationModel, ClassificationOptions, ClassificationSession
from .computed import Answer, Computed
from .inputs import BoxLike, as_box, as_frame
from .interpolation import TASK as INTERPOLATION
from .interpolation import InterpolationModel, InterpolationOptions, InterpolationSession, Number, for_full_hd
from .lanes import Lanes, num_cores, pad, trim
from .service import Service
from .session import Session
from .slots import SlotPool
from .snapshot import pack, unpack
from .target import Target
from .templates import Templates
from .track import Timings
from .tracking import MemorySnapshot, TargetMemory, TrackingOptions, TrackingTask, TrackingWork

TRACKING = "tracking"
TASKS = (TRACKING, INTERPOLATION, CLASSIFICATION)
"""What an engine can do, by the ``task`` of its model."""


class Engine:
    """Runs a model's sessions. Use as a context manager, or call ``close``.

    ::

        with Engine.load("tracker-nano") as engine:
            target = engine.track(first_frame, box=(x, y, w, h))
            for frame in frames:
                track = target.update(frame)

        with Engine.load("interp-nano") as engine, engine.interpolate(factor=2) as session:
            for frame in frames:
                shown = session.push(frame)
            shown = session.flush()
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        capacity: int | None = 16,
        options: TrackingOptions | None = None,
        lanes: Lanes | None = None,
        bundle_hash: str | None = None,
    ) -> None:
        self.capacity = choose_capacity(for_full_hd(runtime.spec), runtime.device, given=capacity)
        self.runtime = runtime
        self.slots = SlotPool(self.capacity.sessions)
        self.lanes = lanes or Lanes.of(runtime)
        if runtime.spec.task == INTERPOLATION:
            self._interpolator = InterpolationModel(runtime)
        elif runtime.spec.task == CLASSIFICATION:
            self._classifier = ClassificationModel(runtime)
            self.store = runtime.allocate(self.capacity.sessions)
        else:
            self.task = TrackingTask(runtime.spec, options, runtime.crops)
            self.store = runtime.allocate(self.capacity.sessions)
            self.templates = Templates(runtime, self.store, self.task)
        spec = json.dumps(runtime.spec.to_json(), sort_keys=True).encode()
        self.bundle_hash = bundle_hash or hashlib.sha256(spec).hexdigest()
        self._service: Service | None = None
        self._starting = threading.Lock()
        self._closed = False

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
        options: TrackingOptions | None = None,
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
            options: thresholds of the tracker.

        Raises:
            BundleError, UnknownRuntimeError, RuntimeUnavailableError, OptionError.
        """
        bundle = model if isinstance(model, Bundle) else load_bundle(model)
        side_by_side = workers or num_cores()
        if threads is None and side_by_side > 1:
            threads = 1
        opened = open_runtime(bundle, runtime, device=device, threads=threads, precision=precision)
        lanes = Lanes.of(opened, side_by_side)
        return cls(opened, capacity=capacity, options=options, lanes=lanes, bundle_hash=bundle.hash)

    def track(self, frame: Frame | Image, box: BoxLike) -> Target:
        """Starts following what ``box`` holds in ``frame``. Several targets of a video are several sessions.

        Raises:
            BoxError: the box is not finite, is empty, or lies outside the frame.
            CapacityError: every slot is in use.
        """
        self.check_inline()
        return Target(self, *self.begin(frame, box))

    def interpolate(
        self,
        factor: Number | None = None,
        *,
        fps: Number | None = None,
        slow_motion: Number | None = None,
        scale: Number = "auto",
        options: InterpolationOptions | None = None,
    ) -> InterpolationSession:
        """Starts turning frames into more frames: twice as many, or as ``InterpolationOptions`` says.

        Raises OptionError for a number out of range, and CapacityError when every slot is in use.
        """
        self.check_inline(INTERPOLATION)
        chosen = options or InterpolationOptions.of(factor, fps, slow_motion, scale)
        slot = self.slots.take()
        return InterpolationSession(self._interpolator, chosen, lambda: self.slots.free(slot))

    def classify(self, options: ClassificationOptions | None = None) -> ClassificationSession:
        """Starts telling what frames show, smoothed over time as the options say.

        Raises CapacityError when every slot is in use.
        """
        self.check_inline(CLASSIFICATION)
        slot, chosen = self.slots.take(), options or ClassificationOptions()
        return ClassificationSession(self._classifier, self.store, slot, chosen, lambda: self.release(slot))

    def begin(self, frame: Frame | Image, box: BoxLike) -> tuple[int, TargetMemory]:
        """A row and a memory for a new target, its template written. Raises as ``track`` does."""
        first = as_frame(frame, None, self.task.options.reference_rate)
        region = as_box(box).check(first.width, first.height)
        slot = self.slots.take()
        try:
            memory = self.task.open(first, region)
            self.templates.write(slot, memory, first, region)
            return slot, memory
        except BaseException:
            self.release(slot)
            raise

    def step(self, batch: Sequence[TrackingWork]) -> list[Answer]:
        """One frame of each of some sessions: prepare, run, finish, store.

        Answers in the order of the batch. A frame that fails has its error for an answer, and its session is
        as it was; the other frames of the batch are not touched by that.
        """
        saved = {work.slot: work.memory.save() for work in batch}
        answers: list[Answer] = []
        try:
            for computed in self.lanes.run(self._compute, batch):
                answers += self._store(computed, saved)
        except BaseException:  # such as an interrupt: whatever was not stored never was
            for work in batch[len(answers) :]:
                work.memory.restore(saved[work.slot])
            raise
        return answers

    def _compute(self, batch: Sequence[TrackingWork]) -> Computed:
        """All that can be done without writing state: prepare, run, finish. Runs on any thread."""
        try:
            began = time.perf_counter()
            size, spare = len(batch), self.lanes.num_spare(len(batch))
            rows = [work.slot for work in batch] + spare * [self.slots.capacity]  # the padding row
            inputs = pad(self.task.prepare(batch), spare)
            prepared = time.perf_counter()
            outputs, state = self.runtime.call(self.task.function, inputs, self.store.read(rows))
            ran = time.perf_counter()
            tracks = self.task.finish(batch, outputs)
            done = time.perf_counter()
            timings = Timings(1e3 * (prepared - began), 1e3 * (ran - prepared), 1e3 * (done - ran))
            return Computed(
                batch, [replace(track, timings=timings) for track in tracks], trim(state or {}, size)
            )
        except Exception as error:
            return Computed(batch, error=error)

    def _store(self, computed: Computed, saved: dict[int, MemorySnapshot]) -> list[Answer]:
        """Writes what was computed, if it is sound. Frames that failed together are tried one by one."""
        if computed.error is None:
            try:
                refreshed = self.templates.fresh(computed.works)
                self.store.write([work.slot for work in computed.works], computed.state or {})
                for slot, pinned in refreshed:
                    self.templates.store(slot, pinned)
                return list(computed.tracks)
            except Exception as error:
                computed.error = error
        for work in computed.works:
            work.memory.restore(saved[work.slot])
        if len(computed.works) == 1:
            return [computed.error]
        return [answer for work in computed.works for answer in self._store(self._compute([work]), saved)]

    def snapshot(self, session: Target | Session) -> bytes:
        """The session as one blob, which another process, runtime or machine can go on from.

        It is at most the state and 64 KB. It holds what the frames answered so far have led to, neither
        queued frames nor thresholds, which are the engine's.

        Raises:
            SessionError: the session or the engine is closed.
        """
        if isinstance(session, Session):
            return session.snapshot().result()
        slot = session.slot
        self.check_inline()
        return pack(self, slot, session.memory, {})

    def restore(self, blob: bytes) -> Target:
        """Goes on with a session from its blob, inline. ``restore_session`` is the same for many sessions.

        Raises:
            StateError: the blob is damaged, or of another bundle or format version. Nothing is changed.
            CapacityError: every slot is in use.
        """
        self.check_inline()
        row, memory, _ = unpack(self, blob)
        return Target(self, self.fill(row), memory)

    def fill(self, row: Arrays) -> int:
        """Takes a slot and fills its row."""
        slot = self.slots.take()
        try:
            self.store.load_row(slot, row)
        except BaseException:
            self.release(slot)
            raise
        return slot

    def open(self, frame: Frame | Image, box: BoxLike, **options: Any) -> Session:
        """Opens a session that is served beside others, by the engine's own thread. Options and errors: see
        ``Service.open``, which ``await engine.service.open(...)`` calls without blocking.
        """
        return self.service.begin(frame, box, **options).result()

    def restore_session(self, blob: bytes, **options: Any) -> Session:
        """Goes on with a session from its blob, served beside others. See ``Service.restore``."""
        return self.service.resume(blob, **options).result()

    @property
    def service(self) -> Service:
        """The engine's thread and its sessions. Asking for it starts it, and ends inline use."""
        with self._starting:
            self._check_open(TRACKING)
            if self._service is None:
                self._service = Service(self)
            return self._service

    def check_inline(self, task: str = TRACKING) -> None:
        """Raises SessionError when the engine is closed, on a thread, or for another task."""
        self._check_open(task)
        if self._service is not None:
            raise SessionError("this engine serves sessions on its thread", "use open instead of track")

    def _check_open(self, task: str) -> None:
        if self._closed:
            raise SessionError("this engine is closed", "load a new one")
        if self.runtime.spec.task != task:
            spec = self.runtime.spec
            raise SessionError(f"{spec.name} is a model for {spec.task}", f"load one for {task}")

    def give_back(self, slot: int) -> None:
        """Frees a row where rows are freed: here, or on the engine's thread."""
        if self._service is None:
            self.release(slot)
        elif not self._closed:
            self._service.call(lambda: self.release(slot)).result()

    def release(self, slot: int) -> None:
        """Frees a session's row, zeroed: the next owner finds nothing of the last one."""
        self.store.clear(slot)
        self.slots.free(slot)

    def close(self) -> None:
        """Ends the engine and all its sessions; closing twice is harmless."""
        with self._starting:
            closed, self._closed = self._closed, True
        if not closed:
            if self._service is not None:
                self._service.close()
            self.lanes.close()
            self.runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
