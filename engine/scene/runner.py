"""Errands on the model: in flight all at a time, settled in order, within the budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ...errors import FramestateError
from ...vision import Frame
from ...wire import Track
from ..engine import Engine
from ..session import Session
from .desk import Desk
from .looking import Errand, settle
from .options import SceneOptions


class Runner:
    """The sessions of a scene's targets, and what the model does for them.

    Args:
        engine: of a tracker.
        options: the budget.
        scene: its id; the sessions' ids begin with it.

    Attributes:
        sessions: by their numbers.
    """

    def __init__(self, engine: Engine, options: SceneOptions, scene: str) -> None:
        self.sessions: dict[int, Session[Track]] = {}
        self._engine, self._options, self._scene = engine, options, scene
        self._look_ms = 0.0  # running estimate
        self._side_by_side = engine.lanes.workers > 1 or engine.lanes.batched
        if self._side_by_side:
            engine.service.start()

    def open(self, number: int, frame: Frame, box: Any) -> None:
        """Opens a session of this number, waited for. Raises as ``Engine.open``."""
        self.sessions[number] = self._opening(number, frame, box).result()

    def restore(self, number: int, blob: bytes) -> None:
        """Goes on with one from its blob. Raises as ``Engine.restore``."""
        self.sessions[number] = self._engine.restore(blob, session_id=self._name(number), part_of=self._scene)

    def snapshots(self) -> dict[int, bytes]:
        """Blobs of all, by their numbers; asked for together, as each waits for a turn."""
        asked = {number: session.snapshot_nowait() for number, session in self.sessions.items()}
        return {number: future.result() for number, future in asked.items()}

    def drop(self, number: int) -> None:
        """Closes one, if it is there."""
        found = self.sessions.pop(number, None)
        if found is not None:
            found.close()

    def run(self, desk: Desk, due: list[Errand], began: float) -> None:
        """What is due, the most needed first; ``began`` is when work on the frame did (perf_counter)."""
        allowed = self._allowed(len(due), began)
        desk.skipped += [one.number for one in due[allowed:] if one.kind in ("look", "search", "follow")]
        started = time.perf_counter()
        under_way = [(one, self._start(desk, one)) for one in due[:allowed]]
        for one, future in under_way:
            try:
                result = future.result()
            except FramestateError as error:
                desk.failed.append((one.number, str(error)))
                continue
            if one.kind == "open":
                self.sessions[one.number] = result
                desk.change(one.number, session=one.number, learnt=desk.seconds)
            elif one.kind == "learn":
                desk.change(one.number, learnt=desk.seconds)
            else:
                settle(desk, one, result)
        if under_way:
            took = 1e3 * (time.perf_counter() - started) / len(under_way)
            self._look_ms += 0.2 * (took - self._look_ms) if self._look_ms else took

    def _allowed(self, due: int, began: float) -> int:
        o = self._options
        most = min(due, o.most_looks) if o.most_looks else due
        if not o.budget_ms:
            return most
        left = o.budget_ms - 1e3 * (time.perf_counter() - began)
        return min(most, max(1, int(left / self._look_ms))) if self._look_ms else min(most, 1)

    def _start(self, desk: Desk, errand: Errand) -> Future[Any]:
        known, frame = desk.known[errand.number], desk.frame
        if errand.kind == "open":
            return _raised(lambda: self._opening(errand.number, frame, known.box))
        session = self.sessions[known.session]
        if errand.kind in ("search", "follow"):
            return _raised(lambda: self._push(session, frame))
        if errand.kind == "learn":
            return _raised(lambda: session.correct_nowait(known.box, frame=frame))
        return _raised(lambda: session.correct_nowait(known.box, frame=frame, learn=False, look=True))

    def _push(self, session: Session[Track], frame: Frame) -> Future[Any]:
        return session.submit_nowait(frame) if self._side_by_side else _done(session.push(frame))

    def _opening(self, number: int, frame: Frame, box: Any) -> Future[Session[Any]]:
        return self._engine.open_nowait(frame, box=box, session_id=self._name(number), part_of=self._scene)

    def _name(self, number: int) -> str:
        return f"{self._scene}-{number}"


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
