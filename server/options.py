"""What the options of a session may be, before it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from ..engine import Engine
from ..errors import OptionError

OWN_OPTIONS = frozenset({"frame", "session_id", "options", "policy", "deadline_ms", "queue"})
"""Names that no option of a task has."""


def checked(engine: Engine, options: Mapping[str, Any]) -> None:
    """Raises OptionError for options that the engine's task does not take, or without those that it needs."""
    task = engine.task
    taken = sorted(OWN_OPTIONS & set(options))
    if taken:
        raise OptionError(f"{taken[0]!r} is no option of a task", "leave it out")
    try:
        signature(task.open).bind(**({"frame": None} if task.opens_on_frame else {}), **options)
    except TypeError as error:
        given = ", ".join(options)[:200] or "nothing"
        raise OptionError(
            f"a session of {task.name} cannot be opened with {given} ({error})",
            "give what its task takes, see docs/server.md",
        ) from error
