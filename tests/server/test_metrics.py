"""What Prometheus is given: in good form, and true of sources, refusals and streams."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from framestate.server.live import LiveReader, parse_source
from prometheus_client.parser import text_string_to_metric_families

KEY = "0123456789abcdef-key"


def numbers(running: Any, **headers: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = running.call("GET", "/metrics", **headers).body.decode()
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for one in families for s in one.samples}


def promtool(text: bytes) -> str:
    """What promtool has to say: nothing, where all is well."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("there is no promtool here: apt-get install prometheus")
    done = subprocess.run([program, "check", "metrics"], input=text, capture_output=True, timeout=60)
    return (done.stdout + done.stderr).decode()


def test_promtool_finds_nothing_to_say(
    serve: Any, film: Any, clip_file: Path, until: Any, open_session: Any
) -> None:
    running = serve(sources=(f"door={clip_file}",))
    key = open_session(running)
    for index in range(1, 3):
        assert running.call("POST", f"/v1/sessions/{key}/frames", film[0][index]).status == 200
    running.call("POST", "/v1/sessions/none/frames", film[0][0])
    running.call("GET", "/v1/sessions", origin="https://x", host="evil.example")
    running.call("DELETE", f"/v1/sessions/{key}")
    until(lambda: numbers(running)["framestate_source_up", (("source", "door"),)])
    assert promtool(running.call("GET", "/metrics").body) == ""


def test_a_reason_is_a_word(serve: Any, film: Any, clip_file: Path, until: Any) -> None:
    running = serve(idle_s=0.2, grace_s=0.2)
    running.call("POST", f"/v1/sessions?box={','.join(map(str, film[1].xywh))}", film[0][0])
    until(lambda: any(name == "framestate_evictions_total" for name, _ in numbers(running)))
    for (_, labels), _ in numbers(running).items():
        for _, value in labels:
            assert re.fullmatch(r"[\w.+-]+", value), value


@pytest.mark.alone
def test_a_source_is_counted(serve: Any, clip_file: Path, until: Any) -> None:
    running = serve(sources=(f"door={clip_file}", "gone=tcp://127.0.0.1:9"))
    door, gone = (("source", "door"),), (("source", "gone"),)
    until(lambda: numbers(running)["framestate_source_frames_total", door] > 8)
    found = numbers(running)
    assert found["framestate_source_up", door] == 1
    assert found["framestate_source_fps", door] == pytest.approx(10, rel=0.5)
    assert found["framestate_source_age_seconds", door] < 1
    until(lambda: numbers(running)["framestate_source_state", (*gone, ("state", "away"))] == 1)
    found = numbers(running)
    assert found["framestate_source_up", gone] == found["framestate_source_fps", gone] == 0
    assert ("framestate_source_age_seconds", gone) not in found
    until(lambda: numbers(running)["framestate_source_reconnects_total", door] >= 1)  # the file began again
    told = running.call("GET", "/v1/sources/door").json
    assert told["fps"] > 0
    assert told["age_seconds"] < 1


@pytest.mark.alone
def test_an_old_picture_is_told_as_old_and_then_not_given(serve: Any, clip_file: Path, until: Any) -> None:
    running = serve(sources=(f"door={clip_file}",), stale_s=3)
    until(lambda: running.call("GET", "/v1/sources/door/frame").status == 200)
    source = running.server.sources.get("door")
    source.reader.stop()  # as if the camera had gone
    last = source.reader._arrivals[-1]
    before = time.monotonic()
    fresh = running.call("GET", "/v1/sources/door/frame")
    assert fresh.status == 200
    assert round(before - last) <= int(fresh.headers["age"]) <= round(time.monotonic() - last)
    source.reader._arrivals.append(time.monotonic() - 2.1)
    assert running.call("GET", "/v1/sources/door/frame").headers["age"] == "2"
    source.reader._arrivals.append(time.monotonic() - 3.1)
    stale = running.call("GET", "/v1/sources/door/frame")
    assert (stale.status, stale.json["code"]) == (503, "UnavailableError")
    assert "the limit is 3 s" in stale.json["problem"]
    assert running.call("POST", "/v1/sources/door/target?box=60,50,40,30").status == 503


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for one in held:
        one.close()


def test_silence_is_called_silence(silent: int, monkeypatch: pytest.MonkeyPatch, until: Any) -> None:
    monkeypatch.setattr("framestate.server.live.PATIENCE_S", 0.3)
    told: list[tuple[str, str | None]] = []
    source = parse_source(f"door=tcp://127.0.0.1:{silent}")
    reader = LiveReader(source, lambda frame: None, 10**6, lambda *event: told.append(event))
    reader.start()
    until(lambda: told)
    reader.stop()
    assert told == [("source.away", "it has said nothing for 0.3 s")]


def test_what_is_not_let_in_is_counted_and_logged(
    serve: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, until: Any
) -> None:
    (tmp_path / "keys").write_text(KEY)
    running = serve(api_key_file=tmp_path / "keys")
    good = {"authorization": f"Bearer {KEY}"}
    assert running.call("GET", "/v1/sessions").status == 401
    assert running.call("GET", "/v1/sessions", authorization="Bearer wrong-wrong-wrong").status == 401
    with running.stream() as talk:
        assert talk.rest()[-1].code == "AccessError"
    with running.stream(additional_headers=good) as talk:
        talk.hello(model="none")
    found = numbers(running, **good)
    assert found["framestate_refused_total", (("kind", "http"), ("reason", "AccessError"))] == 2
    assert found["framestate_refused_total", (("kind", "websocket"), ("reason", "AccessError"))] == 1
    until(lambda: numbers(running, **good).get(("framestate_streams_closed_total", (("code", "4404"),))) == 1)
    lines = [one for one in caplog.records if one.getMessage() == "refused"]
    assert [(one.method, one.path) for one in lines] == [  # type: ignore[attr-defined]
        ("GET", "/v1/sessions"), ("GET", "/v1/sessions"), ("WEBSOCKET", "/v1/sessions/new/stream"),
    ]  # fmt: skip
    assert all(one.address == "127.0.0.1" and "wrong" not in str(vars(one)["reason"]) for one in lines)  # type: ignore[attr-defined]
