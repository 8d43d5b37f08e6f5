"""A cluster on Ray of this machine with a load on it, as ``bench scale`` needs both"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from ..cluster.ring import Ring
from ..errors import OptionError
from ..vision import encode_image
from .scale_load import LoadOrder, LoadRound, run_scale_load
from .serve_process import Work, Worker
from .timing import EndlessClip


class Running:
    """A cluster on a Ray of its own, and the load on it."""

    def __init__(self, url: str, load: Worker, scale: Callable[[int], None], most: int) -> None:
        self._url = url
        self._load = load
        self.scale = scale
        self.names = sorted(one["name"] for one in self._json("/v1/cluster")["members"])
        self._ring = Ring(self.names)
        self._drawn = 0
        if len(self.names) != most:
            raise OptionError(f"{len(self.names)} of {most} servers run", "try again")

    def keys(self, servers: int, each: int) -> tuple[str, ...]:
        """New ids of sessions, ``each`` for every one of the first servers."""
        wanted, found = dict.fromkeys(self.names[:servers], each), []
        while any(wanted.values()):
            self._drawn += 1
            key = f"scale-{self._drawn}"
            owner = self._ring.owner(key) or ""
            if wanted.get(owner, 0):
                wanted[owner] -= 1
                found.append(key)
        return tuple(found)

    def round(self, order: LoadOrder) -> LoadRound:
        """One round of the load."""
        answer = self._load.run(order)  # type: ignore[arg-type]
        assert isinstance(answer, LoadRound)
        return answer

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU of every server and of the front, since they started."""
        found = {}
        for family in text_string_to_metric_families(self._get("/metrics")):
            for sample in family.samples:
                if sample.name == "process_cpu_seconds_total":
                    found[sample.labels["replica"]] = float(sample.value)
        return found

    def _json(self, path: str) -> Any:
        return json.loads(self._get(path))

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self._url + path, timeout=30) as answer:
            return str(answer.read().decode())


@contextmanager
def running(
    model: str, most: int, sessions: int, size: tuple[int, int], folder: Path, port: int
) -> Iterator[Running]:
    """A cluster of ``most`` servers of one worker each, with room for so many sessions on any of them.

    Raises as ``ray_app.run``.
    """
    from ..cluster import ray_app
    from ..cluster.ray_local import started_ray
    from ..cluster.ray_options import ClusterOptions, Scale

    clip = EndlessClip(size, images=30)
    jpegs = tuple(encode_image(clip.frame(n).image, "jpeg", quality=90) for n in range(30))
    work = Work(jpegs, clip.box, model, "auto", "cpu", 1, sessions)
    server = {"models": [model], "max_sessions": 2 * sessions, "log_level": "error"}
    cluster = ClusterOptions(port=port, cpus=1.0, state_dir=str(folder), server=server)
    with started_ray(most, cluster.cpus):
        try:
            ray_app.run(cluster, Scale(most))
            url = f"http://127.0.0.1:{port}"
            load = Worker(run_scale_load, url, work)
            try:
                yield Running(url, load, lambda count: ray_app.run(cluster, Scale(count)), most)
            finally:
                load.close()
        finally:
            ray_app.end(cluster)
