"""Many sessions: memory as announced, nothing lost when peers come, vanish and come back."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from framestate import wire
from framestate.bundles import load_bundle
from framestate.vision import Box

Film = tuple[list[bytes], Box]
SECONDS = float(os.environ.get("FRAMESTATE_CHURN_SECONDS", "6"))
"""Longer where somebody has the time."""
MEGABYTE = 1024 * 1024


def rss(pid: int) -> int:
    """Bytes of a process in memory."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def gauge(running: Any, name: str) -> float:
    lines = running.call("GET", "/metrics").body.decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"framestate_{name}{{")).split()[-1])


@pytest.mark.slow
def test_idle_sessions_take_what_was_printed(process: Any, open_session: Callable[..., str]) -> None:
    """A thousand sessions take what the server said when it started, and no more when they come again."""
    running = process("--max-sessions", "1000", idle_s="3600")
    (line,) = (line for line in running.lines if "1000 slots" in line)
    printed = float(line.split(" MiB in all")[0].split()[-1]) * MEGABYTE
    assert printed > 1000 * load_bundle("tracker-nano").spec.state_bytes
    blob = running.call("GET", f"/v1/sessions/{open_session(running, 'first')}/snapshot").body
    before = rss(running.pid)
    for index in range(999):
        assert running.call("PUT", f"/v1/sessions/s{index}/snapshot", blob).status == 201
    assert gauge(running, "slots_used") == 1000
    assert running.call("PUT", "/v1/sessions/more/snapshot", blob).status == 503
    full = rss(running.pid) - before
    note(f"1,000 sessions: {full / MEGABYTE:.0f} MiB, {printed / MEGABYTE:.0f} MiB were printed")
    assert full < printed + 10 * MEGABYTE
    for index in range(999):
        assert running.call("DELETE", f"/v1/sessions/s{index}").status == 204
    for index in range(400):
        assert running.call("PUT", f"/v1/sessions/s{index}/snapshot", blob).status == 201
    assert rss(running.pid) - before < full + 10 * MEGABYTE
    assert running.end(signal.SIGTERM) == 0


def note(text: str) -> None:
    """A figure, for those who run this with ``-s``."""
    print(text)  # noqa: T201


def visit(
    running: Any, film: Film, rng: random.Random, stop: threading.Event, counts: dict[str, int]
) -> None:
    """Connects, streams, and leaves in one way or another; comes back to some sessions."""
    clip, box = film
    while not stop.is_set():
        key = f"v{rng.randrange(6)}"
        with running.stream(key) as talk:
            welcome = talk.hello()
            if isinstance(welcome, wire.Failure):
                assert welcome.code == "SessionBusyError"
                counts["busy"] += 1
                continue
            index = 0
            if welcome.resumed:
                index = welcome.last_index + 1
                counts["resumed"] += 1
            else:
                talk.say(wire.Open({"box": box.xywh}, policy="DROP_OLDEST"))
            for step in range(rng.randrange(1, 8)):
                talk.frame(index + step, clip[(index + step) % len(clip)])
            how = rng.randrange(3)
            if how == 0:
                talk.say(wire.Bye())
                heard = talk.rest()
                assert isinstance(heard[-1], wire.Bye), heard
                counts["said bye"] += 1
            elif how == 1:
                talk.socket.socket.close()  # gone, without a word
                counts["vanished"] += 1
            else:
                counts["closed"] += 1


def test_slots_and_memory_survive_the_churn(process: Any, film: Film, until: Any) -> None:
    """Peers connect, stream, vanish and come back: in the end every slot is free and memory is flat."""
    running = process("--max-sessions", "6", grace_s="0.5")
    stop = threading.Event()
    counts = {"busy": 0, "resumed": 0, "said bye": 0, "vanished": 0, "closed": 0}
    threads = [
        threading.Thread(target=visit, args=(running, film, random.Random(seed), stop, counts))
        for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    marks = []
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        time.sleep(max(1.0, SECONDS / 60))
        marks.append(rss(running.pid) / MEGABYTE)
        assert gauge(running, "slots_used") <= 6
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    until(lambda: gauge(running, "slots_used") == 0, 30)
    assert gauge(running, "sessions_waiting") == gauge(running, "sessions_active") == 0
    settled = marks[len(marks) // 4 :]  # threads and buffers are there by then
    note(f"{counts}, MiB {[round(mark) for mark in marks]}")
    assert min(counts["said bye"], counts["vanished"], counts["closed"]) > 0
    assert max(settled) - settled[0] < 20
    assert running.end(signal.SIGTERM) == 0
    assert not [line for line in running.lines if '"level": "error"' in line]
