"""`Scene`: one video with many targets, opened, corrected and ended by detections that come now and then."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ...errors import CapacityError, FrameError, OptionError, SessionError
from ...vision import Box, Frame, Image
from ...wire import SceneAnswer, Timings
from ..engine import Engine
from ..inputs import BoxLike, Clock, as_box, as_frame
from ..session_options import check_id
from ..tracking import BoxFilter, Tracking
from . import blob as blobs
from .appearance import look_of
from .carrying import carry, let_go
from .desk import Desk
from .detections import Detections, named
from .looking import SEARCHED, errands, tidy
from .meeting import meet
from .memory import Known, SceneMemory
from .motion import grey_of
from .options import SceneOptions
from .parting import part
from .past import Past
from .runner import Runner
from .target import Target


def can_follow(engine: Engine) -> bool:
    """Whether an engine's model is a tracker, so that a scene can have it."""
    return isinstance(engine.task, Tracking)


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
        if not can_follow(engine):
            raise OptionError(
                f"a scene follows targets, and the engine's task is {engine.task.name}", "load a tracker"
            )
        self.id = uuid.uuid4().hex[:12] if scene_id is None else check_id(scene_id)
        self.options = options or SceneOptions()
        self.closed = False
        self.memory = SceneMemory()
        """What it remembers: a frozen value, another one whenever something has changed."""
        self._runner = Runner(engine, self.options, self.id)
        self.past = Past(self.options.late)
        """The last frames, for detections that come late."""
        self._frame: Frame | None = None

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
                scene._runner.restore(number, part_of)
        except BaseException:
            scene.close()
            raise
        scene.memory = kept.memory
        return scene

    def update(self, frame: Frame | Image, detections: Any = None) -> SceneAnswer:
        """Moves on to the next frame.

        Args:
            frame: as sessions take it; a bare image counts as one nominal frame after the last one.
            detections: None where nobody looked for any; what was found in this frame, possibly nothing:
                see `Detections.of`. With ``seconds`` they may be of an earlier one, see
                ``SceneOptions.late``.

        Raises:
            FrameError: the frame does not fit, or is not later than the last; or the detections are those of
                another frame.
            BoxError, OptionError: a detection cannot be used. The scene is as it was, and goes on.
            SessionError: the scene is closed.
        """
        began = time.perf_counter()
        self._check()
        clock = self.memory.clock
        current = as_frame(frame, clock, self.options.reference_rate)
        if clock is not None:
            clock.check(current)
        found = None if detections is None else Detections.of(detections)
        desk = Desk.of(self.options, self.memory, current)
        grey = grey_of(current.image, self.options.flow_side)
        carry(desk, grey)
        if found is not None:
            found = self.past.brought(found, desk, grey)
            given = found.fitting(current.width, current.height, self.options)
            desk.ignored += len(found) - len(given)
            meet(desk, given)
        let_go(desk)
        ready = time.perf_counter()
        self._runner.run(desk, errands(desk), began)
        looked = time.perf_counter()
        part(desk)
        tidy(desk)
        self._commit(desk, SceneMemory(Clock.of(current), grey))
        self._frame = current
        self.past.add(current, grey, {one.number: one.box for one in self.memory.targets})
        spent = (ready - began, looked - ready, time.perf_counter() - looked)
        return replace(desk.answer(), timings=Timings(*(1e3 * one for one in spent)))

    def add(self, box: BoxLike, label: str = "", frame: Frame | None = None) -> Target:
        """Opens a target by hand; only ``end`` ends it. While it is out of sight it is looked for.

        Until a detection meets it, its session alone follows it, with a look at every frame.

        Args:
            box: where it is, x, y, w, h in pixels.
            label: its class, or name.
            frame: of the box, where that isn't the last one: in the next frame the target is searched for.

        Raises:
            BoxError: the box cannot be used.
            FrameError: there was no frame yet; after ``restore``, none since; or it is of another size.
            CapacityError: the scene, or the engine, follows as many as it may.
        """
        self._check()
        frame, is_last = self._shown(frame)
        region = as_box(box).check(frame.width, frame.height)
        if len(self.memory.targets) >= self.options.most_targets:
            raise CapacityError(f"the scene has {len(self.memory.targets)} targets", "end some first")
        desk = Desk.of(self.options, self.memory, frame)
        number = desk.begin(
            region, score=1.0, label=named(label), shown=True, pinned=True, led=True,
            look=look_of(frame.image, region), unsure=0 if is_last else SEARCHED,
        )  # fmt: skip
        self._runner.open(number, frame, region)
        desk.change(number, session=number)
        self._commit(desk, self.memory)
        return Target(self, number)

    def remember(self, frame: Frame) -> None:
        """An earlier frame that the scene has not seen, of which detections will come. Raises FrameError."""
        self._shown(frame)
        if self.past.at(frame.seconds) is None:
            self.past.insert(frame, grey_of(frame.image, self.options.flow_side))

    @property
    def has_frame(self) -> bool:
        """Whether the last frame is at hand: not before the first, nor the first after ``restore``."""
        return self._frame is not None

    def targets(self) -> list[Target]:
        """Handles of all targets, lost ones too. Raises SessionError: the scene is closed."""
        self._check()
        return [Target(self, one.number) for one in self.memory.targets]

    def target(self, number: int) -> Target:
        """A target by its id. Raises SessionError: there is none, or no longer."""
        self.known(number)
        return Target(self, number)

    def known(self, number: int) -> Known:
        """What is known of a target. Raises SessionError: there is none, or no longer."""
        self._check()
        for one in self.memory.targets:
            if one.number == number:
                return one
        raise SessionError(f"scene {self.id!r} has no target {number}", "see the ids of the last answer")

    def correct(self, number: int, box: BoxLike, frame: Frame | None = None) -> None:
        """Puts right where a target is; filter and template follow, the id stays.

        Args:
            number: the target's id.
            box: where it is, x, y, w, h in pixels.
            frame: of the box, where that isn't the last one: in the next frame the target is searched for.

        Raises BoxError, SessionError, FrameError; with an earlier frame CapacityError, where no slot is free.
        """
        known, clock = self.known(number), self.memory.clock
        assert clock is not None, "it has targets"
        region = as_box(box).check(clock.width, clock.height)
        if frame is not None:
            frame, is_last = self._shown(frame)
            if not is_last:
                return self._begun_anew(known, region, frame)
        if known.session:
            given = {} if self._frame is None else {"frame": self._frame}
            self._runner.sessions[known.session].correct(region, **given)
        filter = BoxFilter(region, self.options.filter)
        now = clock.seconds
        self.memory = self.memory.with_target(
            replace(
                known, belief=filter.belief, box=region, status="tracking", score=1.0, shown=True, misses=0,
                unsure=0, trust=1.0, seen=now, detected=now, looked=now, learnt=now, hits=known.hits + 1,
                look=known.look if self._frame is None else look_of(self._frame.image, region),
            )
        )  # fmt: skip

    def end(self, number: int) -> None:
        """Ends a target; its id is not given again. Raises SessionError."""
        known = self.known(number)
        self._runner.drop(known.session)
        kept = tuple(one for one in self.memory.targets if one.number != number)
        met = tuple(pair for pair in self.memory.met if number not in pair)
        self.memory = replace(self.memory, targets=kept, met=met)

    def snapshot(self) -> bytes:
        """The whole scene as one blob, which another process, runtime or machine can go on from."""
        self._check()
        return blobs.pack(blobs.Kept(self.id, self.memory, self._runner.snapshots()))

    def close(self) -> None:
        """Ends all targets. Closing twice is harmless."""
        self.closed = True
        for number in list(self._runner.sessions):
            self._runner.drop(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self.closed:
            raise SessionError(f"scene {self.id!r} is closed", "open a new one")

    def _shown(self, frame: Frame | None) -> tuple[Frame, bool]:
        """The frame that a box is in, and whether it is the last one."""
        last, clock = self._frame, self.memory.clock
        if frame is None or (last is not None and last.index == frame.index):
            if last is None:
                raise FrameError("the scene has no frame at hand", "update it with one first")
            return last, True
        if clock is None or (clock.width, clock.height) != (frame.width, frame.height):
            raise FrameError(
                f"the frame is {frame.width} x {frame.height}, and the scene's are of another size",
                "give a frame of the same video, after the first update",
            )
        return frame, False

    def _begun_anew(self, known: Known, region: Box, frame: Frame) -> None:
        """A target gets another session, opened on an earlier frame, and is searched for from there."""
        session = self.memory.next_number
        self._runner.open(session, frame, region)
        self._runner.drop(known.session)
        self.memory = replace(self.memory, next_number=session + 1).with_target(
            replace(
                known, belief=BoxFilter(region, self.options.filter).belief, box=region, status="uncertain",
                score=1.0, shown=True, misses=0, unsure=SEARCHED, trust=0.0, seen=frame.seconds,
                detected=frame.seconds, looked=frame.seconds, learnt=frame.seconds, hits=known.hits + 1,
                look=look_of(frame.image, region), session=session,
            )
        )  # fmt: skip

    def _commit(self, desk: Desk, memory: SceneMemory) -> None:
        """The scene moves on; sessions that nobody needs any more are closed."""
        targets = tuple(sorted(desk.known.values(), key=lambda one: one.number))
        self.memory = replace(
            memory, targets=targets, next_number=desk.next_number, met=tuple(sorted(desk.met))
        )
        for number in set(self._runner.sessions) - {one.session for one in targets}:
            self._runner.drop(number)
