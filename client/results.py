"""What the client gives back: answers of ``framestate.wire``, and errors as the typed ones"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import errors
from ..errors import FramestateError, RunError
from ..wire import Answer, Picture
from ..wire.kinds import Parts, read, unpacked
from .pictures import frame_of


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one frame as it came: the message, and the parts before it. None: the session is open."""

    message: Answer | None = None
    parts: Sequence[Picture] = ()

    def answer(self) -> Any:
        """As a class of ``framestate.wire``. Takes as long as its pictures take to decode.

        Raises:
            WireError, ImageError: it is not what docs/wire.md says.
        """
        if self.message is None:
            return None
        made = [one for one in self.parts if one.kind == "made"]
        tensors = [one for one in self.parts if one.kind == "tensor"]
        parts = Parts(
            self.message.index,
            tuple(frame_of(one) for one in made),
            tuple(unpacked(one.payload) for one in tensors),
            self.message.dropped,
            self.message.timings,
        )
        return read(self.message.kind, self.message.values, parts)


def error_of(code: str, problem: str, remedy: str) -> FramestateError:
    """The typed error that a server named; one that this version does not know becomes a RunError."""
    kind: Any = getattr(errors, code, None) if code in errors.__all__ else None
    if kind is None:
        return RunError(f"{problem} ({code})", remedy)
    error: FramestateError = kind(problem, remedy)
    return error
