"""The state folder: one server at a time, also in restarts that overlap; what is wrong with it is said."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from framestate.errors import OptionError
from framestate.server.state_folder import StateFolder

from .disks import mounted

SERVE = [sys.executable, "-m", "framestate.cli.main", "serve", "--port", "0", "--state-dir"]


def ended(folder: Path) -> Any:
    """A server that does not start."""
    environment = os.environ | {"FRAMESTATE_SERVE_STATE_WAIT_S": "0.3"}
    return subprocess.run(
        [*SERVE, str(folder)], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_second_server_says_who_has_the_folder(process: Any, tmp_path: Path, until: Any) -> None:
    first = process("--state-dir", str(tmp_path))
    done = ended(tmp_path)
    assert done.returncode == 2
    assert f"in use by process {first.pid} on" in done.stderr
    assert "Traceback" not in done.stderr
    started: list[Any] = []
    second = threading.Thread(target=lambda: started.append(process("--state-dir", str(tmp_path))))
    second.start()  # a restart that overlaps: it waits for the first to leave
    until(lambda: first.call("GET", "/v2/health/ready").status == 200)
    assert first.end(signal.SIGTERM) == 0
    second.join(30)
    until(lambda: started[0].call("GET", "/v2/health/ready").status == 200)
    assert started[0].end(signal.SIGKILL) == -signal.SIGKILL
    folder = StateFolder(tmp_path, 5)
    folder.open()  # no lock outlives who held it
    folder.close()


def as_file(folder: Path) -> None:
    folder.write_bytes(b"")


def without_sessions(folder: Path) -> None:
    folder.mkdir()
    (folder / "sessions").write_bytes(b"")


def no_database(folder: Path) -> None:
    folder.mkdir()
    (folder / "jobs.sqlite").write_bytes(b"this is no database, and long enough to be read as one" * 20)


def damaged(folder: Path) -> None:
    folder.mkdir()
    path = folder / "jobs.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, task TEXT)")
        database.executemany("INSERT INTO jobs VALUES (?, ?)", [(str(n), "x" * 500) for n in range(200)])
    database.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = bytes(range(256)) * 48
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [as_file, without_sessions, no_database, damaged])
def test_a_folder_that_cannot_be_used_is_refused(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    spoil(tmp_path / "state")
    with pytest.raises(OptionError, match="cannot be used") as error:
        StateFolder(tmp_path / "state", 0).open()
    assert "state" in error.value.problem


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "ro,size=1m") as folder:
        yield folder


def test_the_command_ends_with_what_is_wrong(read_only: Path) -> None:
    done = ended(read_only)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: the state folder")
    assert "Read-only" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_session_has_an_id_that_no_stream_can_reach(shared: Any, film: Any, open_session: Any) -> None:
    clip, box = film
    path = f"/v1/sessions?box={box.x},{box.y},{box.w},{box.h}"
    answer = shared.call("POST", path, clip[0], x_session_id="new")
    assert (answer.status, answer.json["code"]) == (422, "OptionError")
    key = open_session(shared)
    blob = shared.call("GET", f"/v1/sessions/{key}/snapshot").body
    assert shared.call("PUT", "/v1/sessions/new/snapshot", blob).status == 422
    shared.call("DELETE", f"/v1/sessions/{key}")
