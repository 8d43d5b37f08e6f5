"""The server of a soak, and what is noted about it."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..ports import free_port

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@dataclass
class Record:
    """What the soak saw.

    Attributes:
        samples: seconds since the start, MiB in memory, open files, threads, and frames answered by then.
        events: seconds since the start, and what was done to the server.
        counts: frames and jobs by how they ended.
        faults: what was promised and not kept.
    """

    seconds: float
    samples: list[tuple[float, float, int, int, int]] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)


class SoakServer:
    """The server, which can be ended and started again, and the record of the run.

    Args:
        folder: for the state folder, the log and the clock.
        seconds: of all of it.
        options: of ``framestate serve``.
    """

    def __init__(self, folder: Path, seconds: float, options: Sequence[str]) -> None:
        self.record = Record(seconds)
        self.folder, self.state, self.options = folder, folder / "state", options
        self.state.mkdir(parents=True, exist_ok=True)
        self.clock = folder / "clock"
        self.clock.write_text("+0")
        self.port = free_port()
        self.began = time.monotonic()
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()

    def start(self) -> None:
        """Starts the server, and waits until it is ready."""
        environment = {name: value for name, value in os.environ.items() if "FRAMESTATE" not in name}
        environment |= {"FRAMESTATE_SERVE_SNAPSHOT_S": "1", "FRAMESTATE_SERVE_WORKERS": "1"}
        if FAKETIME.is_file():
            environment |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        command = [sys.executable, "-m", "framestate.cli.main", "serve", "--port", str(self.port)]
        command += ["--state-dir", str(self.state), *self.options]
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(command, env=environment, stderr=log)
        log.close()
        self.wait(lambda: self.call("GET", "/v2/health/ready")[0] == 200, 60, "the server became ready")

    def end(self, number: signal.Signals) -> None:
        """Ends the server, and notes a stop that took too long."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(60)
        if number == signal.SIGTERM and (code != 0 or time.monotonic() - began > 10):
            self.fault(f"a stop took {time.monotonic() - began:.1f} s and ended with {code}")

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request; status 0 where there is no server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def wait(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        """Waits for something that was promised."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.fault(f"not within {seconds:g} s: {what}")
                return
            time.sleep(0.2)

    def fault(self, what: str) -> None:
        """Something that was promised was not kept."""
        self.record.faults.append(f"{self.now:.0f} s: {what}")
        sys.stderr.write(self.record.faults[-1] + "\n")

    def event(self, what: str) -> None:
        """Something is done to the server."""
        self.record.events.append((round(self.now, 1), what))

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def count(self, what: str) -> None:
        """One more of these."""
        with self.lock:
            self.record.counts[what] = self.record.counts.get(what, 0) + 1
