"""Request ids, the log level at run time, and traces to a collector."""

from __future__ import annotations

import gzip
import io
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from framestate.errors import OptionError
from framestate.server.logs import LOGGERS, log_to_stderr
from framestate.server.traces import Traces


@pytest.fixture
def lines() -> Iterator[Any]:
    """The log as it is written."""
    held = {name: logging.getLogger(name) for name in LOGGERS}
    before = {name: (one.handlers[:], one.level, one.propagate) for name, one in held.items()}
    stream = io.StringIO()
    log_to_stderr("debug", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for name, one in held.items():
        one.handlers[:], level, one.propagate = before[name]
        one.setLevel(level)


def test_an_answer_and_its_lines_have_one_id(serve: Any, lines: Any, film: Any, until: Any) -> None:
    running = serve()
    drawn = running.call("GET", "/v1/sessions/none").headers["x-request-id"]
    assert len(drawn) == 32
    given = running.call("GET", "/v1/sessions/none", x_request_id="from-the-proxy.7").headers["x-request-id"]
    assert given == "from-the-proxy.7"
    for bad in ("a b", "x" * 65, 'quote"', ""):
        assert running.call("GET", "/v1/sessions/none", x_request_id=bad).headers["x-request-id"] != bad
    with running.stream(additional_headers={"x-request-id": "my-stream"}) as talk:
        talk.begin(*film)
        assert talk.socket.response.headers["x-request-id"] == "my-stream"
    until(lambda: any(one["message"] == "stream closed" for one in lines()))
    found = {one["request"] for one in lines() if one["message"] == "request"}
    assert {drawn, "from-the-proxy.7"} <= found
    ours = [one["message"] for one in lines() if one.get("request") == "my-stream"]
    assert {"stream open", "session open", "stream closed"} <= set(ours)
    with running.stream(
        additional_headers={"origin": "http://evil.example", "x-request-id": "evil-0"}
    ) as talk:
        assert talk.rest()[-1].code == "ForbiddenError"
        assert talk.socket.response.headers["x-request-id"] == "evil-0"
    refused = running.call("GET", "/v1/sessions", host="evil.example", x_request_id="evil-1")
    assert refused.headers["x-request-id"] == "evil-1"
    assert [one["request"] for one in lines() if one["message"] == "refused"] == ["evil-0", "evil-1"]


def test_the_log_level_is_set_while_the_server_runs(serve: Any, lines: Any) -> None:
    running = serve()
    for level in ("warning", "debug"):
        answer = running.call("PUT", "/v1/admin/log-level", json.dumps({"level": level}).encode())
        assert (answer.status, answer.json) == (200, {"level": level})
        assert running.call("GET", "/v1/admin/log-level").json == {"level": level}
        before = len(lines())
        running.call("GET", "/v2")
        assert (len(lines()) > before) is (level == "debug")
    for bad in (
        b"{}",
        b'{"level": "loud"}',
        b'{"level": ["info"]}',
        b'{"level": "info", "x": 1}',
        b"info",
        b"x" * 2000,
    ):
        assert running.call("PUT", "/v1/admin/log-level", bad).status in (400, 413, 422)
    assert running.call("GET", "/v1/admin/log-level").json == {"level": "debug"}


class Collector(ThreadingHTTPServer):
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.spans: list[Any] = []


class Taker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *given: Any) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_requests_and_frames_are_traced(
    serve: Any, collector: Collector, film: Any, open_session: Any
) -> None:
    running = serve(traces=f"http://127.0.0.1:{collector.server_address[1]}/v1/traces")
    key = open_session(running, "mine")
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    caller = {"traceparent": f"00-{trace}-{parent}-01", "x_request_id": "one"}
    assert running.call("POST", f"/v1/sessions/{key}/frames", film[0][1], **caller).status == 200
    running.call("GET", "/v1/sessions/none")
    with running.stream() as talk:
        talk.begin(*film)
        talk.track(1, film[0][1])
    running.stop()  # sends what is left
    spans = {one.span_id: one for one in collector.spans}
    (asked,) = [
        one for one in spans.values() if one.trace_id.hex() == trace and one.parent_span_id.hex() == parent
    ]
    assert asked.name == "POST /v1/sessions/{session_id}/frames"
    about = {one.key: one.value for one in asked.attributes}
    assert about["http.response.status_code"].int_value == 200
    assert about["framestate.session"].string_value == "mine"
    assert about["framestate.request"].string_value == "one"
    (frame,) = [one for one in spans.values() if one.parent_span_id == asked.span_id]
    stages = [one for one in spans.values() if one.parent_span_id == frame.span_id]
    assert {"decode", "model"} <= {one.name for one in stages}
    for one in stages:
        assert frame.start_time_unix_nano <= one.start_time_unix_nano <= one.end_time_unix_nano
        assert one.end_time_unix_nano <= frame.end_time_unix_nano
    names = [one.name for one in spans.values()]
    assert names.count("frame") == 2  # the stream's is there, too
    assert "WEBSOCKET /v1/sessions/{session_id}/stream" in names


def test_a_collector_that_is_away_holds_up_nothing(serve: Any, until: Any) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    running = serve(traces="http://127.0.0.1:9/v1/traces")
    assert running.call("GET", "/v2").status == 200
    running.stop()


@pytest.mark.parametrize("endpoint", ["", "collector:4318", "file:///x", "http://"])
def test_a_collector_has_an_address(endpoint: str) -> None:
    with pytest.raises(OptionError):
        Traces(endpoint)
