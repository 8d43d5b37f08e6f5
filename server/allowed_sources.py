"""Which addresses may become live sources while the server runs: a list of places, compared part by part"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import ForbiddenError, OptionError
from .live import SCHEMES, WHIP, Address

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_SAFE = re.compile(r"[\x21-\x7e]+")
_HOST = re.compile(r"(?:[a-z0-9*](?:[a-z0-9*.-]*[a-z0-9*])?|[0-9a-f:]+)")
_DEVICE = re.compile(r"/dev/video(?:\d+|\*)")
_REMEDY = "Give rtsp://camera.example.org/, http://10.0.0.*:8080/live/, /dev/video0 or a folder."


@dataclass(frozen=True)
class Place:
    """One entry of the list: an address and all below it, a device, or a folder.

    A ``*`` in a host stands for one part of it (``10.0.0.*``, ``*.example.org``); ``/dev/video*`` for all.
    """

    text: str

    def __post_init__(self) -> None:
        if "://" in self.text:
            parts = _split(self.text)
            if parts.query or parts.username is not None or not _HOST.fullmatch(parts.hostname or ""):
                raise _no_place(self.text)
            if parts.scheme not in PORTS and parts.port is None:
                raise OptionError(f"{self.text!r} has no port", "Give one: tcp://camera:5000.")
        elif self.text != WHIP and not _DEVICE.fullmatch(self.text) and not Path(self.text).is_absolute():
            raise _no_place(self.text)

    def holds(self, address: Address) -> bool:
        """Whether the address lies here."""
        if WHIP in (self.text, address.where):
            return self.text == address.where
        if address.scheme == "device":
            return self.text in (address.where, "/dev/video*")
        if "://" not in self.text or address.scheme == "file":
            inside = "://" not in self.text and address.scheme == "file" and not _DEVICE.fullmatch(self.text)
            return inside and Path(address.where).resolve().is_relative_to(Path(self.text).resolve())
        own, other = _split(self.text), _split(address.where)
        if own.scheme != other.scheme or _port(own) != _port(other):
            return False
        if own.scheme in ("tcp", "udp") and (other.query or other.path not in ("", "/")):
            return False  # FFmpeg would listen, for instance
        pattern = re.escape(own.hostname or "").replace(r"\*", "[a-z0-9-]+")
        return bool(re.fullmatch(pattern, other.hostname or "")) and _is_below(other.path, own.path)


class AllowedSources:
    """All places. Raises OptionError for one that is none."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._places = [Place(text) for text in texts]

    def check(self, address: Address) -> None:
        """Raises ForbiddenError unless the address lies in one of the places."""
        try:
            held = any(place.holds(address) for place in self._places)
        except OptionError:
            held = False
        if not held:
            raise ForbiddenError(
                f"the address of {address.name!r} is not among those that may be added",
                "have it allowed when the server is started: --allow-source",
            )


def _split(text: str) -> SplitResult:
    """The parts of an address that FFmpeg reads as we do. Raises OptionError for any other."""
    try:
        if not _SAFE.fullmatch(text) or re.search(r"[\\#]", text):
            raise ValueError
        parts = urlsplit(text)
        if (
            parts.scheme not in SCHEMES
            or not parts.hostname
            or parts.netloc.count("@") > 1
            or parts.port == 0
        ):
            raise ValueError
    except ValueError:
        raise _no_place(text.rpartition("@")[2]) from None
    return parts


def _port(parts: SplitResult) -> int | None:
    return parts.port or PORTS.get(parts.scheme)


def _is_below(path: str, root: str) -> bool:
    """Whether a path is another one, or below it; none of its parts may lead upwards."""
    parts = [part for part in unquote(path).split("/") if part]
    above = [part for part in unquote(root).split("/") if part]
    return ".." not in parts and parts[: len(above)] == above


def _no_place(text: str) -> OptionError:
    return OptionError(f"{text[:80]!r} is no place that sources may come from", _REMEDY)
