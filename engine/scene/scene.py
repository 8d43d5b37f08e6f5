"""`Scene`: one video with many targets, opened, corrected and ended by detections that come now and then."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ...errors import CapacityError, FrameError, FramestateError, OptionError, SessionError
from ...vision import Frame, Image
from ...wire import Track
from ..engine import Engine
from ..inputs import BoxLike, Clock, as_box, as_frame
from ..session import Session
from ..session_options import check_id
from ..tracking import BoxFilter, Tracking
from . import blob as blobs
from .answer import SceneAnswer
from .appearance import look_of
from .carrying import carry
from .desk import Desk
from .detections import Detections
from .looking import Errand, errands, settle, tidy
from .meeting import meet
from .memory import Known, SceneMemory
from .motion import grey_of
from .options import SceneOptions
from .parting import part
from .target import Target


class Scene:
    """Many targets in one video, each an ordinary session of a tracker's engine.

    ::

        with Engine.load("tracker-nano", capacity=64) as engine, Scene(engine) as scene:
            for number, frame in enumerate(frames):
                found = detect(frame.image) if number % 10 == 0 else None
                for target in scene.update(frame, found):
                    print(target.id, target.box, target.label)

    Args:
        engine: of a tracker; its ``capacity`` bounds how many targets have a session. Scenes may share it.
        options: every threshold.
        scene_id: what to call it; without one it is drawn at random. The sessions' ids begin with it.

    Raises:
        OptionError: the engine's model is no tracker, or the id cannot be used.
    """

    def __init__(
        self, engine: Engine, options: SceneOptions | None = None, *, scene_id: str | None = None
    ) -> None:
        if not isinstance(engine.task, Tracking):
            raise OptionError(
                f"a scene follows targets, and the engine's task is {engine.task.name}", "load a tracker"
            )
        self.id = uuid.uuid4().hex[:12] if scene_id is None else check_id(scene_id)
        self.options = options or SceneOptions()
        self.closed = False
        self._engine = engine
        self._memory = SceneMemory()
        self._sessions: dict[int, Session[Track]] = {}
        self._frame: Frame | None = None
        self._look_ms = 0.0  # running estimate
        self._side_by_side = engine.lanes.workers > 1 or engine.lanes.batched
        if self._side_by_side:
            engine.service.start()

    @classmethod
    def restore(
        cls, engine: Engine, blob: bytes, options: SceneOptions | None = None, *, scene_id: str | None = None
    ) -> Scene:
        """Goes on with a scene from its blob, bit for bit; with all its targets, or not at all.

        Raises:
            StateError: the blob is damaged, or belongs to another bundle or version.
            CapacityError, SessionError: there is no room for its targets, or their ids are in use.
        """
        kept = blobs.unpack(blob)
        scene = cls(engine, options, scene_id=scene_id or kept.id)
        try:
            for number, part_of in sorted(kept.sessions.items()):
                scene._sessions[number] = engine.restore(part_of, session_id=scene._name(number))
        except BaseException:
            scene.close()
            raise
        scene._memory = kept.memory
        return scene

    def update(self, frame: Frame | Image, detections: Any = None) -> SceneAnswer:
        """Moves on to the next frame.

        Args:
            frame: as sessions take it; a bare image counts as one nominal frame after the last one.
            detections: None where nobody looked for any; what was found in this frame, possibly nothing:
                see `Detections.of`.

        Raises:
            FrameError: the frame does not fit, or is not later than the last; or the detections are those of
                another frame.
            BoxError, OptionError: a detection cannot be used. The scene is as it was, and goes on.
            SessionError: the scene is closed.
        """
        began = time.perf_counter()
        self._check()
        clock = self._memory.clock
        current = as_frame(frame, clock, self.options.reference_rate)
        if clock is not None:
            clock.check(current)
        found = None if detections is None else Detections.of(detections).of_frame(current, clock)
        desk = Desk.of(self.options, self._memory, current)
        grey = grey_of(current.image, self.options.flow_side)
        carry(desk, grey)
        if found is not None:
            given = found.fitting(current.width, current.height, self.options)
            desk.ignored += len(found) - len(given)
            meet(desk, given)
        self._run(desk, errands(desk), began)
        part(desk)
        tidy(desk)
        self._commit(desk, SceneMemory(Clock.of(current), grey))
        self._frame = current
        return desk.answer()

    def add(self, box: BoxLike, label: str = "") -> Target:
        """Opens a target by hand, in the last frame; only ``end``, or being out of sight, ends it.

        Raises:
            BoxError: the box cannot be used.
            FrameError: there was no frame yet; after ``restore``, none since.
            CapacityError: the scene, or the engine, follows as many as it may.
        """
        self._check()
        frame = self._given_frame()
        region = as_box(box).check(frame.width, frame.height)
        if len(self._memory.targets) >= self.options.most_targets:
            raise CapacityError(f"the scene has {len(self._memory.targets)} targets", "end some first")
        desk = Desk.of(self.options, self._memory, frame)
        number = desk.begin(
            region, score=1.0, label=label[:64], shown=True, pinned=True, look=look_of(frame.image, region)
        )
        self._sessions[number] = self._engine.open(frame, box=region, session_id=self._name(number))
        desk.change(number, session=number)
        self._commit(desk, self._memory)
        return Target(self, number)

    def targets(self) -> list[Target]:
        """Handles of all targets, lost ones too. Raises SessionError: the scene is closed."""
        self._check()
        return [Target(self, one.number) for one in self._memory.targets]

    def target(self, number: int) -> Target:
        """A target by its id. Raises SessionError: there is none, or no longer."""
        self.known(number)
        return Target(self, number)

    def known(self, number: int) -> Known:
        """What is known of a target. Raises SessionError: there is none, or no longer."""
        self._check()
        for one in self._memory.targets:
            if one.number == number:
                return one
        raise SessionError(f"scene {self.id!r} has no target {number}", "see the ids of the last answer")

    def correct(self, number: int, box: BoxLike) -> None:
        """Puts right where a target is in the last frame; filter and template follow, the id stays.

        Raises BoxError, SessionError.
        """
        known, clock = self.known(number), self._memory.clock
        assert clock is not None, "it has targets"
        region = as_box(box).check(clock.width, clock.height)
        if known.session:
            given = {} if self._frame is None else {"frame": self._frame}
            self._sessions[known.session].correct(region, **given)
        filter = BoxFilter(region, self.options.filter)
        now = clock.seconds
        self._memory = self._memory.with_target(
            replace(
                known, belief=filter.belief, box=region, status="tracking", score=1.0, shown=True, misses=0,
                unsure=0, trust=1.0, seen=now, detected=now, looked=now, learnt=now, hits=known.hits + 1,
                look=known.look if self._frame is None else look_of(self._frame.image, region),
            )
        )  # fmt: skip

    def end(self, number: int) -> None:
        """Ends a target; its id is not given again. Raises SessionError."""
        known = self.known(number)
        self._drop(known.session)
        kept = tuple(one for one in self._memory.targets if one.number != number)
        met = tuple(pair for pair in self._memory.met if number not in pair)
        self._memory = replace(self._memory, targets=kept, met=met)

    def snapshot(self) -> bytes:
        """The whole scene as one blob, which another process, runtime or machine can go on from."""
        self._check()
        taken = {number: session.snapshot() for number, session in self._sessions.items()}
        return blobs.pack(blobs.Kept(self.id, self._memory, taken))

    def close(self) -> None:
        """Ends all targets. Closing twice is harmless."""
        self.closed = True
        for number in list(self._sessions):
            self._drop(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self.closed:
            raise SessionError(f"scene {self.id!r} is closed", "open a new one")

    def _given_frame(self) -> Frame:
        if self._frame is None:
            raise FrameError("the scene has no frame at hand", "update it with one first")
        return self._frame

    def _name(self, number: int) -> str:
        return f"{self.id}-{number}"

    def _drop(self, session: int) -> None:
        found = self._sessions.pop(session, None)
        if found is not None:
            found.close()

    def _commit(self, desk: Desk, memory: SceneMemory) -> None:
        """The scene moves on; sessions that nobody needs any more are closed."""
        targets = tuple(sorted(desk.known.values(), key=lambda one: one.number))
        self._memory = replace(
            memory, targets=targets, next_number=desk.next_number, met=tuple(sorted(desk.met))
        )
        for number in set(self._sessions) - {one.session for one in targets}:
            self._drop(number)

    def _run(self, desk: Desk, due: list[Errand], began: float) -> None:
        """What is due, within the budget; in flight all at a time, settled in order."""
        allowed = self._allowed(len(due), began)
        desk.skipped += [one.number for one in due[allowed:] if one.kind in ("look", "search")]
        started = time.perf_counter()
        under_way = [(one, self._start(desk, one)) for one in due[:allowed]]
        for one, future in under_way:
            try:
                result = future.result()
            except FramestateError as error:
                desk.failed.append((one.number, str(error)))
                continue
            if one.kind == "open":
                self._sessions[one.number] = result
                desk.change(one.number, session=one.number, learnt=desk.seconds)
            elif one.kind == "learn":
                desk.change(one.number, learnt=desk.seconds)
            else:
                settle(desk, one, result)
        if under_way:
            took = 1e3 * (time.perf_counter() - started) / len(under_way)
            self._look_ms += 0.2 * (took - self._look_ms) if self._look_ms else took

    def _allowed(self, due: int, began: float) -> int:
        o = self.options
        most = min(due, o.most_looks) if o.most_looks else due
        if not o.budget_ms:
            return most
        left = o.budget_ms - 1e3 * (time.perf_counter() - began)
        return min(most, max(1, int(left / self._look_ms))) if self._look_ms else min(most, 1)

    def _push(self, session: Session[Track], frame: Frame) -> Future[Any]:
        return session.submit_nowait(frame) if self._side_by_side else _done(session.push(frame))

    def _start(self, desk: Desk, errand: Errand) -> Future[Any]:
        known, frame = desk.known[errand.number], desk.frame
        if errand.kind == "open":
            return _raised(
                lambda: self._engine.open_nowait(frame, box=known.box, session_id=self._name(errand.number))
            )
        session = self._sessions[known.session]
        if errand.kind == "search":
            return _raised(lambda: self._push(session, frame))
        if errand.kind == "learn":
            return _raised(lambda: session.correct_nowait(known.box, frame=frame))
        return _raised(lambda: session.correct_nowait(known.box, frame=frame, learn=False, look=True))


def _done(result: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(result)
    return done


def _raised(start: Callable[[], Future[Any]]) -> Future[Any]:
    """What cannot even begin is a failed future, too."""
    try:
        return start()
    except FramestateError as error:
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed
