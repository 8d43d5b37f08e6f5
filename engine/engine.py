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
from ..errors import BoxError, FrameError, OptionError, SessionError
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
        if capacity < 1:
            raise OptionError(f"capacity is {capacity}", "give at least 1 session")
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
        first = as_frame(frame, None, self.task.options.reference_rate)
        region = as_box(box).check(first.width, first.height)
        slot = self.slots.take()
        try:
            memory = self.task.open(first, region)
            self._write_template(slot, memory, first, region)
            return Target(self, slot, first, memory)
        except BaseException:
            self.release(slot)
            raise

    def step(self, batch: Sequence[TrackingWork]) -> list[Track]:
        """One frame of each of some sessions: prepare, run, finish, store.

        All that can fail comes before the first write to the store, and whoever calls puts the memories back
        when this raises: then the sessions are as they were.
        """
        began = time.perf_counter()
        rows = [work.slot for work in batch]
        inputs = self.task.prepare(batch)
        prepared = time.perf_counter()
        outputs, state = self.runtime.call(self.task.function, inputs, self.store.read(rows))
        ran = time.perf_counter()
        tracks = self.task.finish(batch, outputs)
        refreshed = self._fresh_templates(batch)
        self.store.write(rows, state or {})
        for slot, pinned in refreshed:
            self.store.load_row(slot, {**self.store.save_row(slot), **pinned})
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

    def _fresh_templates(self, batch: Sequence[TrackingWork]) -> list[tuple[int, Arrays]]:
        """For every session that is due and sure: its slot, and a fresh template blended into the first one.

        Only what ``step`` never writes is a template; what it carries from frame to frame stays.
        """
        refreshed = []
        spare = self.slots.capacity  # the store's padding row
        for work in batch:
            memory = work.memory
            if not memory.wants_refresh:
                continue
            if memory.first_row is None:
                memory.first_row = self._pinned(work.slot)
            self._write_template(spare, memory, work.frame, memory.box)
            share = self.task.options.refresh_share
            refreshed.append((work.slot, blend(memory.first_row, self._pinned(spare), share)))
            memory.since_refresh = 0
        return refreshed

    def _pinned(self, row: int) -> Arrays:
        """What ``step`` only reads, of one row."""
        carried = self.runtime.spec.function(self.task.function).writes_state
        return {name: array for name, array in self.store.save_row(row).items() if name not in carried}


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


def as_box(box: Box | Sequence[float]) -> Box:
    """Four numbers become a box. Raises BoxError when they are not."""
    if isinstance(box, Box):
        return box
    try:
        return Box(*(float(value) for value in box))
    except (TypeError, ValueError) as error:
        raise BoxError(f"{box!r} is no box ({error})", "give four numbers: x, y, w, h in pixels") from error


def as_frame(frame: Frame | Image, last: Frame | None, rate: float) -> Frame:
    """A bare image becomes a frame one nominal step of 1 / ``rate`` seconds after the last one."""
    if isinstance(frame, Frame):
        return frame
    if not hasattr(frame, "shape"):
        raise FrameError(
            f"{type(frame).__name__} is no frame", "give a Frame or a uint8 array (height, width, 3)"
        )
    if last is None:
        return Frame(frame, 0, Fraction(1 / rate).limit_denominator(10**9), 0)
    ticks = max(1, round(1 / (rate * float(last.time_base))))
    return Frame(frame, last.pts + ticks, last.time_base, last.index + 1)
