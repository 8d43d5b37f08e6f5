"""Metadata of files and streams: what tells of the content, and not of the old file."""

from __future__ import annotations

_OF_THE_FILE = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "timecode"}
)
_OF_THE_PICTURES = ("bps", "number_of_", "_statistics", "timecode", "rotate", "alpha_mode", "stereo_mode")
"""How tags begin that tell of the old pictures, and not of the new ones."""


def kept(metadata: dict[str, str]) -> dict[str, str]:
    """What is about the content; brands, encoder and duration are left behind."""
    return {key: value for key, value in metadata.items() if key.lower() not in _OF_THE_FILE}


def about_the_content(metadata: dict[str, str]) -> dict[str, str]:
    """What of a video stream's tags holds for other pictures of the content: title, language."""
    return {
        key: value for key, value in kept(metadata).items() if not key.lower().startswith(_OF_THE_PICTURES)
    }
