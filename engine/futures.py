"""Futures as the engine's thread resolves them: each exactly once, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from ..errors import FramestateError, SessionError, StepError

Opened = TypeVar("Opened", bound=AbstractContextManager[Any])


def obey(function: Callable[[], Any], future: Future[Any]) -> None:
    """Runs a function for a future, unless that was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except Exception as error:
        future.set_exception(error)
    except BaseException as error:
        future.set_exception(SessionError(f"the engine's thread ended with {error!r}", "load a new one"))
        raise
    else:
        future.set_result(result)


def fail(future: Future[Any], error: FramestateError) -> None:
    """Answers what was never run, unless its caller has taken it back."""
    if future.set_running_or_notify_cancel():
        future.set_exception(error)


async def claimed(future: Future[Opened]) -> Opened:
    """Waits for something that has to be closed, and closes it when the one who waits is cancelled."""
    try:
        return await asyncio.shield(asyncio.wrap_future(future))
    except asyncio.CancelledError:
        future.add_done_callback(discard)
        raise


def discard(future: Future[Opened]) -> None:
    """Closes what a future gave, if it gave something."""
    if future.exception() is None:
        future.result().__exit__(None, None, None)


def closed_error(key: str) -> SessionError:
    """What a closed session answers."""
    return SessionError(f"session {key!r} is closed", "open a new one")


def as_step_error(error: Exception) -> FramestateError:
    """A typed error stays; anything else becomes a StepError that it is the cause of."""
    if isinstance(error, FramestateError):
        return error
    failed = StepError(f"the step failed ({type(error).__name__}: {error})", "the session is as it was")
    failed.__cause__ = error
    return failed
