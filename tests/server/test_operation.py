"""In an operator's hands: answers at once on kept connections, readiness beside long work, a stop in time."""

from __future__ import annotations

import gc
import http.client
import shutil
import signal
import statistics
import threading
import time
from typing import Any

import numpy as np
import pytest
from framestate import wire
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.server import Settings
from framestate.vision import Box

from .clips import RATE

Film = tuple[list[bytes], Box]


def raw(index: int, height: int, width: int) -> wire.Picture:
    """A large frame of noise, which compresses to nothing and repeats nothing."""
    image = np.random.default_rng(index).integers(0, 255, (height, width, 3), np.uint8)
    return wire.Picture("frame", index, index, RATE, "rgb", image.tobytes(), width, height)


@pytest.mark.alone
def test_an_answer_on_a_kept_connection_comes_at_once(shared: Any) -> None:
    """Nagle's algorithm and a late acknowledgement would make 40 ms of each."""
    connection = http.client.HTTPConnection("127.0.0.1", shared.port)
    seconds = []
    for _ in range(30):
        began = time.perf_counter()
        connection.request("GET", "/v2/health/live")
        assert connection.getresponse().read() == b'{"live":true}'
        seconds.append(time.perf_counter() - began)
    connection.close()
    assert statistics.median(seconds) < 0.010


@pytest.fixture
def smoothing(tiny_interpolator: Bundle, make_running: Any) -> Any:
    """A server with an interpolator."""
    engine = Engine.load(tiny_interpolator, runtime="onnx", threads=1, workers=2, capacity=4)
    running = make_running(Settings(port=0, drain_s=1.0), {"tiny": engine})
    yield running
    running.stop()
    engine.close()


def test_what_may_be_read_may_be_asked_for_its_head_alone(shared: Any) -> None:
    """As load balancers and monitors do: the same status and kind of content as GET has, and no content."""
    calls = shared.call("GET", "/openapi.json").json["paths"]
    connection = http.client.HTTPConnection("127.0.0.1", shared.port)
    for path in ["/", "/docs", "/static/none", "/openapi.json", *calls]:
        asked = path.format(
            model="tracker-nano", session_id="none", video_id=32 * "0", name="none", key=32 * "0", target=1
        )
        answers = []
        for method in ("GET", "HEAD"):  # nothing of a body is left on the connection
            connection.request(method, asked)
            answer = connection.getresponse()
            answers.append((answer.status, answer.headers["content-type"], bool(answer.read())))
        assert answers[1] == (*answers[0][:2], False), asked
        assert (answers[0][0] == 405) == (path in calls and "get" not in calls[path]), asked
    connection.close()


def test_a_wrong_method_is_told_all_that_are_right(shared: Any) -> None:
    answer = shared.call("PATCH", "/v1/sessions/one")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")
    answer = shared.call("PATCH", "/v1/sessions/one/snapshot")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, PUT")


@pytest.mark.alone
def test_readiness_does_not_wait_behind_frames(smoothing: Any) -> None:
    """Three streams that each make 32 large pictures of a pair, and a probe again and again."""
    done = threading.Event()

    def smooth() -> None:
        with smoothing.stream() as talk:
            talk.hello()
            talk.say(wire.Open({"factor": 32, "cuts": False}))
            assert talk.hear() == wire.Ack()
            index = 0
            while not done.is_set():
                talk.say(raw(index, 480, 640))
                index += 1
                while not isinstance(talk.hear(), wire.Made):
                    pass

    threads = [threading.Thread(target=smooth) for _ in range(3)]
    for thread in threads:
        thread.start()
    seconds = []
    began = time.monotonic()
    while time.monotonic() - began < 4:
        at = time.perf_counter()
        assert smoothing.call("GET", "/v2/health/ready").status == 200
        seconds.append(time.perf_counter() - at)
        time.sleep(0.02)
    done.set()
    for thread in threads:
        thread.join(60)
    assert smoothing.hub.metrics.registry.get_sample_value(
        "framestate_frames_total", {"model": "tiny", "outcome": "answered"}
    )
    assert statistics.quantiles(seconds, n=20)[-1] < 0.1  # clients of this process share its cores


