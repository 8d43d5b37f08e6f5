"""Streams: what docs/wire.md promises, over a real WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any, cast

import pytest
from framestate import wire
from framestate.errors import TooSlowError
from framestate.server.outbox import MOST_WAITING, Outbox
from framestate.vision import Box
from websockets.exceptions import ConnectionClosed

RATE = Fraction(1, 25)
Film = tuple[list[bytes], Box]


def test_a_stream_tracks_as_the_engine_does(shared: Any, film: Film, truth: Any) -> None:
    clip, box = film
    with shared.stream() as talk:
        welcome = talk.hello()
        assert welcome.task == "tracking"
        assert welcome.runtime == "onnx on cpu"
        assert not welcome.resumed
        talk.say(wire.Open({"box": box.xywh}, policy="WAIT", queue=2))
        for index, jpeg in enumerate(clip):
            talk.frame(index, jpeg)  # all of it at once: WAIT holds the socket back, and drops nothing
        answers = [talk.hear() for _ in clip]
        assert answers[0] == wire.Ack(0)
        assert [answer.box for answer in answers[1:]] == truth
        assert [answer.frame_index for answer in answers[1:]] == list(range(1, len(clip)))
        assert all(answer.timings.total_ms > 0 for answer in answers[1:])
        talk.say(wire.Bye())
        assert talk.hear() == wire.Bye("done")
        assert talk.rest() == []
        assert talk.socket.close_code == 1000
    assert shared.hub.find(welcome.session) is None


def test_raw_frames_give_what_the_same_pixels_give(shared: Any, film: Film, truth: Any) -> None:
    from framestate.vision import decode_image

    with shared.stream() as talk:
        talk.begin(*film)
        image = decode_image(film[0][1])
        raw = wire.Picture("frame", 1, 1, RATE, "rgb", image.tobytes(), image.shape[1], image.shape[0])
        talk.say(raw)
        assert talk.hear().box == truth[0]


def test_who_comes_back_goes_on(shared: Any, film: Film, truth: Any, until: Any) -> None:
    clip, box = film
    with shared.stream("again") as talk:
        talk.begin(clip, box)
        boxes = [talk.track(index, clip[index]).box for index in range(1, 6)]
    until(lambda: shared.hub.get("again").connection is None)
    with shared.stream("again") as talk:
        welcome = talk.hello(last_index=5)
        assert (welcome.resumed, welcome.last_index, welcome.frames_lost) == (True, 5, 0)
        boxes += [talk.track(index, clip[index]).box for index in range(6, 10)]
        assert boxes == truth[:9]
        talk.say(wire.Bye())
        assert talk.hear() == wire.Bye("done")
    with shared.stream("again") as talk:
        welcome = talk.hello(last_index=9)
        assert (welcome.resumed, welcome.frames_lost) == (False, 10)


def test_a_session_of_rest_can_be_streamed_to(
    shared: Any, film: Film, truth: Any, open_session: Callable[..., str]
) -> None:
    key = open_session(shared)
    with shared.stream(key) as talk:
        assert talk.hello().resumed
        assert talk.track(1, film[0][1]).box == truth[0]
        assert shared.call("GET", f"/v1/sessions/{key}").json["connected"]
        assert shared.call("DELETE", f"/v1/sessions/{key}").status == 204
        failure = talk.hear()
        assert (failure.code, failure.closing) == ("UnknownSessionError", True)
        assert talk.rest() == []
        assert talk.socket.close_code == 4404


def test_nobody_is_left_holding_a_session(serve: Any, film: Film, until: Any) -> None:
    running = serve(grace_s=0.5)
    with running.stream("gone") as talk:
        talk.begin(*film)
        for _ in range(3):
            time.sleep(0.3)
            assert running.engine.slots.num_used == 1  # somebody is there
    until(lambda: running.engine.slots.num_used == 0)
    metrics = running.call("GET", "/metrics").body.decode()
    assert 'framestate_evictions_total{model="tracker-nano",reason="disconnected"} 1.0' in metrics


def test_two_cannot_hold_one_session(shared: Any, film: Film) -> None:
    with shared.stream("one") as first:
        first.begin(*film)
        with shared.stream("one") as second:
            failure = second.hello()
            assert (failure.code, failure.closing) == ("SessionBusyError", True)
            assert second.rest() == []
            assert second.socket.close_code == 4409
        assert first.track(1, film[0][1]).frame_index == 1
        first.say(wire.Open({"box": film[1].xywh}))
        assert first.hear().code == "SessionError"
        assert first.track(2, film[0][2]).frame_index == 2
        first.say(wire.Bye())


@pytest.mark.parametrize(
    ("first", "code", "close"),
    [
        (wire.Bye(), "WireError", 4400),
        (wire.Open({"box": [1, 2, 3, 4]}), "WireError", 4400),
        (wire.Hello(1), "WireError", 4400),
        (wire.Hello(2, model="none"), "UnknownModelError", 4404),
        (wire.Hello(2, task="interpolation"), "UnknownModelError", 4404),
        (wire.Hello(2, task="interpolation", model="tracker-nano"), "UnknownModelError", 4404),
    ],
)
def test_a_wrong_beginning_ends_the_stream(shared: Any, first: Any, code: str, close: int) -> None:
    with shared.stream() as talk:
        talk.say(first)
        failure = talk.hear()
        assert (failure.code, failure.closing) == (code, True)
        assert talk.rest() == []
        assert talk.socket.close_code == close


@pytest.mark.parametrize("key", ["a%20b", "video-1", "x" * 65])
def test_a_session_needs_a_plain_name(shared: Any, film: Film, key: str) -> None:
    with shared.stream(key) as talk:
        answer = talk.hello()
        if isinstance(answer, wire.Welcome):
            talk.say(wire.Open({"box": film[1].xywh}))
            talk.frame(0, film[0][0])
            answer = talk.hear()
        assert answer.code == "OptionError"


def test_a_wrong_message_leaves_the_session_as_it_was(shared: Any, film: Film, truth: Any) -> None:
    clip, box = film
    with shared.stream() as talk:
        talk.hello()
        talk.frame(0, clip[0])
        assert (answer := talk.hear()).code == "SessionError"
        assert answer.index == 0
        talk.say(wire.Open({"box": [9000.0, 0.0, 5.0, 5.0]}, policy="WAIT"))
        talk.frame(0, clip[0])
        assert talk.hear().code == "BoxError"
        talk.say(wire.Open({"box": box.xywh}, policy="WAIT"))
        talk.frame(0, clip[0])
        assert talk.hear() == wire.Ack(0)
        assert talk.track(1, clip[1]).box == truth[0]
        wrong: list[tuple[Callable[[], Any], str]] = [
            (lambda: talk.socket.send(b"nonsense"), "WireError"),
            (lambda: talk.socket.send("{nonsense"), "WireError"),
            (lambda: talk.socket.send(""), "WireError"),
            (lambda: talk.say(wire.Hello(2)), "WireError"),
            (lambda: talk.say(wire.Ack(7)), "WireError"),
            (lambda: talk.frame(2, clip[2][:-30]), "ImageError"),
            (lambda: talk.frame(1, clip[2], pts=2), "FrameError"),
            (lambda: talk.frame(2, clip[2], pts=1), "FrameError"),
            (lambda: talk.frame(2, clip[2], pts=-1), "FrameError"),
            (lambda: talk.say(wire.Picture("made", 2, 2, RATE, "jpeg", clip[2])), "WireError"),
            (lambda: talk.say(wire.Picture("frame", 2, 2, RATE, "png", clip[2])), "ImageError"),
        ]
        for send, code in wrong:
            send()
            failure = talk.hear()
            assert (failure.code, failure.closing) == (code, False)
        assert talk.track(2, clip[2]).box == truth[1]
        talk.say(wire.Bye())


def test_live_frames_are_dropped_and_counted(shared: Any, film: Film) -> None:
    clip, box = film
    with shared.stream() as talk:
        talk.begin(clip, box, policy="DROP_OLDEST", queue=1)
        count = 60
        for index in range(1, count):
            talk.frame(index, clip[index % len(clip)])
        tracks: list[Any] = []
        drops: list[Any] = []
        while len(tracks) + len(drops) < count - 1:
            answer = talk.hear()
            (tracks if isinstance(answer, wire.Track) else drops).append(answer)
        assert drops
        assert {type(drop) for drop in drops} == {wire.Drop}
        assert tracks[-1].frame_index == count - 1  # the newest is never the one that is dropped
        numbers = [one.frame_index for one in tracks]
        assert sorted([*numbers, *(one.index for one in drops)]) == list(range(1, count))
        assert numbers == sorted(numbers)
        assert sum(track.dropped for track in tracks) == len(drops)
        talk.say(wire.Bye())
    metrics = shared.call("GET", "/metrics").body.decode()
    assert (
        f'framestate_frames_dropped_total{{model="tracker-nano",policy="DROP_OLDEST"}} {len(drops)}.0'
        in metrics
    )


def test_too_many_messages_are_refused_one_by_one(serve: Any, film: Film) -> None:
    running = serve(max_frames_per_second=5)
    with running.stream() as talk:
        talk.hello()
        for _ in range(20):
            talk.socket.send("{}")
        codes = [talk.hear().code for _ in range(20)]
    assert codes[:3] == ["WireError"] * 3
    assert "TooManyError" in codes
    with running.stream() as talk:
        talk.hello()
        with ThreadPoolExecutor(1) as reader:  # who does not read while sending can miss the end
            heard = reader.submit(talk.rest)
            with contextlib.suppress(ConnectionClosed):
                for _ in range(80):
                    talk.socket.send("{}")
        assert heard.result()[-1].closing
        assert talk.socket.close_code == 4429


def test_a_silent_peer_is_let_go(serve: Any, film: Film) -> None:
    running = serve(header_s=0.3, idle_s=0.6)
    for words in (0, 1):
        with running.stream() as talk:
            if words:
                talk.hello()
            assert talk.hear().code == "TooSlowError"
            assert talk.rest() == []
            assert talk.socket.close_code == 4408


class Stuck:
    """A socket whose peer takes nothing."""

    async def send_text(self, _: str) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("count", [1, MOST_WAITING + 2])
def test_a_peer_that_does_not_read_is_let_go(count: int) -> None:
    async def run() -> None:
        outbox = Outbox(cast(Any, Stuck()), seconds=0.1 if count == 1 else 60)
        await asyncio.sleep(0)
        for index in range(count):
            outbox.send(wire.Ack(index))
        error = await asyncio.wait_for(outbox.failed, 5)
        assert isinstance(error, TooSlowError)
        await outbox.close()

    asyncio.run(run())


def test_a_stop_answers_what_has_arrived(serve: Any, film: Film, truth: Any) -> None:
    clip, box = film
    running = serve()
    with running.stream() as talk:
        talk.begin(clip, box)
        for index in range(1, 5):
            talk.frame(index, clip[index])
        time.sleep(0.2)
        threading.Timer(0.0, running.stop).start()
        heard = talk.rest()
        assert heard[-1] == wire.Bye("the server stops", resumable=False)
        assert [track.box for track in heard[:-1]] == truth[: len(heard) - 1]
        assert talk.socket.close_code == 1012
