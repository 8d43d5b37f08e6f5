"""Where a server is, and the key for it: one place for the forms that HTTP and WebSocket want"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, urlsplit

from ..errors import OptionError

WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address, such as ``http://127.0.0.1:8000``, and the API key for it."""

    base: str
    key: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str, key: str | None = None) -> Self:
        """Raises OptionError unless the text is an http or https address, and the key can be sent."""
        try:
            parts = urlsplit(text)
            good = parts.scheme in WEBSOCKET_SCHEMES and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise OptionError(
                f"{text!r} is no address of a server", "Give one such as http://127.0.0.1:8000."
            )
        if key is not None and not (key.isascii() and key.isprintable() and key.strip()):
            raise OptionError("the API key has characters that cannot be sent", "Give printable ASCII.")
        return cls(text.rstrip("/"), key)

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {} if self.key is None else {"authorization": f"Bearer {self.key}"}

    def stream(self, session: str) -> str:
        """The WebSocket address of a session."""
        scheme, rest = self.base.split("://", 1)
        return f"{WEBSOCKET_SCHEMES[scheme]}://{rest}/v1/sessions/{quote(session, safe='')}/stream"
