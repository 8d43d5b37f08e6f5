"""Timecodes: what the clock of an editor says at the first frame, handed on in frames of another rate."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

from .holds import KEEP_EDITS
from .streams import frame_rate

_TIMECODE = re.compile(r"(\d\d:\d\d:\d\d)([:;.])(\d\d)")
_KEY = "timecode"


def timecode_of(*parts: Any) -> str | None:
    """The first timecode that a file or one of its streams has among its tags; None without one."""
    tags = (pair for part in parts for pair in part.metadata.items())
    return next((value for key, value in tags if key.lower() == _KEY), None)


def hand_on(code: str, video: Any, pictures: Any, target: Any, form: str) -> bool:
    """Give a target a source's timecode: as a track in MP4 and MOV, as a tag elsewhere.

    Args:
        code: of the first frame of ``video``, hh:mm:ss:ff.
        video, pictures: the streams of pictures of source and target.
        target: the container, of the format ``form``.

    Returns:
        Whether it could be done.
    """
    before, after = frame_rate(video), pictures.codec_context.framerate
    moved = moved_timecode(code, before, Fraction(after)) if after else None
    if moved is not None:
        (pictures if form in KEEP_EDITS else target).metadata[_KEY] = moved
    return moved is not None


def moved_timecode(code: str, before: Fraction, after: Fraction) -> str | None:
    """The same moment counted in frames of another rate; None where ``code`` is no timecode."""
    found = _TIMECODE.fullmatch(code)
    if found is None:
        return None
    frame = min(round(int(found[3]) * after / before), math.ceil(after) - 1)
    drops = found[2] != ":" and round(after) % 30 == 0 and after.denominator == 1001  # as NTSC counts
    return f"{found[1]}{';' if drops else ':'}{frame:02d}"
