"""Events to a web address: signed as standardwebhooks.com has it"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import OptionError, RuntimeUnavailableError
from .deliveries import Untaken

if TYPE_CHECKING:
    import httpx2

TAKE_S = 10.0
SKIM_S = 1.0
MOST_SKIMMED = 64 * 1024
PREFIX = "whsec_"
_REMEDY = "Make one: echo whsec_$(openssl rand -base64 32) > FILE."


class Webhook:
    """Sends each event as a POST; taken is what is answered with 2xx.

    Args:
        url: http or https.
        secret: that the receiver knows, too.

    Raises:
        OptionError: this is no web address.
        RuntimeUnavailableError: httpx2 is missing.
    """

    kind = "webhook"

    def __init__(self, url: str, secret: bytes) -> None:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise OptionError("the webhook is no web address", "Give one such as https://example.org/events.")
        if find_spec("httpx2") is None:
            raise RuntimeUnavailableError(
                "webhooks need httpx2, which is not installed",
                "Install it: pip install 'framestate[events]'.",
            )
        import httpx2

        self._url, self._secret = url, secret
        self.name = f"webhook-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        self._errors = (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL)
        self._http = httpx2.AsyncClient(timeout=TAKE_S, follow_redirects=False, trust_env=False)

    async def send(self, seq: int, body: str) -> None:
        """Hands one event over. Raises Untaken."""
        content, key, now = body.encode(), json.loads(body)["id"], str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "webhook-id": key,
            "webhook-timestamp": now,
            "webhook-signature": f"v1,{signature(self._secret, key, now, content)}",
            "x-event-number": str(seq),
        }
        try:
            async with (
                asyncio.timeout(TAKE_S),
                self._http.stream("POST", self._url, content=content, headers=headers) as answer,
            ):
                if not answer.is_success:
                    raise Untaken(f"it was answered with {answer.status_code}")
                await self._skim(answer)
        except self._errors as error:
            raise Untaken(str(error) or type(error).__name__) from error

    async def _skim(self, answer: httpx2.Response) -> None:
        """Reads a little of what nobody needs, so that the connection can be used again."""
        size = 0
        with contextlib.suppress(*self._errors):
            async with asyncio.timeout(SKIM_S), contextlib.aclosing(answer.aiter_raw()) as parts:
                async for part in parts:
                    size += len(part)
                    if size > MOST_SKIMMED:
                        return

    async def close(self) -> None:
        """Closes the connection."""
        await self._http.aclose()


def signature(secret: bytes, key: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 over the id, the time and the body, in base64."""
    signed = f"{key}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def read_secret(path: Path | None) -> bytes:
    """The secret of a file, ``whsec_`` and base64. Raises OptionError."""
    if path is None:
        raise OptionError(
            "events are signed, and there is no secret for that", f"Give --webhook-secret-file. {_REMEDY}"
        )
    try:
        text = path.read_text("utf-8").strip()
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (OSError, UnicodeDecodeError, binascii.Error) as error:
        raise OptionError(f"{path} holds no secret ({type(error).__name__})", _REMEDY) from error
    if not text.startswith(PREFIX) or not 24 <= len(secret) <= 64:
        raise OptionError(f"{path} holds no secret of 24 to 64 bytes in base64 after {PREFIX}", _REMEDY)
    return secret
