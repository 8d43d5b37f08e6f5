"""Ports of this machine for programs that cannot choose one themselves."""

from __future__ import annotations

import random
import socket

OWN = range(20_000, 32_000)
"""Below those that Linux gives away by itself, to whoever connects or asks for any port."""


def free_port() -> int:
    """A port on which nobody listens, and that nobody else is given before it is used."""
    draw = random.SystemRandom()
    while True:
        try:
            with socket.create_server(("127.0.0.1", draw.choice(OWN))) as listener:
                return int(listener.getsockname()[1])
        except OSError:  # it is taken
            continue
