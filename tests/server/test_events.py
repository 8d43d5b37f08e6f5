"""Events: what is one, and that the log keeps all of them, in order, whoever is killed in between."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from framestate.errors import OptionError
from framestate.server.deliveries import Deliveries
from framestate.server.event_log import EventLog
from framestate.server.watch import TYPES, Watch
from framestate.server.zones import is_inside, zones_in
from framestate.vision import Box
from framestate.wire import Track

SQUARE = ((10.0, 10.0), (50.0, 10.0), (50.0, 50.0), (10.0, 50.0))


def track(status: Any, x: float, index: int = 0) -> Track:
    return Track(Box(x - 5, 25, 10, 10), 0.9, status, index)


def types(log: EventLog) -> list[str]:
    return [json.loads(body)["type"] for _, body in log.after(0, 10_000)]


# What is an event


def test_a_target_is_lost_and_found_and_comes_and_goes(tmp_path: Path) -> None:
    log = EventLog(None, 1000).open()
    watch = Watch(log)
    watch.opened("s", "m", {"gate": SQUARE}, restored=False)
    for index, (status, x) in enumerate(
        [
            ("tracking", 5), ("tracking", 20), ("uncertain", 21), ("lost", 90), ("lost", 5),
            ("uncertain", 30), ("tracking", 31), ("tracking", 60), ("tracking", 61),
        ]
    ):  # fmt: skip
        watch.answered("s", "m", track(status, x, index))
    watch.closed("s", "m", "bye")
    watch.answered("s", "m", track("lost", 5))
    assert types(log) == [
        "session.opened", "zone.entered", "target.lost", "target.found", "zone.left", "session.closed",
    ]  # fmt: skip
    entered = json.loads(log.after(1, 1)[0][1])
    assert (entered["zone"], entered["frame"], entered["box"], entered["session"]) == (
        "gate",
        1,
        [15, 25, 10, 10],
        "s",
    )
    log.close()


@pytest.mark.parametrize(
    ("point", "inside"),
    [((30, 30), True), ((9, 30), False), ((51, 30), False), ((30, 9), False), ((30, 51), False)],
)
def test_the_middle_of_the_box_decides(point: tuple[int, int], inside: bool) -> None:
    assert is_inside(Box(point[0] - 100, point[1] - 3, 200, 6), SQUARE) is inside


def test_a_polygon_may_have_a_bay() -> None:
    bay = ((0.0, 0.0), (90.0, 0.0), (90.0, 90.0), (45.0, 10.0), (0.0, 90.0))
    assert not is_inside(Box(40, 60, 10, 10), bay)
    assert is_inside(Box(5, 60, 4, 4), bay)


@pytest.mark.parametrize(
    "zones",
    [
        [], "x", {"a b": SQUARE}, {"": SQUARE}, {"z": [[0, 0], [1, 1]]}, {"z": [[0, 0], [1, 1], [2, 2]]},
        {"z": [[0, 0], [1, 0], [1, float("nan")]]},
        {"z": [[0, 0], [1, 0], [1]]}, {"z": [[0, 0], [1, 0], [True, 1]]},
        {"z": [[0, 0], [1, 0], [1e9, 1]]}, {"z": [[0, 0]] * 65}, {f"z{one}": SQUARE for one in range(17)},
        {"z": [[0, 0], [1, 0], "ab"]}, {"z": None},
    ],
)  # fmt: skip
def test_what_is_no_zone_is_refused(zones: Any) -> None:
    with pytest.raises(OptionError):
        zones_in(zones)


# The log


def test_a_log_goes_on_after_a_restart_and_knows_who_was_told(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 1000).open()
    assert log.places(["a"]) == {"a": 0}
    watch = Watch(log)
    watch.opened("kept", "m", {"gate": SQUARE}, restored=False)
    watch.opened("gone", "m", {}, restored=False)
    watch.answered("kept", "m", track("tracking", 20))
    log.told("a", 2)
    log.close()
    log = EventLog(tmp_path, 1000).open()
    assert log.places(["a", "b"]) == {"a": 2, "b": 3}  # one that is new begins now
    watch = Watch(log)
    watch.begin()
    watch.opened("kept", "m", {}, restored=True)
    watch.settled()
    watch.answered("kept", "m", track("tracking", 20))  # it was there before
    watch.answered("kept", "m", track("tracking", 80))
    assert types(log)[3:] == ["session.closed", "zone.left"]
    assert "could not be restored" in log.after(3, 1)[0][1]
    log.close()


def test_a_full_disk_loses_nothing_and_breaks_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = EventLog(tmp_path, 1000).open()
    log.add([{"id": "0"}])
    pages = log._file.execute("pragma page_count").fetchone()[0]
    log._file.execute(f"pragma max_page_count={pages}")  # no room any more
    for number in range(1, 60):
        log.add([{"id": str(number), "filler": "x" * 500}])
    assert caplog.messages.count("events cannot be written") == 1
    log._file.execute("pragma max_page_count=100000")
    log.add([{"id": "60"}])
    assert [json.loads(body)["id"] for _, body in log.after(0, 100)] == [str(one) for one in range(61)]
    log.close()


def test_a_log_that_cannot_be_read_for_once_ends_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framestate.server.deliveries.FIRST_PAUSE_S", 0.01)
    log = EventLog(None, 100).open()
    read, failures = log.after, [sqlite3.OperationalError("disk I/O error")]

    def after(seq: int, limit: int) -> Any:
        if failures:
            raise failures.pop()
        return read(seq, limit)

    monkeypatch.setattr(log, "after", after)

    class Told:
        name, kind = "told", "webhook"

        def __init__(self) -> None:
            self.numbers: asyncio.Queue[int] = asyncio.Queue()

        async def send(self, seq: int, body: str) -> None:
            self.numbers.put_nowait(seq)

        async def close(self) -> None:
            pass

    async def deliver() -> int:
        sink = Told()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(Deliveries(log, [sink]).running())
            log.add([{"id": "1"}])
            return await asyncio.wait_for(sink.numbers.get(), 10)

    assert asyncio.run(deliver()) == 1
    assert not failures
    log.close()


def test_what_nobody_takes_is_given_up_in_the_end_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog(None, 500).open()
    log.places(["never"])
    for number in range(1024):
        log.add([{"id": number}])
    assert log.lost >= 500
    assert "events lost" in caplog.messages
    assert len(log.after(0, 5000)) <= 500 + 256
    log.close()


def test_a_damaged_log_is_told_of_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(OptionError, match="cannot be used"):
        EventLog(tmp_path, 10).open()


# Over the network


def test_a_session_says_what_its_zones_see(serve: Any, film: Any, truth: list[Box]) -> None:
    running = serve()
    middles = [(box.x + box.w / 2, box.y + box.h / 2) for box in truth]
    x, y = middles[6]
    zone = [[x - 2, y - 2], [x + 2, y - 2], [x + 2, y + 2], [x - 2, y + 2]]
    options = json.dumps({"box": film[1].xywh, "zones": {"gate": zone}}).replace(" ", "")
    opened = running.call(
        "POST", f"/v1/sessions?options={options}&pts=0&time_base=1/25", film[0][0], x_session_id="s"
    )
    assert opened.status == 201, opened.body
    inside = [abs(a - x) < 2 and abs(b - y) < 2 for a, b in middles]
    expected, before = [], False
    for index, now in enumerate(inside, start=1):
        answer = running.call("POST", "/v1/sessions/s/frames", film[0][index])
        assert answer.status == 200
        expected += [("zone.entered" if now else "zone.left", index)] if now != before else []
        before = now
    running.call("DELETE", "/v1/sessions/s")
    told = running.call("GET", "/v1/events").json
    seen = [(one["type"], one.get("frame")) for one in told["events"]]
    assert seen == [("session.opened", None), *expected, ("session.closed", None)]
    assert any(kind == "zone.entered" for kind, _ in seen)
    assert all(one["type"] in TYPES and one["session"] == "s" for one in told["events"])
    assert running.call("GET", f"/v1/events?after={told['last']}").json == {
        "events": [],
        "last": told["last"],
    }
    bad = running.call("POST", '/v1/sessions?box=1,1,9,9&options={"zones":{"a":[]}}', film[0][0])
    assert (bad.status, bad.json["code"]) == (422, "OptionError")
    with running.stream() as talk:  # zones come over a stream, too
        talk.begin(film[0], film[1])
    assert "OptionError" in running.call("POST", '/v1/videos?options={"zones":{}}', b"").json["code"]


def test_the_log_is_whole_after_a_kill(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from framestate.server.event_log import EventLog\n"
        "log = EventLog(Path(sys.argv[1]), 100000).open()\n"
        "for n in range(100000):\n    log.add([{'id': n}]); print(n, flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(300):
        last = int(writer.stdout.readline())
    writer.kill()
    last = max([last, *(int(line) for line in writer.stdout.read().splitlines())])
    writer.wait()
    writer.stdout.close()
    log = EventLog(tmp_path, 100_000).open()
    assert [json.loads(body)["id"] for _, body in log.after(0, 10**6)][: last + 1] == list(range(last + 1))
    log.close()
    with closing(sqlite3.connect(tmp_path / "events.sqlite")) as file:
        assert file.execute("pragma integrity_check").fetchone() == ("ok",)
