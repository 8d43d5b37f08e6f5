"""What a frame came with is let go as its answer is out: many sessions would fill the memory otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from framestate import wire
from framestate.errors import StepError

from ..collected import ours, without_collector

COUNT = 8
OF_FRAMES = {"Clock", "Flight", "Frame", "Job", "Made", "Next", "Shot", "Timings", "Track", "VideoMemory"}


def test_a_stream_of_answers_keeps_no_frame(both: Any, film: Any) -> None:
    clip, box = film
    with both.stream() as talk:
        talk.begin(clip, box)
        with without_collector() as found:
            for index in range(1, COUNT):
                talk.track(index, clip[index])
        talk.say(wire.Bye())
        talk.rest()
    assert not OF_FRAMES & set(ours(found))


def test_a_stream_of_pictures_keeps_no_frame(both: Any, film: Any) -> None:
    with both.stream() as talk:
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
        talk.say(wire.Bye())
        talk.rest()
    assert not OF_FRAMES & set(ours(found))


def test_frames_over_rest_are_not_kept(both: Any, film: Any, open_session: Any) -> None:
    key = open_session(both, "mine")
    with without_collector() as found:
        for index in range(1, COUNT):
            path = f"/v1/sessions/{key}/frames?pts={index}&index={index}"
            assert both.call("POST", path, film[0][index]).status == 200
    assert not OF_FRAMES & set(ours(found))
    both.call("DELETE", f"/v1/sessions/{key}")


def test_frames_that_fail_are_not_kept(both: Any, film: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, box = film

    def lost(*given: Any) -> None:
        raise StepError("the device was lost", "try again")

    with both.stream() as talk:
        talk.begin(clip, box)
        monkeypatch.setattr(both.engine.runtime, "call", lost)
        with without_collector() as found:
            for index in range(1, COUNT):
                talk.frame(index, clip[index] if index % 2 else b"no picture")
                assert talk.hear().code == ("StepError" if index % 2 else "ImageError")
        monkeypatch.undo()
        talk.say(wire.Bye())
        talk.rest()
    assert not OF_FRAMES & set(ours(found))
