"""Events to an MQTT broker, each confirmed by it (quality of service 1)"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import ssl
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import OptionError, RuntimeUnavailableError
from .deliveries import Untaken

TAKE_S = 10.0
PORTS = {"mqtt": 1883, "mqtts": 8883}


class Mqtt:
    """Publishes to ``<prefix>/<session or source>/<type>``.

    Args:
        url: ``mqtt://user:password@host:port/prefix``, or ``mqtts://`` for TLS; ``framestate`` is the prefix
            without one.

    Raises:
        OptionError: this is no such address.
        RuntimeUnavailableError: aiomqtt is missing.
    """

    kind = "mqtt"

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            prefix = unquote(parts.path.strip("/")) or "framestate"
            port = parts.port or PORTS[parts.scheme]
            if not parts.hostname or parts.query or "#" in url or set(prefix) & set("#+\0"):
                raise ValueError
        except (ValueError, KeyError):
            raise OptionError("a broker has no such address", "Give mqtt://host:1883/prefix.") from None
        if find_spec("aiomqtt") is None:
            raise RuntimeUnavailableError(
                "MQTT needs aiomqtt, which is not installed", "Install it: pip install 'framestate[events]'."
            )
        import aiomqtt

        self._prefix = prefix
        self.name = f"mqtt-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        self._options: dict[str, Any] = {
            "hostname": parts.hostname,
            "port": port,
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "tls_context": ssl.create_default_context() if parts.scheme == "mqtts" else None,
            "timeout": TAKE_S,
        }
        self._new, self._errors = aiomqtt.Client, (aiomqtt.MqttError, OSError, TimeoutError)
        self._stack: AsyncExitStack | None = None
        self._client: Any = None

    async def send(self, seq: int, body: str) -> None:
        """Hands one event over; returns when the broker has confirmed it. Raises Untaken."""
        event = json.loads(body)
        about = event.get("session") or event.get("source") or "server"
        try:
            if self._stack is None:
                self._stack = AsyncExitStack()
                self._client = await self._stack.enter_async_context(self._new(**self._options))
            topic = f"{self._prefix}/{about}/{event['type']}"
            await self._client.publish(topic, json.dumps({**event, "number": seq}), qos=1, timeout=TAKE_S)
        except self._errors as error:
            await self.close()
            raise Untaken(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Leaves the broker."""
        stack, self._stack, self._client = self._stack, None, None
        if stack is not None:
            with contextlib.suppress(*self._errors):
                async with asyncio.timeout(TAKE_S):
                    await stack.aclose()
