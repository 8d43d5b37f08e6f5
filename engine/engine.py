"""The engine: one model, many sessions, each with a row of state. ``Engine.step`` is a frame's whole way."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from ..bundles import Bundle, load_bundle
from ..errors import OptionError, SessionError
from ..runtimes import Runtime, State, open_runtime
from ..vision import Box, Frame, Image
from .inputs import as_box, as_frame
from .lanes import Lanes, num_cores, pad, trim
from .slots import SlotPool
from .snapshot import SessionContent, decode, encode
from .target import Target
from .templates import Templates
from .track import Timings, Track
from .tracking import (
    MemorySnapshot,
    TargetMemory,
    TrackingOptions,
    TrackingTask,
    TrackingWork,
    pack_memory,
    unpack_memory,
)

Answer = Track | Exception


@dataclass
class Computed:
    """Some frames of a step, computed but not yet stored: tracks and the next state, or what failed them."""

    works: Sequence[TrackingWork]
    tracks: Sequence[Track] = ()
    state: State | None = None
    error: Exception | None = None


class Engine:
    """Runs a model's sessions. Use as a context manager, or call ``close``.

    ::

        with Engine.load("tracker-nano") as engine:
            target = engine.track(first_frame, box=(x, y, w, h))
            for frame in frames:
                track = target.update(frame)
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        capacity: int = 16,
        options: TrackingOptions | None = None,
        lanes: Lanes | None = None,
        bundle_hash: str | None = None,
    ) -> None:
        if capacity < 1:
            raise OptionError(f"capacity is {capacity}", "give at least 1 session")
        self.runtime = runtime
        self.task = TrackingTask(runtime.spec, options)
        self.store = runtime.allocate(capacity)
        self.slots = SlotPool(capacity)
        self._templates = Templates(runtime, self.store, self.task)
        self.lanes = lanes or Lanes(batched=runtime.device != "cpu")
        spec = json.dumps(runtime.spec.to_json(), sort_keys=True).encode()
        self.bundle_hash = bundle_hash or hashlib.sha256(spec).hexdigest()
        self._closed = False

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | Bundle,
        *,
        runtime: str = "auto",
        device: str = "auto",
        threads: int | None = None,
        workers: int = 1,
        capacity: int = 16,
        options: TrackingOptions | None = None,
    ) -> Engine:
        """Opens a bundle by name or path on a runtime.

        Args:
            model: the name of a default model, the path of a bundle, or a loaded bundle.
            runtime: ``auto``, ``eager`` or ``onnx``.
            device: ``auto``, ``cpu`` or ``cuda``.
            threads: of one model call; None chooses for this machine, 1 where calls run side by side.
            workers: model calls side by side on a CPU, for many sessions; 0 is one a core.
            capacity: sessions that can be open at once; their state is allocated now.
            options: thresholds of the tracker.

        Raises:
            BundleError, UnknownRuntimeError, RuntimeUnavailableError, OptionError.
        """
        bundle = model if isinstance(model, Bundle) else load_bundle(model)
        side_by_side = workers or num_cores()
        if threads is None and side_by_side > 1:
            threads = 1
        opened = open_runtime(bundle, runtime, device=device, threads=threads)
        lanes = Lanes(side_by_side, batched=opened.device != "cpu")
        return cls(opened, capacity=capacity, options=options, lanes=lanes, bundle_hash=bundle.hash)

    def track(self, frame: Frame | Image, box: Box | tuple[float, float, float, float]) -> Target:
        """Starts following what ``box`` holds in ``frame``. Several targets of a video are several sessions.

        Raises:
            BoxError: the box is not finite, is empty, or lies outside the frame.
            CapacityError: every slot is in use.
        """
        self.check_inline()
        return Target(self, *self.begin(frame, box))

    def begin(
        self, frame: Frame | Image, box: Box | tuple[float, float, float, float]
    ) -> tuple[int, TargetMemory]:
        """A row and a memory for a new target, its template written. Raises as ``track`` does."""
        first = as_frame(frame, None, self.task.options.reference_rate)
        region = as_box(box).check(first.width, first.height)
        slot = self.slots.take()
        try:
            memory = self.task.open(first, region)
            self._templates.write(slot, memory, first, region)
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
                refreshed = self._templates.fresh(computed.works)
                self.store.write([work.slot for work in computed.works], computed.state or {})
                for slot, pinned in refreshed:
                    self._templates.store(slot, pinned)
                return list(computed.tracks)
            except Exception as error:
                computed.error = error
        for work in computed.works:
            work.memory.restore(saved[work.slot])
        if len(computed.works) == 1:
            return [computed.error]
        return [answer for work in computed.works for answer in self._store(self._compute([work]), saved)]

    def snapshot(self, target: Target) -> bytes:
        """The session as one blob, which another process, runtime or machine can go on from.

        It is at most the state, the first template where templates are refreshed, and 64 KB. Thresholds are
        the engine's and are not in it.

        Raises:
            SessionError: the target or the engine is closed.
        """
        slot = target.slot
        self.check_inline()
        return self.pack(slot, target.memory, {})

    def restore(self, blob: bytes) -> Target:
        """Goes on with a session from its blob.

        Raises:
            StateError: the blob is damaged, or of another bundle or format version. Nothing is changed.
            CapacityError: every slot is in use.
        """
        self.check_inline()
        slot, memory, _ = self.unpack(blob)
        return Target(self, slot, memory)

    def pack(self, slot: int, memory: TargetMemory, queue: dict[str, Any]) -> bytes:
        """A blob of a row, a memory and a session's options."""
        values, arrays = pack_memory(memory)
        content = SessionContent(self.store.save_row(slot), values, arrays, queue)
        return encode(content, self.runtime.spec, self.bundle_hash)

    def unpack(self, blob: bytes) -> tuple[int, TargetMemory, dict[str, Any]]:
        """A row filled from a blob, the memory, and the session's options. Raises as ``restore`` does."""
        content = decode(blob, self.runtime.spec, self.bundle_hash)
        memory = unpack_memory(content.memory, content.arrays, self.task.options)
        self._templates.check(memory.first_row, content.state)
        slot = self.slots.take()
        try:
            self.store.load_row(slot, content.state)
        except BaseException:
            self.release(slot)
            raise
        return slot, memory, dict(content.queue)

    def check_inline(self) -> None:
        """Raises SessionError when the engine is closed."""
        if self._closed:
            raise SessionError("this engine is closed", "load a new one")

    def release(self, slot: int) -> None:
        """Frees a session's row, zeroed: the next owner finds nothing of the last one."""
        self.store.clear(slot)
        self.slots.free(slot)

    def close(self) -> None:
        """Ends the engine and all its sessions; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self.lanes.close()
            self.runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
