"""Webhooks and MQTT: everybody gets all events, in order, whoever is killed in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from framestate.errors import OptionError
from framestate.server import Settings
from framestate.server.event_sinks import sinks_of
from framestate.server.mqtt import Mqtt
from framestate.server.webhook import Webhook

from ..ports import free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
RECEIVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from standardwebhooks import Webhook
hook, port, where = Webhook(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        hook.verify(body, dict(self.headers.items()))  # raises where the signature is none
        with open(where, "ab") as file:
            file.write(body + b"\\n")
        self.send_response(204); self.end_headers()
    def log_message(self, *given): pass
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
SUBSCRIBER = """
import sys, paho.mqtt.client as mqtt
port, where = int(sys.argv[1]), sys.argv[2]
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="tests", clean_session=False)
def took(client, data, message):
    with open(where, "ab") as file:
        file.write(message.payload + b"\\n")
client.on_message = took
client.on_connect = lambda *given: client.subscribe("shop/#", qos=1)
client.on_subscribe = lambda *given: open(where + ".log", "a").write("subscribed")
client.connect("127.0.0.1", port)
client.loop_forever(retry_first_connection=True)
"""


def test_events_are_signed_or_not_sent() -> None:
    with pytest.raises(OptionError, match="there is no secret"):
        sinks_of(Settings(webhooks=("https://example.org",)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"webhooks": ("example.org",)}, "the webhook is no web address"),
        ({"webhooks": ("file:///etc",)}, "the webhook is no web address"),
        ({"webhooks": ("file://user:pass@host/etc",)}, "the webhook is no web address"),
        ({"mqtt": ("broker",)}, "a broker has no such address"),
        ({"mqtt": ("http://broker",)}, "a broker has no such address"),
        ({"mqtt": ("mqtt://user:pass@broker/a/#",)}, "a broker has no such address"),
        ({"mqtt": ("mqtt://:1",)}, "a broker has no such address"),
    ],
)
def test_what_is_no_address_is_said_at_the_start(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with pytest.raises(OptionError, match=said) as caught:
        sinks_of(Settings(**wrong, webhook_secret_file=tmp_path / "secret"))
    assert "user" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "short", "whsec_abc", "whsec_" + "A" * 20, SECRET[6:], "whsec_" + "!" * 40]
)
def test_a_secret_is_a_secret(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(OptionError, match="holds no secret"):
        sinks_of(Settings(webhooks=("http://x/",), webhook_secret_file=tmp_path / "secret"))


def test_the_password_of_a_broker_is_in_no_name() -> None:
    pytest.importorskip("aiomqtt")
    sink = Mqtt("mqtt://user:pass%2Fword@broker/shop/one")
    assert (sink._options["password"], sink._prefix) == ("pass/word", "shop/one")
    assert "pass" not in sink.name


@pytest.mark.parametrize("talks", [True, False])
def test_an_answer_without_an_end_is_not_read_to_it(talks: bool) -> None:
    pytest.importorskip("httpx2")
    ended = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b'"a"}')
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while talks:
                writer.write(bytes(65536))
                await writer.drain()
            await reader.read()
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    async def send() -> None:
        async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            sink = Webhook(f"http://127.0.0.1:{port}/", b"secret" * 5)
            async with asyncio.timeout(20):
                await sink.send(1, json.dumps({"id": "a"}))  # it is taken: the status says so
                await ended.wait()
            await sink.close()

    asyncio.run(send())


class Program:
    """A program that may be killed and started again."""

    def __init__(self, *command: str) -> None:
        self.command = command
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def start(*command: str) -> Program:
        started.append(Program(*command))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def received(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def in_order(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Ids by session, as they first came."""
    table: dict[str, list[str]] = {}
    for one in events:
        ids = table.setdefault(one.get("session") or one["source"], [])
        if one["id"] not in ids:
            ids.append(one["id"])
    return table


def busy(server: Any, film: Any, names: list[str]) -> None:
    """Opens and ends sessions."""
    for name in names:
        path = f"/v1/sessions?box={','.join(map(str, film[1].xywh))}"
        assert server.call("POST", path, film[0][0], x_session_id=name).status == 201
        assert server.call("POST", f"/v1/sessions/{name}/frames", film[0][1]).status == 200
        assert server.call("DELETE", f"/v1/sessions/{name}").status == 204


@pytest.fixture
def broker(program: Any, tmp_path: Path, until: Any) -> tuple[Program, int]:
    """A broker that keeps what it has over its death, and its port."""
    pytest.importorskip("aiomqtt")
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if mosquitto is None:
        pytest.skip("there is no mosquitto here: apt-get install mosquitto")
    port, store = free_port(), tmp_path / "broker"
    store.mkdir()
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {store}/\n"
        "autosave_interval 1\nautosave_on_changes true\n" + ("user root\n" if os.getuid() == 0 else "")
    )
    started = program(mosquitto, "-c", str(config))

    def there() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(there)
    return started, port


def test_everybody_gets_everything_though_every_side_is_killed(
    process: Any, program: Any, broker: tuple[Program, int], tmp_path: Path, film: Any, until: Any
) -> None:
    pytest.importorskip("standardwebhooks")
    posted, published, secret = tmp_path / "posted", tmp_path / "published", tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    port = free_port()
    readers = [
        program(sys.executable, "-c", RECEIVER, SECRET, str(port), str(posted)),
        program(sys.executable, "-c", SUBSCRIBER, str(broker[1]), str(published)),
    ]
    until(published.with_suffix(".log").exists)
    options = ["--state-dir", str(tmp_path / "state"), "--mqtt", f"mqtt://127.0.0.1:{broker[1]}/shop"]
    options += ["--webhook", f"http://127.0.0.1:{port}/", "--webhook-secret-file", str(secret)]
    server = process(*options)
    busy(server, film, ["a", "b"])
    until(lambda: min(len(received(posted)), len(received(published))) >= 4)
    for one in [*readers, broker[0]]:
        one.kill()
    busy(server, film, ["c", "a"])
    server.end(signal.SIGKILL)
    server = process(*options)
    busy(server, film, ["d", "b"])
    for one in [broker[0], *readers]:
        one.start()
    busy(server, film, ["a", "e"])
    happened = server.call("GET", "/v1/events?limit=1000").json["events"]
    assert len(happened) >= 16
    for file in (posted, published):
        until(lambda file=file: {one["id"] for one in received(file)} >= {one["id"] for one in happened}, 40)
        assert in_order(received(file)) == in_order(happened)

    def waiting_for_nothing() -> bool:
        """A broker says that it has an event after all who read it."""
        text = server.call("GET", "/metrics").body.decode()
        empty = re.findall(r'^framestate_events_waiting{sink="(webhook|mqtt)-\w+"} 0.0$', text, re.M)
        return empty == ["webhook", "mqtt"]

    until(waiting_for_nothing)
    assert server.end(signal.SIGTERM) == 0