def test_a_peer_that_does_not_read_holds_up_nobody(smoothing: Any) -> None:
    """What is made for it waits; others are served, and its session ends when it goes."""
    with smoothing.stream() as slow, smoothing.stream() as quick:
        slow.hello(encoding="rgb")
        slow.say(wire.Open({"factor": 256, "cuts": False}))
        assert slow.hear() == wire.Ack()
        for index in range(2):
            slow.say(raw(index, 480, 640))
        quick.hello()
        quick.say(wire.Open({"factor": 2}))
        assert quick.hear() == wire.Ack()
        for index in range(6):
            quick.say(raw(index, 120, 160))
            while not isinstance(quick.hear(), wire.Made):
                pass
        (entry,) = (one for one in smoothing.hub.entries() if one.session.clock.width == 640)
        assert entry.in_flight  # it is not made further ahead than is read
        made = [slow.hear() for _ in range(259)]
        assert isinstance(made[-1], wire.Made)
        quick.say(wire.Bye())


@pytest.mark.alone
def test_a_stop_does_not_wait_for_long_work(tiny_interpolator: Bundle, process: Any, tmp_path: Any) -> None:
    """A stream of large frames at factor 256 is under way: snapshots and leaving are part of the time."""
    arguments = ("--model", str(tiny_interpolator.path), "--state-dir", str(tmp_path), "--max-sessions", "2")
    first = process(*arguments, drain_s="4", snapshot_s="3600")
    with first.stream("mine") as talk:
        talk.hello(encoding="png")
        talk.say(wire.Open({"factor": 256, "cuts": False}))
        for index in range(3):
            talk.say(raw(index, 720, 1280))
        heard: list[Any] = []
        while not any(isinstance(one, wire.Made) for one in heard):
            heard.append(talk.hear())
        began = time.monotonic()
        reading = threading.Thread(target=talk.rest)
        reading.start()
        assert first.end(signal.SIGTERM) == 0
        assert 1 < time.monotonic() - began < 4  # what is under way gets the rest of it
        reading.join(20)
    second = process(*arguments)
    with second.stream("mine") as talk:
        assert talk.hello(last_index=0).resumed


def test_a_snapshot_finds_its_model_or_says_why(
    smoothing: Any, film: Film, serve: Any, open_session: Any
) -> None:
    running = serve(capacity=2)
    blob = running.call("GET", f"/v1/sessions/{open_session(running)}/snapshot").body
    for body, code in ((blob, "StateError"), (b"x" * 99, "StateError")):
        answer = smoothing.call("PUT", "/v1/sessions/x/snapshot", body)
        assert (answer.status, answer.json["code"]) == (422, code)
    opened = smoothing.call("POST", '/v1/sessions?options={"factor":4}')
    assert (opened.status, opened.json["task"], opened.json["last_index"]) == (201, "interpolation", None)
    key = opened.json["session"]
    blob = smoothing.call("GET", f"/v1/sessions/{key}/snapshot").body
    assert smoothing.call("PUT", "/v1/sessions/y/snapshot", blob).status == 201
    listed = smoothing.call("GET", "/v1/sessions").json["sessions"]
    assert [one["width"] for one in listed] == [None, None]
    for name in (key, "y"):
        assert smoothing.call("DELETE", f"/v1/sessions/{name}").status == 204


def test_a_full_server_leaves_no_error_that_nobody_hears(
    serve: Any, film: Film, open_session: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Every way to ask for a slot, while there is none; peers that wait for the answer, and that do not."""
    clip, box = film
    running = serve(capacity=1)
    blob = running.call("GET", f"/v1/sessions/{open_session(running)}/snapshot").body
    path = f"/v1/sessions?box={box.x},{box.y},{box.w},{box.h}"
    for _ in range(5):
        assert running.call("POST", path, clip[0]).status == 503
        assert running.call("PUT", "/v1/sessions/other/snapshot", blob).status == 503
        for waits in (True, False):
            with running.stream() as talk:
                talk.hello()
                talk.say(wire.Open({"box": box.xywh}))
                talk.frame(0, clip[0])
                if waits:
                    assert talk.hear().code == "CapacityError"
        connection = http.client.HTTPConnection("127.0.0.1", running.port)
        connection.request("POST", path, clip[0])
        connection.close()
    gc.collect()
    assert running.call("GET", "/healthz").status == 200
    assert not [record for record in caplog.records if record.name == "asyncio"]


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
def test_a_server_that_may_open_few_files_says_what_it_takes(process: Any) -> None:
    server = process(before=("prlimit", "--nofile=300"))
    assert any("44 connections are taken at once, not 1024" in line for line in server.lines)
    assert server.call("GET", "/v2").status == 200
