"""The client against a real server: the same tracks as inline, typed errors, connections that get lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate import errors
from framestate.client import AsyncClient, Client
from framestate.vision import Box, Frame, encode_image
from framestate.wire import Track

from .conftest import lose_connection, same

Clip = tuple[list[Frame], Box]


@pytest.mark.parametrize("encoding", ["rgb", "png"])
def test_exact_pictures_give_exactly_the_tracks_of_the_engine(
    server: Any, clip: Clip, truth: list[Track], encoding: Any
) -> None:
    frames, box = clip
    with Client(server.url, encoding=encoding) as client, client.track(frames[0], box) as target:
        assert same([target.push(frame) for frame in frames[1:]], truth)
        assert client.session(target.id).last_index == 15
    with Client(server.url, encoding=encoding) as client:
        with client.track(frames[0], box, policy="WAIT") as target:
            found = list(target.stream(frames[1:], window=6))
        assert same(found, truth)
        assert client.sessions() == []


def test_image_files_go_as_they_are_and_images_as_such_files(
    server: Any, clip: Clip, truth: list[Track]
) -> None:
    frames, box = clip

    def follow(client: Client, pictures: list[Any]) -> list[Track]:
        with client.track(pictures[0], box, rate=25) as target:
            return [target.push(picture) for picture in pictures[1:]]

    with Client(server.url, quality=80) as client:
        assert same(follow(client, [encode_image(frame.image) for frame in frames]), truth)
        files = [encode_image(frame.image, "jpeg", quality=80) for frame in frames]
        assert same(follow(client, [frame.image for frame in frames]), follow(client, files))


def test_requests_give_the_same_tracks(server: Any, clip: Clip, truth: list[Track]) -> None:
    frames, box = clip
    with Client(server.url, encoding="png") as client:
        with client.track_by_request(frames[0], box, session_id="by-request") as target:
            assert same([target.push(frame) for frame in frames[1:]], truth, 1e-6)
            assert target.id == "by-request"
        with pytest.raises(errors.UnknownSessionError) as caught:
            client.session("by-request")
        assert caught.value.remedy


def test_many_sessions_at_once_for_event_loops(server: Any, clip: Clip, truth: list[Track]) -> None:
    frames, box = clip

    async def follow(client: AsyncClient) -> list[Track]:
        async with await client.track(frames[0], box, policy="WAIT") as target:
            return [track async for track in target.stream(frames[1:])]

    async def main() -> list[list[Track]]:
        async with AsyncClient(server.url, encoding="rgb") as client:
            return await asyncio.gather(*(follow(client) for _ in range(4)))

    assert all(same(found, truth) for found in asyncio.run(main()))


def test_a_session_moves_by_its_snapshot(server: Any, clip: Clip, truth: list[Track]) -> None:
    frames, box = clip
    with Client(server.url, encoding="rgb") as client:
        with client.track(frames[0], box) as target:
            first = [target.push(frame) for frame in frames[1:8]]
            blob = client.snapshot(target.id)
        info = client.restore("moved", blob)
        assert (info.session, info.last_index, info.restored) == ("moved", 7, True)
        with client.resume("moved") as target:
            assert same(first + [target.push(frame) for frame in frames[8:]], truth)
        with pytest.raises(errors.StateError):
            client.restore("broken", blob[:-9])


def test_a_lost_connection_costs_nothing(server: Any, clip: Clip, truth: list[Track]) -> None:
    frames, box = clip
    with Client(server.url, encoding="rgb") as client, client.track(frames[0], box) as target:
        found = [target.push(frame) for frame in frames[1:6]]
        lose_connection(target)
        found += [target.push(frame) for frame in frames[6:]]
        assert same(found, truth)
        assert (target.reconnects, target.frames_lost) == (1, 0)


def test_another_process_goes_on_where_one_left_off(server: Any, clip: Clip, truth: list[Track]) -> None:
    frames, box = clip
    with Client(server.url, encoding="rgb") as client:
        target = client.track(frames[0], box)
        found = [target.push(frame) for frame in frames[1:6]]
        target.abandon()
        with pytest.raises(errors.SessionError):
            target.push(frames[6])
    with Client(server.url, encoding="rgb") as client, client.resume(target.id) as again:
        assert again.welcome.last_index == 5
        assert same(found + [again.push(frame) for frame in frames[6:]], truth)


def test_a_server_that_starts_again_is_gone_on_with(
    serve: Any, clip: Clip, truth: list[Track], tmp_path: Path
) -> None:
    frames, box = clip
    first = serve(state_dir=tmp_path, snapshot_s=60)
    with Client(first.url, encoding="rgb", reconnect_s=20) as client:
        target = client.track(frames[0], box)
        found = [target.push(frame) for frame in frames[1:6]]
        first.stop()
        second = serve(state_dir=tmp_path, port=first.port)
        found += [target.push(frame) for frame in frames[6:]]
        assert same(found, truth)
        assert (target.reconnects, target.frames_lost) == (1, 0)
        assert second.engine.slots.num_used == 1
        target.close()


def test_a_server_that_forgot_the_session_is_told_of(serve: Any, clip: Clip, tmp_path: Path) -> None:
    frames, box = clip
    first = serve(state_dir=tmp_path)
    with Client(first.url, reconnect_s=20) as client:
        target = client.track(frames[0], box)
        target.push(frames[1])
        first.stop()
        serve(port=first.port)
        with pytest.raises(errors.UnknownSessionError, match="no longer has"):
            target.push(frames[2])
        with pytest.raises(errors.UnknownSessionError):
            target.push(frames[3])


def test_a_server_that_stays_away_is_an_error_in_time(serve: Any, clip: Clip, tmp_path: Path) -> None:
    frames, box = clip
    first = serve(state_dir=tmp_path)
    with Client(first.url, reconnect_s=0.3) as client:
        target = client.track(frames[0], box)
        first.stop()
        with pytest.raises(errors.UnavailableError):
            target.push(frames[1])
        with pytest.raises(errors.UnavailableError):
            client.track(frames[0], box)
        with pytest.raises(errors.UnavailableError):
            client.sessions()
        assert not client.is_ready()


def test_a_session_that_somebody_ends_is_told_of(serve: Any, clip: Clip) -> None:
    frames, box = clip
    server = serve()
    with Client(server.url) as client:
        target = client.track(frames[0], box)
        client.end(target.id)
        with pytest.raises(errors.UnknownSessionError, match="deleted"):
            target.push(frames[1])
        target = client.track(frames[0], box)
        server.stop()
        with pytest.raises(errors.SessionError, match="the server stops"):
            target.push(frames[1])


def test_errors_of_a_frame_leave_the_session(server: Any, clip: Clip, truth: list[Track]) -> None:
    frames, box = clip
    damaged = encode_image(frames[1].image)[:-40]
    with Client(server.url, encoding="rgb") as client, client.track(frames[0], box) as target:
        with pytest.raises(errors.ImageError):
            target.push(damaged)
        small = np.zeros((60, 80, 3), np.uint8)
        with pytest.raises(errors.FrameError, match="80x60"):
            target.push(small)
        with pytest.raises(errors.FrameError, match="uint8"):
            target.push(frames[1].image.astype(np.float32))
        with pytest.raises(errors.WireError, match="starts with"):
            target.push(b"GIF89a")
        assert target.push(Frame(frames[3].image, 120, frames[3].time_base, 3)).frame_index == 3
        with pytest.raises(errors.FrameError, match="in order"):
            target.push(frames[2])


def test_errors_of_opening_leave_nothing_behind(serve: Any, clip: Clip) -> None:
    frames, box = clip
    server = serve(capacity=1)
    with Client(server.url) as client:
        with pytest.raises(errors.BoxError):
            client.track(frames[0], (500, 500, 10, 10))
        with pytest.raises(errors.WireError, match="box"):
            client.track(frames[0], (1, 2, 3))
        with pytest.raises(errors.UnknownModelError):
            client.track(frames[0], box, model="nobody")
        with pytest.raises(errors.BoxError):
            client.track_by_request(frames[0], (500, 500, 10, 10))
        with client.track(frames[0], box, session_id="mine") as target:
            with pytest.raises(errors.CapacityError):
                client.track(frames[0], box)
            with pytest.raises(errors.SessionBusyError):
                client.resume("mine")
            target.push(frames[1])
        with pytest.raises(errors.UnknownSessionError):
            client.resume("mine")
    assert server.engine.slots.num_used == 0


def test_a_key_is_asked_for_and_works(serve: Any, clip: Clip, tmp_path: Path) -> None:
    frames, box = clip
    keys = tmp_path / "keys"
    keys.write_text("a-good-key-of-some-length\n")
    server = serve(api_key_file=keys)
    for options in ({}, {"api_key": "another-key-of-some-length"}):
        with Client(server.url, **options) as client:
            with pytest.raises(errors.AccessError):
                client.sessions()
            with pytest.raises(errors.AccessError):
                client.track(frames[0], box)
    with Client(server.url, api_key="a-good-key-of-some-length") as client:
        with client.track(frames[0], box) as target:
            assert target.push(frames[1]).frame_index == 1
        assert client.sessions() == []


def test_dropped_frames_are_counted_and_never_silent(server: Any, clip: Clip) -> None:
    frames, box = clip

    async def main() -> tuple[int, int]:
        async with (
            AsyncClient(server.url, encoding="rgb") as client,
            await client.track(frames[0], box, policy="DROP_OLDEST", queue=1) as target,
        ):
            futures = [await target.send(frame) for frame in frames[1:]]
            answers = await asyncio.gather(*futures, return_exceptions=True)
        dropped = [one for one in answers if isinstance(one, errors.FrameDroppedError)]
        tracks = [one.answer() for one in answers if not isinstance(one, BaseException)]
        assert len(dropped) + len(tracks) == 15
        return len(dropped), sum(track.dropped for track in tracks)

    dropped, counted = asyncio.run(main())
    assert dropped == counted
