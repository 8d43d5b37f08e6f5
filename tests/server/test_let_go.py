"""What a frame came with is let go as its answer is out: many sessions would fill the memory otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from framestate import wire
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.server import Settings

from ..collected import ours, without_collector

COUNT = 8
OF_FRAMES = {"Clock", "Flight", "Frame", "Job", "Made", "Next", "Shot", "Timings", "Track", "VideoMemory"}


@pytest.fixture(scope="module")
def running(tiny_interpolator: Bundle, make_running: Any) -> Iterator[Any]:
    engines = {
        "tracker-nano": Engine.load("tracker-nano", runtime="onnx", threads=1, capacity=2),
        "tiny": Engine.load(tiny_interpolator, runtime="onnx", threads=1, capacity=2),
    }
    found = make_running(Settings(port=0), engines)
    yield found
    found.stop()
    for engine in engines.values():
        engine.close()


def test_a_stream_of_answers_keeps_no_frame(running: Any, film: Any) -> None:
    clip, box = film
    with running.stream() as talk:
        talk.begin(clip, box)
        with without_collector() as found:
            for index in range(1, COUNT):
                talk.track(index, clip[index])
        assert not OF_FRAMES & set(ours(found))


def test_a_stream_of_pictures_keeps_no_frame(running: Any, film: Any) -> None:
    with running.stream() as talk:
        talk.hello(task="interpolation", encoding="rgb")
        talk.say(wire.Open({"factor": 2}))
        talk.frame(0, film[0][0])
        while not isinstance(talk.hear(), wire.Made):
            pass
        with without_collector() as found:
            for index in range(1, COUNT):
                talk.frame(index, film[0][index])
                while not isinstance(talk.hear(), wire.Made):
                    pass
        assert not OF_FRAMES & set(ours(found))


def test_frames_over_rest_are_not_kept(running: Any, film: Any, open_session: Any) -> None:
    key = open_session(running, "mine")
    with without_collector() as found:
        for index in range(1, COUNT):
            path = f"/v1/sessions/{key}/frames?pts={index}&index={index}"
            assert running.call("POST", path, film[0][index]).status == 200
    assert not OF_FRAMES & set(ours(found))
    running.call("DELETE", f"/v1/sessions/{key}")
