"""The network guard itself."""

from __future__ import annotations

import socket
import threading

import pytest


def test_the_outside_cannot_be_reached() -> None:
    with socket.socket() as sock, pytest.raises(RuntimeError, match="no network"):
        sock.connect(("192.0.2.1", 80))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(RuntimeError, match="no network"),
    ):
        sock.sendto(b"x", ("192.0.2.1", 53))
    with pytest.raises(RuntimeError, match="no network"):
        socket.create_connection(("example.invalid", 80), timeout=1)


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        with socket.create_connection(("localhost", server.getsockname()[1]), timeout=5):
            pass
        thread.join()
