"""Bodies that nobody would look at are refused, and the answer says what to send instead."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.server import Settings

FORM = (
    b'--b\r\ncontent-disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n\xff\xd8\xff\r\n--b--\r\n'
)


@pytest.fixture(scope="module")
def running(tiny_stream: Bundle, make_running: Any) -> Iterator[Any]:
    engine = Engine.load(tiny_stream, runtime="onnx", threads=1, capacity=4)
    server = make_running(Settings(port=0), {"tiny-stream": engine})
    yield server
    server.stop()
    engine.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_picture_that_no_session_opens_on_is_not_dropped(running: Any, chunked: bool) -> None:
    body: Any = iter([b"\xff\xd8\xff"]) if chunked else b"\xff\xd8\xff"
    answer = running.call("POST", "/v1/sessions", body, x_session_id="none")
    assert (answer.status, answer.json["code"]) == (400, "RequestError")
    assert "/frames" in answer.json["remedy"]
    assert "none" not in [one["session"] for one in running.call("GET", "/v1/sessions").json["sessions"]]
    assert running.call("POST", "/v1/sessions", b"", x_session_id="empty").status == 201
    running.call("DELETE", "/v1/sessions/empty")


@pytest.mark.parametrize("path", ["/v1/sessions/x/frames", "/v1/videos", "/v2/models/tiny-stream/infer"])
def test_a_form_is_no_file(running: Any, path: str) -> None:
    running.call("POST", "/v1/sessions", x_session_id="x")
    answer = running.call("POST", path, FORM, content_type="multipart/form-data; boundary=b")
    assert (answer.status, answer.json["code"]) == (400, "RequestError")
    assert "--data-binary" in answer.json["remedy"]


@pytest.mark.parametrize("path", ["/v1/sessions/x/frames", "/v1/videos", "/v2/models/tiny-stream/infer"])
def test_a_compressed_body_is_not_taken_for_a_picture(running: Any, path: str) -> None:
    running.call("POST", "/v1/sessions", x_session_id="x")
    answer = running.call("POST", path, gzip.compress(b"\xff\xd8\xff"), content_encoding="gzip")
    assert (answer.status, answer.json["code"]) == (400, "RequestError")
    assert "Content-Encoding" in answer.json["remedy"]
