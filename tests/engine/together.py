"""Frames of several sessions that fly at the same time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from framestate.engine import Engine, Session
from framestate.vision import Frame


def pushed_together(engine: Engine, sessions: Sequence[Session[Any]], frames: Sequence[Frame]) -> list[Any]:
    """One frame of each session; all are queued before the first of them flies. Answers, or what failed."""
    queued = threading.Event()
    engine.service.start()
    engine.service.call(queued.wait)  # keeps a lane busy
    futures = [session.submit_nowait(frame) for session, frame in zip(sessions, frames, strict=True)]
    queued.set()
    return [future.exception(60) or future.result() for future in futures]
