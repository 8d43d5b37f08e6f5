"""Whatever anybody sends: over REST no 5xx, over a stream a typed answer, and the server lives."""

from __future__ import annotations

import logging
import os
import random
from fractions import Fraction
from typing import Any, cast

import pytest
import schemathesis
import schemathesis.specs.openapi.checks
from framestate import wire
from framestate.server.logs import LOGGERS
from framestate.vision import Box
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks

from . import schemathesis_hooks  # noqa: F401  (registers them)

Film = tuple[list[bytes], Box]
RATE = Fraction(1, 25)
MESSAGES = int(os.environ.get("FRAMESTATE_FUZZ_MESSAGES", "1000"))
"""More are sent where somebody has the time."""
CHECKED = [
    checks.not_a_server_error,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.content_type_conformance,
    checks.status_code_conformance,
]


def test_the_openapi_document_tells_the_truth(serve: Any) -> None:
    """Requests made up from the document, good and bad: no 5xx, and every answer is one that it describes."""
    running = serve(capacity=64, max_videos=64, body_s=5)
    base = f"http://127.0.0.1:{running.port}"
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    count = 0
    for result in schema.get_all_operations():
        operation = cast(Any, result).ok()

        @settings(
            max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def try_it(case: Any) -> None:
            nonlocal count
            count += 1
            response = case.call(base_url=base)
            case.validate_response(response, checks=CHECKED)

        try_it()
    assert count > 100
    assert running.call("GET", "/healthz").status == 200
    for name in LOGGERS:  # one of the calls sets it
        logging.getLogger(name).setLevel(logging.NOTSET)


def mutated(rng: random.Random, good: bytes) -> bytes:
    """A message with something wrong: bytes changed, cut out, doubled, or all of it made up."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    data = bytearray(good)
    if kind == 1:
        return bytes(data[: rng.randrange(len(data))])
    if kind == 2:
        start = rng.randrange(len(data))
        del data[start : start + rng.randrange(1, 50)]
    elif kind == 3:
        start = rng.randrange(len(data))
        data[start:start] = data[start : start + rng.randrange(1, 50)]
    else:
        reach = 44 if kind == 4 else len(data)  # the header, or anywhere
        for _ in range(rng.randrange(1, 8)):
            data[rng.randrange(min(reach, len(data)))] = rng.randrange(256)
    return bytes(data)


def test_whatever_a_stream_gets_is_answered(serve: Any, film: Film, truth: Any) -> None:
    clip, box = film
    running = serve(capacity=4, max_frames_per_second=1e6)
    rng = random.Random(0)
    answers: dict[str, int] = {}
    sent = 0
    while sent < MESSAGES:
        with running.stream() as talk:
            talk.begin(clip, box)
            last = 0
            while sent < MESSAGES:
                sent += 1
                index = last + 1
                picture = wire.Picture("frame", index, index, RATE, "jpeg", clip[index % len(clip)])
                good = wire.encode_picture(picture)
                text = wire.encode_message(wire.Open({"box": box.xywh})).encode()
                data = mutated(rng, good if rng.random() < 0.7 else text)
                as_text = rng.random() < 0.3
                talk.socket.send(data.decode("latin-1") if as_text else data)
                answer = talk.hear()
                name = answer.code if isinstance(answer, wire.Failure) else type(answer).__name__
                answers[name] = answers.get(name, 0) + 1
                assert isinstance(answer, wire.Failure | wire.Track), answer
                if isinstance(answer, wire.Track):
                    last = answer.frame_index
                    if last > 2**40:  # it was told to go on from there
                        break
                elif answer.closing:
                    break
            talk.say(wire.Bye())
    assert answers.keys() - {"Track"} <= {"WireError", "ImageError", "FrameError", "SessionError"}
    assert answers["WireError"] > MESSAGES / 4
    if MESSAGES > 1000:
        print(answers)  # noqa: T201
    with running.stream() as talk:
        talk.begin(clip, box)
        assert talk.track(1, clip[1]).box == truth[0]
    assert running.call("GET", "/healthz").status == 200


@pytest.mark.parametrize("length", [0, 1, 43, 44, 45])
def test_every_length_around_the_header_is_answered(shared: Any, length: int) -> None:
    with shared.stream() as talk:
        talk.hello()
        talk.socket.send(bytes(length))
        assert talk.hear().code == "WireError"
