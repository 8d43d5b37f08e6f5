"""Who is there: by beats, by silence, by a refused connection, and after the directory itself ended."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

from framestate.cluster.directory import Directory, can_connect
from framestate.cluster.view import REMEMBERED, Load, MemberInfo, View
from hypothesis import given
from hypothesis import strategies as st

T = TypeVar("T")
LOAD = Load(1, 4)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def info(name: str, leaving: bool = False) -> MemberInfo:
    return MemberInfo(name, f"127.0.0.1:{ord(name[0])}", leaving)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def dead(address: str) -> bool:
    return False


async def alive(address: str) -> bool:
    return True


def test_who_beats_is_there_and_who_is_silent_is_not() -> None:
    clock = Clock()
    directory = Directory(dead_s=2.0, clock=clock)
    run(directory.beat(info("a"), LOAD, View()))
    clock.now = 1.5
    view = run(directory.beat(info("b"), LOAD, View()))
    assert view.names == ("a", "b")
    clock.now = 2.5
    view, loads = run(directory.look())
    assert view.names == ("b",)
    assert loads == {"b": LOAD}
    assert view.past == (("a", "b"), ("a",), ())


def test_a_beat_that_says_nothing_new_changes_nothing() -> None:
    directory = Directory()
    first = run(directory.beat(info("a"), LOAD, View()))
    again = run(directory.beat(info("a"), Load(4, 4), first))
    assert again.version == first.version


def test_who_leaves_is_off_the_ring_and_still_found() -> None:
    directory = Directory()
    run(directory.beat(info("a"), LOAD, View()))
    run(directory.beat(info("b"), LOAD, View()))
    view = run(directory.beat(info("a", leaving=True), LOAD, View()))
    assert view.names == ("b",)
    assert view.find("a") == info("a", leaving=True)
    assert all(view.owner(key) == info("b") for key in "0123456789")
    assert run(directory.gone("a")).find("a") is None


def test_a_suspect_goes_only_if_nobody_listens() -> None:
    for probe, names in ((dead, ("b",)), (alive, ("a", "b"))):
        directory = Directory(probe=probe)
        run(directory.beat(info("a"), LOAD, View()))
        run(directory.beat(info("b"), LOAD, View()))
        assert run(directory.suspect("a")).names == names
        assert run(directory.suspect("nobody")).names == names


def test_a_new_directory_learns_from_the_first_beat() -> None:
    clock = Clock()
    before = Directory(clock=clock)
    view = View()
    for name in "abc":
        view = run(before.beat(info(name), LOAD, View()))
    after = Directory(dead_s=2.0, clock=clock)
    assert run(after.look())[0].version == 0  # whoever asks goes on with what it knows
    assert run(after.beat(info("b"), LOAD, view)).names == ("a", "b", "c")
    assert run(after.look())[0].version >= view.version
    clock.now = 3.0
    assert run(after.beat(info("b"), LOAD, view)).names == ("b",)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["beat", "leave", "gone", "suspect"])), max_size=30
    )
)
def test_versions_grow_and_the_past_is_what_was(steps: list[tuple[str, str]]) -> None:
    directory = Directory(probe=dead)
    seen = View()
    rings: list[tuple[str, ...]] = [()]
    for name, what in steps:
        if what in ("beat", "leave"):
            view = run(directory.beat(info(name, leaving=what == "leave"), LOAD, View()))
        else:
            view = run(directory.gone(name) if what == "gone" else directory.suspect(name))
        assert view.version >= seen.version
        assert (view.version == seen.version) == (view.members == seen.members)
        if view.names != rings[-1]:
            rings.append(view.names)
        assert view.past == tuple(reversed(rings[:-1]))[:REMEMBERED]
        seen = view


def test_a_port_that_nobody_listens_on_refuses() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run(can_connect(address))
    assert not run(can_connect(address))
