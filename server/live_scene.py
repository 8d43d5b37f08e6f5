"""`LiveScene`: the scene of a live source, as the hub has sessions; its work goes on beside the event loop"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from ..engine import Engine, Policy, SessionOptions
from ..engine.futures import obey
from ..engine.inputs import Clock
from ..engine.lanes import num_cores
from ..engine.scene import Detections, Known, Scene, SceneOptions
from ..errors import FrameError, InputError, OptionError, SessionError, TooManyError, UnknownItemError
from ..vision import Frame, Image
from ..wire import SceneAnswer, Track
from .logs import logger
from .pictures import Strand
from .settings import MEGABYTE, Settings

T = TypeVar("T")
Four = tuple[float, float, float, float]


class LiveScene:
    """One scene: everything is done to it one after another, on a thread of the pool.

    Args:
        key: its id for the hub.
        scene: which it has from now on for itself.
        engine: of the scene.
        pool: of the threads.

    Attributes:
        id: for the hub.
        options: only the newest frame is kept.
        closed: whether it has ended.
    """

    def __init__(self, key: str, scene: Scene, engine: Engine, pool: ThreadPoolExecutor) -> None:
        self.id = key
        self.options = SessionOptions(Policy.DROP_OLDEST, queue=1)
        self.closed = False
        self._scene, self._engine = scene, engine
        self._strand = Strand(pool)
        self._round: Detections | None = None  # that waits for the next frame
        self._told = float("-inf")  # the time of the frame of the last round

    @property
    def clock(self) -> Clock | None:
        """At the last frame; None before the first."""
        return self._scene.memory.clock

    @property
    def most_snapshot_bytes(self) -> int:
        """Of its blob: its targets, the picture that motion is looked for in, and what is known of them."""
        o = self._scene.options
        return o.most_targets * self._engine.most_snapshot_bytes + o.flow_side**2 + MEGABYTE

    @property
    def has_frame(self) -> bool:
        """Whether boxes of the last frame can be used: not before the first one since a restart."""
        return self._scene.has_frame

    @property
    def mark(self) -> object:
        """Another object whenever something has changed."""
        return self._scene.memory

    def targets(self) -> tuple[Known, ...]:
        """All that it follows, in the order of their ids; those that no detection has confirmed left out."""
        return tuple(one for one in self._scene.memory.targets if one.shown)

    def target(self, number: int) -> Known:
        """One of them. Raises UnknownItemError."""
        for one in self.targets():
            if one.number == number:
                return one
        raise UnknownItemError(f"{self.id} has no target {number}", "GET .../targets lists them")

    async def submit(self, frame: Frame | Image) -> SceneAnswer:
        """What is where in the next frame. Raises as ``Scene.update``."""
        return await self._awaited(lambda: self._next(frame))

    async def detected(self, found: Detections, index: int | None, frame: Frame | None) -> int:
        """Detections, which the next frame is met with; the number of the frame that they are of.

        Args:
            found: with ``seconds`` of their frame, or without.
            index: of their frame; None, without ``seconds``: the last one.
            frame: their frame itself, where it is at hand: the scene may not have seen it.

        Raises:
            UnknownItemError: their frame is not kept.
            FrameError: those of a later frame were told before.
            TooManyError: others wait for the next frame.
        """
        return await self._awaited(lambda: self._detected(found, index, frame))

    async def add(self, box: Four, label: str, frame: Frame | None) -> Known:
        """Opens a target. Raises as ``Scene.add``."""
        return await self._awaited(lambda: self._scene.known(self._scene.add(box, label, frame).id))

    async def correct(self, number: int, box: Four, frame: Frame | None) -> Known:
        """Puts a target right. Raises UnknownItemError, and as ``Scene.correct``."""

        def work() -> Known:
            self.target(number)
            self._scene.correct(number, box, frame)
            return self._scene.known(number)

        return await self._awaited(work)

    async def end(self, number: int) -> None:
        """Ends a target. Raises UnknownItemError."""

        def work() -> None:
            self.target(number)
            self._scene.end(number)

        await self._awaited(work)

    def correct_nowait(self, box: Four) -> Future[Track]:
        """A future of its one target, put right. It is an OptionError where there are several."""

        def work() -> Track:
            found = self.targets()
            if len(found) != 1:
                raise OptionError(
                    f"{self.id} follows {len(found)} targets", "PATCH .../targets/{id} puts one of them right"
                )
            self._scene.correct(found[0].number, box)
            known, clock = self._scene.known(found[0].number), self.clock
            assert clock is not None, "it has a target"
            return Track(known.box, known.score, known.status, clock.index)

        return self._do(work)

    def snapshot_nowait(self) -> Future[bytes]:
        """A future of the whole scene as one blob."""
        return self._do(lambda: self._scene.snapshot())

    def replace_nowait(self, blob: bytes) -> Future[None]:
        """Goes back to a blob, as a whole or not at all; for a moment it needs as many slots again."""

        def work() -> None:
            new = Scene.restore(self._engine, blob, self._scene.options, scene_id=uuid.uuid4().hex[:12])
            self._scene.close()
            self._scene, self._round, self._told = new, None, float("-inf")

        return self._do(work)

    def close(self) -> None:
        """Ends it. Closing twice is harmless."""
        self.closed = True
        self.left = self._do(lambda: self._scene.close(), whatever=True)

    def _next(self, frame: Frame | Image) -> SceneAnswer:
        found, self._round = self._round, None
        try:
            return self._scene.update(frame, found)
        except InputError as error:
            if found is None:
                raise
            extra = {"session": self.id, "error": error.problem}  # they had been checked: time has passed
            logger().warning("detections passed over", extra=extra)
            return self._scene.update(frame)

    def _detected(self, found: Detections, index: int | None, frame: Frame | None) -> int:
        past, clock = self._scene.past, self.clock
        assert clock is not None, "it has begun with a frame"
        if self._round is not None:
            raise TooManyError("detections wait for the next frame already", "send one round a frame")
        if frame is not None:
            self._scene.remember(frame)
        seconds = found.seconds
        if index is not None:
            seconds = past.of_index(index)
        elif seconds is None:
            seconds = clock.seconds
        moment = None if seconds is None else past.at(seconds)
        if moment is None:
            which = f"of {seconds:g} s" if index is None else str(index)
            raise UnknownItemError(
                f"frame {which} of {self.id} is not kept",
                f"tell of the newest, or of one that came in the last {self._scene.options.late:g} s",
            )
        if moment.seconds <= self._told:
            raise FrameError(
                f"what is in frame {moment.index}, or in a later one, was told before", "tell of a newer one"
            )
        self._round, self._told = replace(found, seconds=moment.seconds), moment.seconds
        return moment.index

    async def _awaited(self, work: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._do(work))

    def _do(self, work: Callable[[], T], *, whatever: bool = False) -> Future[T]:
        """Does this in its turn."""
        future: Future[T] = Future()
        if self.closed and not whatever:
            future.set_exception(SessionError(f"{self.id} has ended", "choose a target again"))
        else:
            self._strand.add(lambda: obey(work, future))
        return future


class Scenes:
    """Makes the scenes of a server, and has their threads.

    Args:
        settings: limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._options = SceneOptions(
            most_targets=settings.max_targets, budget_ms=settings.look_ms, late=settings.late_s
        )
        self._pool = ThreadPoolExecutor(num_cores(), thread_name_prefix="framestate-scene")

    async def begun(self, key: str, engine: Engine, frame: Frame) -> LiveScene:
        """A new scene, which has seen this frame. Raises OptionError: the engine's model is no tracker."""
        live = LiveScene(key, Scene(engine, self._options), engine, self._pool)
        await live.submit(frame)
        return live

    def restored(self, key: str, engine: Engine, blob: bytes) -> LiveScene:
        """Goes on with a scene from its blob. Raises as ``Scene.restore``."""
        return LiveScene(key, Scene.restore(engine, blob, self._options), engine, self._pool)

    def close(self) -> None:
        """Ends the threads, when all that was asked for is done."""
        self._pool.shutdown()
