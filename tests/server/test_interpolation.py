"""Interpolation over a stream and of whole videos: what the engine makes, and what was sent as it came."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate import wire
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.vision import Box, Frame, VideoReader, VideoWriter, decode_image

Film = tuple[list[bytes], Box]
RATE = Fraction(1, 25)


def made_by_engine(bundle: Bundle, clip: list[bytes], factor: int) -> list[Frame]:
    with (
        Engine.load(bundle, runtime="onnx", threads=1) as engine,
        engine.open(factor=factor) as session,
    ):
        frames = [
            shown
            for index, jpeg in enumerate(clip)
            for shown in session.push(Frame(decode_image(jpeg), index, RATE, index))
        ]
        frames += session.flush() or ()
        return frames


@pytest.mark.parametrize("factor", [2, 3])
def test_a_stream_is_made_smoother(both: Any, film: Film, tiny_interpolator: Bundle, factor: int) -> None:
    clip = film[0][:6]
    expected = made_by_engine(tiny_interpolator, clip, factor)
    with both.stream() as talk:
        welcome = talk.hello(task="interpolation", encoding="rgb")
        assert (welcome.task, welcome.model, welcome.policy) == ("interpolation", "tiny", "WAIT")
        talk.say(wire.Open({"factor": factor}))
        for index, jpeg in enumerate(clip):
            talk.frame(index, jpeg)
        talk.say(wire.Bye())
        heard = talk.rest()
    assert heard[-1] == wire.Bye("done")
    pictures = [one for one in heard if isinstance(one, wire.Picture)]
    assert heard[0] == wire.Ack()
    answers = [one for one in heard if isinstance(one, wire.Made)]
    held = len(expected) - 1 - 5 * factor
    assert [answer.frame_index for answer in answers] == [*range(6), 5]
    assert [len(answer) for answer in answers] == [1, *[factor] * 5, held]
    assert len(pictures) == len(expected)
    for picture, frame in zip(pictures, expected, strict=True):
        assert picture.kind == "made"
        assert (picture.index, picture.pts, picture.time_base) == (frame.index, frame.pts, frame.time_base)
        if picture.encoding == "rgb":
            image = np.frombuffer(picture.payload, np.uint8).reshape(frame.image.shape)
            assert np.array_equal(image, frame.image)
        else:
            assert picture.payload in clip
    assert sum(picture.encoding == "jpeg" for picture in pictures) == len(clip)  # as they came


def test_wrong_messages_leave_it_as_it_was(both: Any, film: Film) -> None:
    clip = film[0]
    with both.stream("mine") as talk:
        talk.hello(task="interpolation", encoding="webp")
        talk.frame(0, clip[0])
        assert talk.hear().code == "SessionError"
        tried: list[dict[str, Any]] = [
            {"box": [1.0, 1.0, 9.0, 9.0]}, {"factor": "many"}, {"factor": 0}, {"options": {}},
            {"session_id": "x"}, {"cuts": "yes"}, {"scale": [1]}, {"fps": 1e300},
        ]  # fmt: skip
        for wrong in tried:
            talk.say(wire.Open(wrong))
            assert talk.hear().code == "OptionError", wrong
        talk.say(wire.Open())
        assert talk.hear() == wire.Ack()
        talk.frame(5, clip[0])
        assert isinstance(talk.hear(), wire.Picture)
        assert (answer := talk.hear()).frame_index == 5
        assert len(answer) == 1
        talk.say(wire.Open())
        assert talk.hear().code == "SessionError"
        talk.frame(6, clip[1], pts=5)  # not later
        assert (failure := talk.hear()).code == "FrameError"
        assert failure.index == 6
        talk.frame(6, clip[1][:-40])
        assert talk.hear().code == "ImageError"
        talk.frame(6, clip[1])
        first, second = talk.hear(), talk.hear()
        assert (first.encoding, second.encoding, second.payload) == ("webp", "jpeg", clip[1])
        assert len(talk.hear()) == 2
        metrics = both.call("GET", "/metrics").body.decode()
        assert 'framestate_sessions_active{model="tiny"} 1.0' in metrics
        assert 'framestate_slots_used{model="tiny"} 1.0' in metrics
        talk.say(wire.Bye())
        talk.rest()


def test_slots_come_back_when_peers_go(both: Any, film: Film, until: Any) -> None:
    clip = film[0]
    until(lambda: both.engines["tiny"].slots.num_used == 0)
    with both.stream() as one, both.stream() as two, both.stream() as three:
        for talk in (one, two):
            talk.hello(task="interpolation")
            talk.say(wire.Open())
            talk.frame(0, clip[0])
            assert talk.hear() == wire.Ack()
            assert isinstance(talk.hear(), wire.Picture)
        three.hello(task="interpolation")
        three.say(wire.Open())
        assert three.hear().code == "CapacityError"
        for talk in (one, two):
            talk.say(wire.Bye())
    until(lambda: both.engines["tiny"].slots.num_used == 0)
    assert both.hub.entries() == []


def test_both_tasks_are_told_apart(both: Any, film: Film) -> None:
    assert both.call("GET", "/healthz").status == 200
    answer = both.call("GET", "/v2/models/tiny").json
    assert (answer["task"], answer["inputs"][0]["name"]) == ("interpolation", "t")
    box = "box=60,50,40,30"
    opened = both.call("POST", f"/v1/sessions?{box}", film[0][0])
    assert opened.json["model"] == "tracker-nano"
    both.call("DELETE", f"/v1/sessions/{opened.json['session']}")
    wrong = both.call("POST", f"/v1/sessions?{box}&model=tiny", film[0][0])
    assert (wrong.status, wrong.json["code"]) == (422, "OptionError")
    with both.stream() as talk:
        assert talk.hello(model="tiny").task == "interpolation"
    with both.stream() as talk:
        assert talk.hello(model="tiny", task="tracking").code == "UnknownModelError"


def test_a_video_is_made_smoother(both: Any, film: Film, tmp_path: Path, until: Any) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 160, 120, 25) as video:
        for jpeg in film[0][:6]:
            video.write(decode_image(jpeg))
    job = both.call("POST", "/v1/videos?task=interpolation&factor=3", path.read_bytes())
    assert (job.status, job.json["model"]) == (202, "tiny")
    assert job.json["frames_total"] in (None, 16), "of the result, never of what was sent"
    where = f"/v1/videos/{job.json['id']}"
    until(lambda: both.call("GET", where).json["state"] not in ("queued", "running"))
    done = both.call("GET", where).json
    assert (done["state"], done["results"]) == ("done", ["interpolated.mp4"]), done
    assert (done["frames"], done["frames_total"]) == (16, 16)
    (tmp_path / "out.mp4").write_bytes(both.call("GET", f"{where}/results/interpolated.mp4").body)
    with VideoReader(tmp_path / "out.mp4") as result:
        frames = list(result)
    assert len(frames) == 16
    steps = {round((b.seconds - a.seconds) * 75) for a, b in pairwise(frames)}
    assert steps == {1}
    both.call("DELETE", where)
