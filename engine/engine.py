"""The engine: one model, many sessions, each with a row of state. ``Engine.step`` is a frame's whole way."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Self

from ..bundles import Bundle, load_bundle
from ..errors import FrameError, SessionError
from ..runtimes import Arrays, Runtime, open_runtime
from ..vision import Box, Frame, Image
from .slots import SlotPool
from .track import Timings, Track
from .tracking import TargetMemory, TrackingOptions, TrackingTask, TrackingWork


class Engine:
    """Runs a model's sessions. Use as a context manager, or call ``close``.

    ::

        with Engine.load("tracker-nano") as engine:
            target = engine.track(first_frame, box=(x, y, w, h))
            for frame in frames:
                track = target.update(frame)
    """

    def __init__(
        self, runtime: Runtime, *, capacity: int = 16, options: TrackingOptions | None = None
    ) -> None:
        self.runtime = runtime
        self.task = TrackingTask(runtime.spec, options)
        self.store = runtime.allocate(capacity)
        self.slots = SlotPool(capacity)
        self._closed = False

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | Bundle,
        *,
        runtime: str = "auto",
        device: str = "auto",
        threads: int | None = None,
        capacity: int = 16,
        options: TrackingOptions | None = None,
    ) -> Engine:
        """Opens a bundle by name or path on a runtime.

        Args:
            model: the name of a default model, the path of a bundle, or a loaded bundle.
            runtime: ``auto``, ``eager`` or ``onnx``.
            device: ``auto``, ``cpu`` or ``cuda``.
            threads: of one model call; None chooses for this machine.
            capacity: sessions that can be open at once; their state is allocated now.
            options: thresholds of the tracker.

        Raises:
            BundleError, UnknownRuntimeError, RuntimeUnavailableError.
        """
        bundle = model if isinstance(model, Bundle) else load_bundle(model)
        return cls(
            open_runtime(bundle, runtime, device=device, threads=threads), capacity=capacity, options=options
        )

    def track(self, frame: Frame | Image, box: Box | tuple[float, float, float, float]) -> Target:
        """Starts following what ``box`` holds in ``frame``. Several targets of a video are several sessions.

        Raises:
            BoxError: the box is not finite, is empty, or lies outside the frame.
            CapacityError: every slot is in use.
        """
        if self._closed:
            raise SessionError("this engine is closed", "load a new one")
        first = as_frame(frame, None)
        region = box if isinstance(box, Box) else Box(*(float(value) for value in box))
        region.check(first.width, first.height)
        slot = self.slots.take()
        try:
            memory = self.task.open(first, region)
            self._write_template(slot, memory, first, region)
            return Target(self, slot, first, memory)
        except BaseException:
            self.release(slot)
            raise

    def step(self, batch: Sequence[TrackingWork]) -> list[Track]:
        """One frame of each of some sessions: prepare, run, store, finish. A failed call commits nothing."""
        began = time.perf_counter()
        rows = [work.slot for work in batch]
        inputs = self.task.prepare(batch)
        prepared = time.perf_counter()
        outputs, state = self.runtime.call(self.task.function, inputs, self.store.read(rows))
        ran = time.perf_counter()
        self.store.write(rows, state or {})
        tracks = self.task.finish(batch, outputs)
        self._refresh_templates(batch)
        timings = Timings(1e3 * (prepared - began), 1e3 * (ran - prepared), 1e3 * (time.perf_counter() - ran))
        return [replace(track, timings=timings) for track in tracks]

    def release(self, slot: int) -> None:
        """Frees a session's row, zeroed: the next owner finds nothing of the last one."""
        self.store.clear(slot)
        self.slots.free(slot)

    def close(self) -> None:
        """Ends the engine and all its sessions; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self.runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_template(self, slot: int, memory: TargetMemory, frame: Frame, box: Box) -> None:
        _, state = self.runtime.call("init", self.task.template(memory, frame, box), None)
        self.store.write([slot], state or {})

    def _refresh_templates(self, batch: Sequence[TrackingWork]) -> None:
        """Blends a fresh template into the first one where a session is due and sure."""
        for work in batch:
            if not work.memory.wants_refresh:
                continue
            share = self.task.options.refresh_share
            if work.memory.first_row is None:
                work.memory.first_row = self.store.save_row(work.slot)
            self._write_template(work.slot, work.memory, work.frame, work.memory.box)
            fresh = self.store.save_row(work.slot)
            self.store.load_row(work.slot, blend(work.memory.first_row, fresh, share))
            work.memory.since_refresh = 0


class Target:
    """One followed object: the session that ``Engine.track`` opened."""

    def __init__(self, engine: Engine, slot: int, frame: Frame, memory: TargetMemory) -> None:
        self._engine = engine
        self._slot: int | None = slot
        self._last = frame
        self.memory = memory

    def update(self, frame: Frame | Image) -> Track:
        """Where the target is in the next frame.

        A bare image counts as one nominal frame after the last one; a ``Frame`` brings its own time.

        Raises:
            FrameError: the frame has another size or is not later than the last one; the session goes on.
            StepError: the model failed or gave numbers that are not finite; the session is as it was.
            SessionError: the target or its engine is closed.
        """
        if self._slot is None or self._engine._closed:
            raise SessionError("this target is closed", "start a new one with Engine.track")
        current = as_frame(frame, self._last, self._engine.task.options.reference_rate)
        self.memory.check(current)
        saved = self.memory.save()
        try:
            (track,) = self._engine.step([TrackingWork(self._slot, self.memory, current)])
        except BaseException:
            self.memory.restore(saved)
            raise
        self._last = current
        return track

    def close(self) -> None:
        """Gives the row back. Closing twice is harmless."""
        if self._slot is not None:
            self._engine.release(self._slot)
            self._slot = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def blend(first: Arrays, fresh: Arrays, share: float) -> Arrays:
    """``share`` of a fresh state row, the rest of the first one."""
    return {
        name: ((1 - share) * first[name] + share * fresh[name]).astype(first[name].dtype) for name in first
    }


def as_frame(frame: Frame | Image, last: Frame | None, rate: float = 25.0) -> Frame:
    """A bare image becomes a frame one nominal step after the last one."""
    if isinstance(frame, Frame):
        return frame
    if not hasattr(frame, "shape"):
        raise FrameError(
            f"{type(frame).__name__} is no frame", "give a Frame or a uint8 array (height, width, 3)"
        )
    if last is None:
        return Frame(frame, 0, Fraction(1, round(rate)), 0)
    ticks = max(1, round(1 / (rate * float(last.time_base))))
    return Frame(frame, last.pts + ticks, last.time_base, last.index + 1)
