"""`Extras`: what frames carry beside their pixels that no other video can be given, told once each."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from av.sidedata.sidedata import Type

_HEADER = struct.Struct("@BHBBBBBBB")  # AVDOVIRpuDataHeader, up to bl_video_full_range_flag
_BARE_PROFILE = 5
_TWO_VIEWS = struct.Struct("@i")


def _dolby_profile(data: bytes) -> int | None:
    """The profile of Dolby Vision, as its first frame tells; None where it does not."""
    (start,) = struct.unpack_from("@N", data)
    numbers = _HEADER.unpack_from(data, start)
    return {(0, 1): _BARE_PROFILE, (1, 0): 8}.get((numbers[2], numbers[8]))


def _dolby_vision(data: bytes) -> str:
    if _dolby_profile(data) == _BARE_PROFILE:
        return (
            "Dolby Vision profile 5 is dropped, and its colours are green and violet without it: "
            "map them first (ffmpeg's libplacebo filter)"
        )
    return "Dolby Vision is dropped: what is left is the layer that other displays show"


def _two_views(data: bytes) -> str | None:
    if not _TWO_VIEWS.unpack_from(data)[0]:
        return None
    return "the mark of a stereoscopic video is dropped: both views stay in its pictures"


_TOLD: Mapping[Type, Callable[[bytes], str | None]] = MappingProxyType(
    {
        Type.DOVI_METADATA: _dolby_vision,
        Type.DYNAMIC_HDR_PLUS: lambda _: "HDR10+ is dropped: light levels for the whole video are left",
        Type.DYNAMIC_HDR_VIVID: lambda _: "HDR Vivid is dropped: what is left is plain HDR",
        Type.A53_CC: lambda _: "closed captions inside the pictures (CEA-608, CEA-708) are dropped",
        Type.SPHERICAL: lambda _: "the mark of a 360° video is dropped: players will show it flat",
        Type.STEREO3D: _two_views,
    }
)
"""Kinds of side data, and what is said of each."""


class Extras:
    """Gathers them as frames pass."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        """A sentence for each kind that was seen."""
        self.needs_dolby = False
        """Whether the colours mean nothing without Dolby Vision, which is not read (profile 5)."""
        self._seen: set[Type] = set()

    def look_at(self, side_data: Mapping[Any, Any]) -> None:
        """Note what a frame carries: ``side_data`` is that of PyAV's decoded frame."""
        if not side_data or len(self._seen) == len(_TOLD):
            return
        for kind, tell in _TOLD.items():
            if kind in self._seen or side_data.get(kind) is None:
                continue
            self._seen.add(kind)
            data = bytes(side_data[kind])
            if (words := tell(data)) is not None:
                self.notes.append(words)
            if kind is Type.DOVI_METADATA:
                self.needs_dolby = _dolby_profile(data) == _BARE_PROFILE
