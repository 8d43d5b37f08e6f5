"""Who is told of events, as the settings have it"""

from __future__ import annotations

from .deliveries import Sink
from .mqtt import Mqtt
from .settings import Settings
from .webhook import Webhook, read_secret


def sinks_of(settings: Settings) -> list[Sink]:
    """Every webhook and broker. Raises OptionError, RuntimeUnavailableError."""
    secret = read_secret(settings.webhook_secret_file) if settings.webhooks else b""
    sinks: list[Sink] = [Webhook(url, secret) for url in dict.fromkeys(settings.webhooks)]
    return sinks + [Mqtt(url) for url in dict.fromkeys(settings.mqtt)]
