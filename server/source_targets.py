"""`Targets`: whom the frames of a live source go to: a scene of its targets, or a session of another task"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol, cast

from ..engine import Session, Tracking
from ..engine.inputs import as_box
from ..engine.scene import Detections, Known, can_follow
from ..errors import (
    FramestateError,
    SessionBusyError,
    SessionError,
    TooManyError,
    UnavailableError,
    UnknownItemError,
)
from ..vision import Frame
from .detecting import Detecting
from .entry import Entry
from .hub import Hub
from .live_scene import Four, LiveScene
from .logs import logger
from .options import checked
from .zones import Zones, split_zones


class Pictures(Protocol):
    """A source, as far as it matters here."""

    name: str
    key: str

    def frame(self, index: int | None) -> Frame:
        """The newest one, or one that was handed out lately. Raises UnknownItemError, UnavailableError."""


class Targets:
    """The targets of one source. Lives on the event loop.

    Args:
        hub: of the sessions.
        source: where frames are.
        detecting: what finds targets, where something does.
    """

    def __init__(self, hub: Hub, source: Pictures, detecting: Detecting) -> None:
        self._hub, self._source, self._detecting = hub, source, detecting
        self._choosing = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None  # the detector's
        self._since = detecting.every  # frames since it last looked

    @property
    def entry(self) -> Entry | None:
        """Whom the frames go to."""
        return self._hub.find(self._source.key)

    @property
    def scene(self) -> LiveScene | None:
        """The scene, if it is one."""
        session: object = None if self.entry is None else self.entry.session
        return session if isinstance(session, LiveScene) else None

    def all(self) -> tuple[Known, ...]:
        """All that are followed; none without a scene."""
        return () if self.scene is None else self.scene.targets()

    async def choose(self, model: str | None, options: Mapping[str, Any], index: int | None) -> Entry:
        """Hands the frames to a session of a model from now on, in place of what there was.

        Of a tracker it is a scene, with the target of ``options`` as its first one. Where the task opens on a
        frame, that is the newest one, or one that was handed out lately.

        Raises:
            UnknownItemError: that frame is not kept any more.
            UnavailableError, BoxError, OptionError, CapacityError: as ``Hub.open``; nothing has changed then.
        """
        async with self._choosing:
            engine = self._hub.engine(model)[1]
            if can_follow(engine):
                given, zones = split_zones(options)
                checked(engine, given)
                frame = self._source.frame(index)
                return await self._begun(model, zones, frame, as_box(given["box"]).xywh)
            entry = await self._hub.open(
                self._source.frame(index) if engine.task.opens_on_frame else None,
                model=model,
                key=self._source.key,
                own=True,
                replaces=self.entry,
                options=options,
                policy="DROP_OLDEST",
                queue=1,
            )
            entry.kept = True
            return entry

    async def add(
        self, model: str | None, box: Four, label: str, index: int | None, zones: Zones | None = None
    ) -> Known:
        """Follows one target more; the first one begins a scene. Zones, if given, hold for all its targets.

        Raises:
            UnknownModelError: there is no such tracker.
            SessionBusyError: another model has the frames.
            UnknownItemError, UnavailableError, BoxError, CapacityError: as ``choose``.
        """
        async with self._choosing:
            model = None if model is None else self._tracker(model)
            if self.entry is None:
                frame = self._source.frame(index)
                await self._begun(self._tracker(model), zones or {}, frame, box, label)
                return self._followed().targets()[0]
            if self.scene is None or model not in (None, self.entry.model):
                raise self._busy()
            found = await self.scene.add(box, label, self._frame_of(self.scene, index))
            if zones is not None:
                self._hub.watch.zones(self._source.key, zones)
            return found

    async def correct(self, number: int, box: Four, index: int | None) -> Known:
        """Puts a target right. Raises UnknownItemError, BoxError, CapacityError."""
        scene = self._followed()
        return await scene.correct(number, box, self._frame_of(scene, index))

    async def end(self, number: int) -> None:
        """Ends a target. Raises UnknownItemError."""
        await self._followed().end(number)

    async def detected(self, found: Detections, index: int | None, frame: Frame | None) -> int:
        """Detections that somebody made in a frame, for the next one; the number of theirs.

        Without a scene they begin one. Raises SessionBusyError: another model has the frames;
        UnknownItemError, UnavailableError, UnknownModelError, and as ``LiveScene.detected``.
        """
        return await (await self._scene_for(frame)).detected(found, index, frame)

    def look_for(self, frame: Frame) -> None:
        """Has the detector look at every Nth frame, once it is done with an earlier one."""
        every = self._detecting.every
        if not every or (self.entry is not None and self.scene is None):
            return
        self._since += 1
        if self._since >= every and (self._looking is None or self._looking.done()):
            self._since = 0
            self._looking = asyncio.create_task(self._look(frame), name=f"detect {self._source.name}")

    async def stop(self) -> None:
        """The detector looks no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self, frame: Frame) -> None:
        try:
            await self._scene_for(frame)
            await self.detected(await self._detecting.find(frame), frame.index, frame)
        except (TooManyError, UnavailableError, SessionError):
            return  # somebody else has told more of late, or the source, the server or the scene ends
        except FramestateError as error:
            logger().error("detector failed", extra={"source": self._source.name, "error": str(error)})

    async def _scene_for(self, frame: Frame | None) -> LiveScene:
        """The scene; a new one, which begins with this frame, or the newest one, where there is none."""
        async with self._choosing:
            if self.entry is None:
                await self._begun(self._tracker(None), {}, frame or self._source.frame(None))
            if self.scene is None:
                raise self._busy()
            return self.scene

    def _busy(self) -> SessionBusyError:
        model = "nobody" if self.entry is None else self.entry.model
        return SessionBusyError(
            f"the frames of source {self._source.name!r} go to {model}", "DELETE .../target ends that"
        )

    def _followed(self) -> LiveScene:
        if self.scene is None:
            name = self._source.name
            raise UnknownItemError(f"source {name!r} follows no targets", "POST one to .../targets")
        return self.scene

    def _tracker(self, model: str | None) -> str:
        """The first tracker, without a name. Raises UnknownModelError."""
        return self._hub.engine(model, Tracking.name)[0]

    def _frame_of(self, scene: LiveScene, index: int | None) -> Frame | None:
        """The frame of a box; None is the last one of the scene. Raises as ``frame``."""
        return None if index is None and scene.has_frame else self._source.frame(index)

    async def _begun(
        self, model: str | None, zones: Zones, frame: Frame, box: Four | None = None, label: str = ""
    ) -> Entry:
        """A new scene, which goes to the place of what there was once it follows its first target, if any."""
        name, engine = self._hub.engine(model)
        if box is not None:
            as_box(box).check(frame.width, frame.height)
        before = self.entry
        scene = await self._hub.scenes.begun(self._source.key, engine, frame)
        try:
            if box is not None:
                await scene.add(box, label, None)
            self._hub.check_running()
        except BaseException:
            scene.close()
            raise
        entry = self._hub.enter(cast("Session[Any]", scene), name, zones, before)
        entry.kept = True
        if before is not None and isinstance(before.session, LiveScene):
            await asyncio.wrap_future(before.session.left)
        return entry
