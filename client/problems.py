"""Problem details of a server (RFC 9457) as typed errors"""

from __future__ import annotations

import json
from typing import Any

from ..errors import FramestateError, RequestError, RunError, UnavailableError
from .results import error_of


def problem_in(status: int, body: bytes | bytearray | None) -> FramestateError:
    """The typed error in the body of an answer; of one that holds none, by its status."""
    table: Any = None
    try:
        table = json.loads(bytes(body or b""))
    except (ValueError, RecursionError):
        table = None
    if isinstance(table, dict):
        code, problem, remedy = (table.get(name) for name in ("code", "problem", "remedy"))
        if isinstance(code, str) and isinstance(problem, str) and isinstance(remedy, str):
            return error_of(code, problem, remedy)
    said = table.get("detail") if isinstance(table, dict) else None
    why = f"the server answered {status}" + (f": {said}" if isinstance(said, str) else "")
    if status in (502, 503, 504):
        return UnavailableError(why, "Try again later.")
    if status < 500:
        return RequestError(why, "Check the address and what was sent.")
    return RunError(why, "Look at the server's log.")
