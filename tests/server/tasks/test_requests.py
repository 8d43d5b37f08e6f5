"""Every task over REST: opened, each frame as the engine inline, snapshotted, gone back to, counted."""

from __future__ import annotations

from typing import Any

import pytest
from framestate import errors
from framestate.client import Client
from framestate.vision import Box

from .conftest import Case, frames_of, same

Film = tuple[list[bytes], Box]


def opened(client: Client, case: Case, clip: list[Any], **more: Any) -> Any:
    first = clip[0] if case.opens_on_frame else None
    return client.open_by_request(case.model, first, **case.options, **more)


def test_frames_are_answered_as_the_engine_does(
    all_tasks: Any, case: Case, film: Film, truth: list[Any]
) -> None:
    with Client(f"http://127.0.0.1:{all_tasks.port}", encoding="png") as client:
        frames = frames_of(film[0])
        with opened(client, case, frames, session_id="mine") as session:
            asked = f"/v1/sessions/mine/frames?encoding=png&pts={case.first}&time_base=1/25"
            answer = all_tasks.call("POST", asked, film[0][case.first])
            kind = answer.headers["content-type"].partition(";")[0]
            assert kind == (
                "multipart/mixed" if case.task in ("interpolation", "stream") else "application/json"
            )
            found = [session.push(frame) for frame in frames[case.first + 1 :]]
            for one in found:
                assert one.timings.total_ms >= one.timings.model_ms
                assert one.timings.decode_ms > 0
            if case.task in ("tracking", "classification"):  # the others' pictures came as jpeg
                assert all(same(one, other) for one, other in zip(found, truth[1:], strict=True))
            info = client.session("mine")
            assert (info.model, info.task, info.last_index) == (case.model, case.task, len(film[0]) - 1)
        with pytest.raises(errors.UnknownSessionError):
            client.session("mine")


def test_pictures_of_a_request_are_those_of_the_engine(
    all_tasks: Any, case: Case, film: Film, truth: list[Any]
) -> None:
    from framestate.client.parts import reply_in

    with (
        Client(f"http://127.0.0.1:{all_tasks.port}", encoding="png") as client,
        opened(client, case, frames_of(film[0])) as session,
    ):
        for index in range(case.first, 6):
            when = f"pts={index}&time_base=1/25&index={index}"
            path = f"/v1/sessions/{session.id}/frames?encoding=png&{when}"
            answer = all_tasks.call("POST", path, film[0][index])
            assert answer.status == 200, answer.body
            found = reply_in(answer.headers["content-type"], answer.body).answer()
            assert same(found, truth[index - case.first]), index


def test_a_snapshot_goes_back_and_over(all_tasks: Any, case: Case, film: Film, truth: list[Any]) -> None:
    frames = frames_of(film[0])
    with Client(f"http://127.0.0.1:{all_tasks.port}", encoding="rgb") as client:
        first = frames[0] if case.opens_on_frame else None
        with client.open(case.model, first, session_id="mine", **case.options) as session:
            for index in range(case.first, 6):
                session.push(frames[index])
            blob = client.snapshot("mine")
            rest = [session.push(frame) for frame in frames[6:]]
            assert all(same(a, b) for a, b in zip(rest, truth[6 - case.first :], strict=True))
        for key in ("back", "over"):
            info = client.restore(key, blob)
            assert (info.restored, info.task, info.last_index) == (True, case.task, 5)
            with client.resume(key) as session:
                for index in range(6, 9):
                    assert same(session.push(frames[index]), truth[index - case.first])
                if key == "over":  # and back again, while it is open
                    client.restore(key, blob)
            if key == "back":
                with pytest.raises(errors.UnknownSessionError):
                    client.session(key)
        with pytest.raises(errors.StateError):
            client.restore("broken", blob[:-9])


def test_every_frame_is_counted(all_tasks: Any, case: Case, film: Film) -> None:
    def count(name: str) -> float:
        text = all_tasks.call("GET", "/metrics").body.decode()
        line = next((one for one in text.splitlines() if one.startswith(name)), "0 0")
        return float(line.split()[-1])

    answered = f'framestate_frames_total{{model="{case.model}",outcome="answered"}}'
    names = [answered, f'framestate_compute_infer_seconds_count{{model="{case.model}"}}']
    with Client(f"http://127.0.0.1:{all_tasks.port}", encoding="rgb") as client:
        frames = frames_of(film[0])
        first = frames[0] if case.opens_on_frame else None
        before = [count(name) for name in names]
        with client.open(case.model, first, **case.options) as session:
            for frame in frames[case.first : 5]:
                session.push(frame)
            assert count(f'framestate_sessions_active{{model="{case.model}"}}') == 1
            assert count(f'framestate_slots_used{{model="{case.model}"}}') == 1
        assert [count(name) - was for name, was in zip(names, before, strict=True)] == [5 - case.first] * 2
