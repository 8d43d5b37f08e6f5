"""Sessions on disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.engine import Autosave, Engine
from framestate.engine.autosave import write_whole
from framestate.errors import OptionError, SessionError, StateError

BOX = (12.0, 10.0, 16.0, 12.0)
Make = Callable[..., Any]


def test_sessions_survive_a_restart(runtime: Any, open_runtime: Make, frame: Make, tmp_path: Path) -> None:
    expected = {}
    engine = Engine(runtime, capacity=4)
    with Autosave(engine, tmp_path / "state", every_s=1000) as autosave:
        assert autosave.restore() == ([], {})
        sessions = [engine.open(frame(seed, 0), box=BOX, session_id=f"s{seed}") for seed in range(3)]
        gone = engine.open(frame(9, 0), box=BOX, session_id="gone")
        for index in range(1, 6):
            for seed, session in enumerate(sessions):
                session.push(frame(seed, index))
        assert autosave.save() == 4
        assert autosave.save() == 0
        gone.close()
        sessions[0].push(frame(0, 6))
        assert autosave.save() == 1
        sessions[1].correct((14.0, 10.0, 16.0, 12.0))
        assert autosave.save() == 1
        sessions[0].push(frame(0, 7))
    assert autosave.failure is None
    assert sorted(os.listdir(tmp_path / "state")) == ["s0.session", "s1.session", "s2.session"]
    for seed, session in enumerate(sessions):
        expected[session.id] = session.push(frame(seed, 8)).box
    engine.close()

    (tmp_path / "state" / "bad.session").write_bytes(b"nothing")
    (tmp_path / "state" / "a b.session").write_bytes(b"nothing")
    other = Engine(open_runtime(), capacity=4)
    (tmp_path / "state" / ".s0.session.1.tmp").write_bytes(b"half")
    autosave = Autosave(other, tmp_path / "state")
    restored, refused = autosave.restore()
    assert {session.id for session in restored} == set(expected)
    assert {name: type(error) for name, error in refused.items()} == {
        "bad.session": StateError,
        "a b.session": OptionError,
    }
    for session in restored:
        assert session.push(frame(int(session.id[1:]), 8)).box == expected[session.id]
    assert autosave.save() == 3
    restored[0].close()
    assert autosave.save() == 0
    left = ["a b.session", "bad.session", "s1.session", "s2.session"]
    assert sorted(os.listdir(tmp_path / "state")) == left
    other.close()


def test_rounds_go_on_by_themselves_and_beside_steps(runtime: Any, frame: Make, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with Engine(runtime, capacity=1) as engine, Autosave(engine, tmp_path, every_s=0.01) as autosave:
        session = engine.open(frame(0, 0), box=BOX, session_id="it")
        for index in range(1, 100):
            session.push(frame(0, index))
        until = time.monotonic() + 10
        while not (tmp_path / "it.session").exists() and time.monotonic() < until:
            time.sleep(0.01)
        session.close()
        while (tmp_path / "it.session").exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert not list(tmp_path.iterdir())
        assert autosave.failure is None
    mine = set(threading.enumerate()) - before
    assert not [thread for thread in mine if thread.name.startswith("framestate")]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "it.session"
    write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["it.session"]


def test_failures_of_a_round_are_kept_and_wrong_options_refused(
    runtime: Any, frame: Make, tmp_path: Path
) -> None:
    engine = Engine(runtime, capacity=1)
    engine.open(frame(0, 0), box=BOX, session_id="it")
    autosave = Autosave(engine, tmp_path / "state")
    (tmp_path / "state").rmdir()
    autosave.close()
    assert isinstance(autosave.failure, OSError)
    engine.close()
    autosave.close()
    assert isinstance(autosave.failure, SessionError)
    with pytest.raises(OptionError):
        Autosave(engine, tmp_path, every_s=0)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OptionError):
        Autosave(engine, tmp_path / "file" / "state")
