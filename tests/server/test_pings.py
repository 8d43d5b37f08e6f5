"""A peer that the server holds back is not taken for gone, and one that is gone is not waited for."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate import wire
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.server import Settings
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.uri import parse_uri

PING_S = 0.3


def raw(index: int, height: int = 480, width: int = 640) -> wire.Picture:
    image = np.random.default_rng(index).integers(0, 255, (height, width, 3), np.uint8)
    return wire.Picture("frame", index, index, Fraction(1, 25), "rgb", image.tobytes(), width, height)


@pytest.fixture(scope="module")
def quick(tiny_interpolator: Bundle, make_running: Any) -> Iterator[Any]:
    """A server with an interpolator, which pings often."""
    engine = Engine.load(tiny_interpolator, runtime="onnx", threads=1, workers=2, capacity=4)
    running = make_running(Settings(port=0, drain_s=1.0, ping_s=PING_S), {"tiny": engine})
    yield running
    running.stop()
    engine.close()


@pytest.mark.alone
def test_a_peer_that_sends_freely_is_held_back_and_kept(quick: Any) -> None:
    """Its frames fill every buffer on the way, so that neither side's control frames come through in time."""
    with quick.stream(ping_interval=None) as talk:
        talk.hello()
        talk.say(wire.Open({"factor": 16, "cuts": False}))
        assert talk.hear() == wire.Ack()
        sending = threading.Thread(target=lambda: [talk.say(raw(index)) for index in range(12)])
        began = time.monotonic()
        sending.start()
        answers: list[Any] = []
        while len(answers) < 12:
            heard = talk.hear()
            answers += [heard] if isinstance(heard, wire.Made) else []
        sending.join(20)
        assert time.monotonic() - began > 3 * PING_S


@pytest.mark.alone
def test_pings_of_a_peer_are_answered_while_its_frames_wait(quick: Any) -> None:
    """A client that closes where its own ping is not answered in time, as most do."""
    with quick.stream(ping_interval=0.1, ping_timeout=0.5) as talk:
        talk.hello()
        talk.say(wire.Open({"factor": 64, "cuts": False}, queue=1))
        assert talk.hear() == wire.Ack()
        for index in range(6):
            talk.say(raw(index, 240, 320))
        made = 0
        while made < 6:
            made += isinstance(talk.hear(), wire.Made)


@pytest.mark.alone
def test_a_peer_that_has_vanished_is_let_go(quick: Any, until: Any) -> None:
    """Its machine is off: nothing is acknowledged, answered or closed."""
    address = f"ws://127.0.0.1:{quick.port}/v1/sessions/gone/stream"
    peer = ClientProtocol(parse_uri(address))
    with socket.create_connection(("127.0.0.1", quick.port)) as link:
        peer.send_request(peer.connect())
        link.sendall(b"".join(peer.data_to_send()))
        while not peer.events_received():
            peer.receive_data(link.recv(4096))
        for message in (wire.Hello(wire.VERSION), wire.Open({"factor": 2})):
            peer.send_text(wire.encode_message(message).encode())
            link.sendall(b"".join(peer.data_to_send()))
        began = time.monotonic()
        until(lambda: (entry := quick.hub.find("gone")) is not None and entry.connection is None, 10)
        assert time.monotonic() - began < 10 * PING_S


@pytest.mark.alone
def test_one_that_answers_pings_is_not(quick: Any) -> None:
    with connect(f"ws://127.0.0.1:{quick.port}/v1/sessions/quiet/stream", ping_interval=None) as link:
        link.send(wire.encode_message(wire.Hello(wire.VERSION)))
        link.recv(5)
        with contextlib.suppress(TimeoutError):
            link.recv(5 * PING_S)
        link.send(wire.encode_message(wire.Bye()))
        assert wire.decode_message(str(link.recv(5))) == wire.Bye("done")
        with pytest.raises(ConnectionClosed):
            link.recv(5)


def test_who_has_the_token_takes_a_session_over(shared: Any, film: Any) -> None:
    """Its old connection is told; nobody else can, and no answer is lost."""
    clip, box = film
    with shared.stream("mine") as old, shared.stream("mine") as new, shared.stream("mine") as other:
        welcome = old.hello()
        old.say(wire.Open({"box": box.xywh}, policy="WAIT"))
        old.frame(0, clip[0])
        assert old.hear() == wire.Ack(0)
        first = old.track(1, clip[1])
        for token in (None, "guessed"):
            with shared.stream("mine") as stranger:
                assert stranger.hello(token=token).code == "SessionBusyError"
        again = new.hello(token=welcome.token, last_index=0)
        assert (again.resumed, again.last_index, again.token) == (True, 1, welcome.token)
        assert new.hear().box == first.box  # what it lacked
        assert old.rest()[-1].code == "SessionBusyError"
        assert new.track(2, clip[2]).frame_index == 2
        assert other.hello(token=welcome.token).resumed  # and so on
        other.say(wire.Bye())
        assert other.rest()[-1] == wire.Bye("done")
