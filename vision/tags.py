"""Metadata of files and streams: what tells of the content, and not of the old file."""

from __future__ import annotations

from .holds import KEEP_EDITS

_OF_THE_FILE = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "timecode"}
)
_OF_THE_PICTURES = ("bps", "number_of_", "_statistics", "timecode", "rotate", "alpha_mode", "stereo_mode")
"""How tags begin that tell of the old pictures, and not of the new ones."""


_FREE = "com."


def has_free_names(metadata: dict[str, str]) -> bool:
    """Whether some tags have names that phones choose, such as com.apple.quicktime.make."""
    return any(key.startswith(_FREE) for key in metadata)


def kept(metadata: dict[str, str]) -> dict[str, str]:
    """What is about the content; brands, encoder and duration are left behind."""
    return {key: value for key, value in metadata.items() if key.lower() not in _OF_THE_FILE}


def about_the_content(metadata: dict[str, str]) -> dict[str, str]:
    """What of a video stream's tags holds for other pictures of the content: title, language."""
    return {
        key: value for key, value in kept(metadata).items() if not key.lower().startswith(_OF_THE_PICTURES)
    }


def named(metadata: dict[str, str], form: str) -> dict[str, str]:
    """Tags of a stream with its title where MP4 and MOV have it: as the name of its handler."""
    if form not in KEEP_EDITS or "title" not in metadata:
        return metadata
    return {**metadata, "handler_name": metadata["title"]}
