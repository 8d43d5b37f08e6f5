"""What large frames needed is given back when their sessions have ended, and small ones go on as before."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate import wire
from framestate.engine import Engine
from framestate.server.entry import Entry
from framestate.server.memory import Memory


def resident(pid: int) -> float:
    """MiB of a process in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def raw(index: int, height: int, width: int) -> wire.Picture:
    image = np.full((height, width, 3), 40 * index, np.uint8)
    image[::9, :, index % 3] = 255
    return wire.Picture("frame", index, index, Fraction(1, 25), "rgb", image.tobytes(), width, height)


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="there is no /proc here")
def test_memory_of_large_frames_is_given_back(process: Any, until: Any) -> None:
    running = process("--model", "interp-nano", "--max-sessions", "2", workers="1")
    with running.stream() as talk:
        talk.hello()
        talk.say(wire.Open({"factor": 2, "cuts": False}))
        for index in range(2):
            talk.say(raw(index, 1080, 1920))
        made = 0
        while made < 2:
            made += isinstance(talk.hear(60), wire.Made)
        before = resident(running.pid)
        talk.say(wire.Bye())
        talk.rest()
    until(lambda: resident(running.pid) < 0.7 * before, 30)  # about half of it is the process itself


def test_a_session_between_two_looks_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine.load("interp-nano", runtime="onnx", threads=1) as engine:
        engine.service.start()
        given: list[str] = []
        monkeypatch.setattr(engine.runtime, "give_back", lambda: given.append("all"))
        memory = Memory({"interp-nano": engine})
        session = engine.open(factor=2, cuts=False)
        session.push(np.zeros((720, 1280, 3), np.uint8))
        memory.note(Entry(session, "interp-nano"))
        session.close()

        async def look(times: int) -> None:
            for _ in range(times):
                await memory.sweep([])

        asyncio.run(look(1))
        assert not given  # its last answers may be on their way
        asyncio.run(look(4))
        assert given == ["all"]


def test_giving_back_changes_no_answer() -> None:
    images = [np.random.default_rng(seed).integers(0, 255, (96, 128, 3), np.uint8) for seed in range(4)]

    def answers(give_back: bool) -> list[Any]:
        with Engine.load("interp-nano", runtime="onnx", threads=1) as engine:
            session = engine.open(factor=2, cuts=False)
            made = []
            for image in images:
                made += [frame.image for frame in session.push(image).frames]
                if give_back:
                    engine.give_back()
            return made

    for one, other in zip(answers(False), answers(True), strict=True):
        assert np.array_equal(one, other)
