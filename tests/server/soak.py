"""A server for twenty minutes: sources, streams, jobs, kills, a full disk, a clock step, all at once.

``python -m tests.server.soak FOLDER [SECONDS]`` writes ``FOLDER/soak.json``; ``soak_picture.py`` draws it.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from framestate.client import Client
from framestate.errors import FramestateError
from framestate.vision import VideoWriter
from framestate.vision.synthetic import demo_clip

from .soak_server import FAKETIME, Record, SoakServer

SOURCES, STREAMS, MOST_JOBS = 16, 3, 3
SIZE = (160, 120)
SAMPLE_S = 2.0


class Soak(SoakServer):
    """One run: who uses the server, and what is done to it.

    Args:
        folder: for the state folder and what is sent.
        seconds: of all of it.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        clip = list(demo_clip(3, 40, SIZE))
        self.images, self.box = [image for image, _, _ in clip], clip[0][1]
        folder.mkdir(parents=True, exist_ok=True)
        source = write_video(folder / "source.mp4", self.images, rate=1)
        self.upload = write_video(folder / "upload.mp4", self.images[:12], rate=25).read_bytes()
        self.over = threading.Event()
        self.accepted: set[str] = set()
        options = ["--max-sessions", "48", "--keep-videos", "60s"]
        for number in range(SOURCES):
            options += ["--source", f"cam{number}={source}"]
        super().__init__(folder, seconds, options)

    # Who uses it

    def churn(self, seed: int) -> None:
        """Sessions over WebSocket that come and go. Each frame is answered, also across a restart."""
        dice = random.Random(seed)
        with Client(f"http://127.0.0.1:{self.port}", reconnect_s=60) as client:
            while not self.over.is_set():
                try:
                    self._session(client, dice)
                except FramestateError as error:
                    self.count(f"told: {type(error).__name__}")
                    self.over.wait(1)

    def _session(self, client: Client, dice: random.Random) -> None:
        target = client.track(self.images[0], self.box, rate=25)
        for place in range(1, dice.randint(5, len(self.images))):
            if self.over.wait(0.15):
                break
            self.count("frames sent")
            try:
                track = target.push(self.images[place])
            except FramestateError:
                self.count("frames told of")
                raise
            self.count("frames answered")
            if track.frame_index != place:
                self.fault(f"frame {place} was answered as {track.frame_index}")
        target.close()
        self.count("sessions")

    def jobs(self) -> None:
        """Videos; every one that was accepted is done, or has a reason."""
        path = f"/v1/videos?box={self.box.x},{self.box.y},{self.box.w},{self.box.h}"
        while not self.over.wait(10):
            if len(self.accepted) >= MOST_JOBS:
                for key in list(self.accepted):
                    self.look_at(key)
                continue
            status, body = self.call("POST", path, self.upload)
            self.count(f"uploads: {status}")
            if status == 202:
                self.accepted.add(json.loads(body)["id"])
            for key in list(self.accepted):
                self.look_at(key)

    def look_at(self, key: str) -> None:
        """How an accepted video is."""
        status, body = self.call("GET", f"/v1/videos/{key}")
        if status == 404:
            self.fault(f"video {key} is gone before its end was seen")
            self.accepted.discard(key)
        elif status == 200:
            job = json.loads(body)
            if job["state"] not in ("queued", "running"):
                self.accepted.discard(key)
                self.count(f"jobs: {job['state']}")
                if job["state"] == "failed" and job["error"]["code"] != "StorageError":
                    self.fault(f"a job failed: {job['error']}")

    def sample(self) -> None:
        """Memory and files, and what is ready, again and again."""
        while not self.over.wait(SAMPLE_S):
            process = self.process
            if process is None or process.poll() is not None:
                continue
            try:
                base = Path(f"/proc/{process.pid}")
                pages = int((base / "statm").read_text().split()[1])
                files, threads = len(list((base / "fd").iterdir())), len(list((base / "task").iterdir()))
            except OSError:
                continue
            answered = self.record.counts.get("frames answered", 0)
            self.record.samples.append((round(self.now, 1), pages * 4096 / 2**20, files, threads, answered))

    def _is_over(self, key: str) -> bool:
        self.look_at(key)
        return key not in self.accepted

    def _is_chosen(self, path: str) -> bool:
        return self.call("POST", path)[0] == 201

    def targets(self) -> None:
        """Every source follows a target."""
        for number in range(SOURCES):
            path = f"/v1/sources/cam{number}/target?box={self.box.x},{self.box.y},{self.box.w},{self.box.h}"
            self.wait(partial(self._is_chosen, path), 30, f"a target on source {number}")

    def followed(self) -> dict[str, int]:
        """The last frame of each source's session."""
        status, body = self.call("GET", "/v1/sessions")
        listed = json.loads(body)["sessions"] if status == 200 else []
        return {
            one["session"]: one["last_index"] or 0 for one in listed if one["session"].startswith("source-")
        }

    def moves_on(self, what: str) -> None:
        """Every source's session is there and takes frames."""
        before = self.followed()
        if len(before) != SOURCES:
            self.fault(f"{len(before)} of {SOURCES} sources are followed after {what}")
        self.wait(
            lambda: all(self.followed().get(key, 0) > index for key, index in before.items()),
            60,
            f"every source was followed on after {what}",
        )

    # What is done to it

    def kill(self) -> None:
        """The process is killed, and started again."""
        self.end(signal.SIGKILL)
        self.event("killed")
        self.start()
        self.moves_on("a kill")

    def stop(self) -> None:
        """The server is told to stop, and started again."""
        self.event("restarted")
        self.end(signal.SIGTERM)
        self.start()
        self.moves_on("a restart")

    def fill(self) -> None:
        """The disk is full for a while."""
        self.event("disk full")
        filler = self.state / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass
        self.wait(
            lambda: self.call("GET", "/v2/health/ready")[0] == 503, 30, "readiness knows of a full disk"
        )
        path = "/v1/videos?box=1,1,20,20"
        if self.call("POST", path, self.upload)[0] != 507:
            self.fault("an upload to a full disk was not told 507")
        if self.call("GET", "/v2/health/live")[0] != 200:
            self.fault("a full disk ended liveness")
        time.sleep(15)
        filler.unlink()
        self.event("disk free")
        self.wait(
            lambda: self.call("GET", "/v2/health/ready")[0] == 200, 30, "ready once there is room again"
        )

    def jump(self) -> None:
        """The machine's clock is an hour back."""
        if not FAKETIME.is_file():
            self.record.not_run.append("clock step: libfaketime is not installed")
            return
        self.clock.write_text("-3600")
        self.event("clock -1 h")
        self.moves_on("a clock step")

    def run(self) -> Record:
        """All of it."""
        steps: list[tuple[float, Callable[[], None]]] = [
            (0.15, self.kill),
            (0.35, self.fill),
            (0.5, self.kill),
            (0.65, self.jump),
            (0.8, self.stop),
        ]
        self.start()
        self.targets()
        users = [threading.Thread(target=self.churn, args=(seed,)) for seed in range(STREAMS)]
        users += [threading.Thread(target=self.jobs), threading.Thread(target=self.sample)]
        for user in users:
            user.start()
        try:
            for share, step in steps:
                time.sleep(max(0.0, share * self.record.seconds - self.now))
                step()
            time.sleep(max(0.0, self.record.seconds - self.now))
            self.moves_on("all of it")
        finally:
            self.over.set()
            for user in users:
                user.join(90)
        for key in list(self.accepted):
            self.wait(partial(self._is_over, key), 300, f"the end of job {key}")
        self.end(signal.SIGTERM)
        return self.record


def write_video(path: Path, images: list[Any], rate: int) -> Path:
    """The images as a video, and where it is."""
    with VideoWriter(path, *SIZE, rate) as film:
        for image in images:
            film.write(image)
    return path


def run(folder: Path, seconds: float) -> Record:
    """One soak, on a file system of 48 MB where one can be mounted; its record is written beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state"
    state.mkdir(exist_ok=True)
    with ExitStack() as stack:
        mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(state)]
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        if mounted:
            stack.callback(subprocess.run, ["umount", "-l", str(state)], check=False)
        soak = Soak(folder, seconds)
        if not mounted:
            soak.fill = lambda: soak.record.not_run.append("full disk: none can be mounted")  # type: ignore[method-assign]
        try:
            record = soak.run()
        finally:
            if soak.process is not None and soak.process.poll() is None:
                soak.process.kill()
                soak.process.wait()
    (folder / "soak.json").write_text(json.dumps(asdict(record), indent=1))
    return record


if __name__ == "__main__":
    done = run(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1200.0)
    sys.stdout.write(json.dumps({"counts": done.counts, "faults": done.faults}, indent=1) + "\n")
