"""``framestate serve --ray``: servers side by side on this machine, by Ray Serve."""

from __future__ import annotations

import importlib.util
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OptionError, RuntimeUnavailableError
from .output import note

if TYPE_CHECKING:
    from ..cluster.ray_options import ClusterOptions
    from ..server import Settings


@dataclass(frozen=True)
class ClusterChoice:
    """What the command says of the cluster."""

    replicas: int
    max_replicas: int | None
    state_dir: str | None


def serve_on_ray(settings: Settings, choice: ClusterChoice) -> None:
    """Starts Ray and a cluster on it, and runs them until it is told to stop.

    Raises:
        RuntimeUnavailableError: Ray Serve is not installed.
        OptionError: an option makes no sense here.
    """
    missing = [name for name in ("ray", "httpx2") if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeUnavailableError(
            f"--ray needs {', '.join(missing)}, which is not installed",
            "Install it: pip install 'framestate[ray]'.",
        )
    if settings.sources:
        raise OptionError("--source and --ray cannot go together", "Live sources need a server by itself.")
    options = cluster_options(settings, choice)
    from ..server.keys import required_keys

    required_keys(settings)
    from ..cluster.ray_local import started_ray
    from ..cluster.ray_options import Scale

    scale = Scale(choice.replicas, choice.max_replicas)
    scale.of_sessions()  # before anything that takes long
    with started_ray(max(choice.replicas, choice.max_replicas or 0), options.cpus):
        from ..cluster import ray_app

        try:
            ray_app.run(options, scale)
            _announce(options, choice)
            _wait()
        finally:
            ray_app.end(options)


def cluster_options(settings: Settings, choice: ClusterChoice) -> ClusterOptions:
    """The options of a cluster whose servers have these settings, as far as they differ from the defaults."""
    from ..cluster.ray_options import ClusterOptions

    own = {"host", "port", "state_dir", "sources"}
    names = settings.model_fields_set - own
    given = settings.model_dump(mode="json", include=names)  # as Serve writes it down
    paths = {name: getattr(settings, name) for name in names if isinstance(getattr(settings, name), Path)}
    given |= {name: str(path.resolve()) for name, path in paths.items()}  # servers work in other folders
    return ClusterOptions(
        host=settings.host,
        port=settings.port or 8000,
        state_dir=shared_place(choice.state_dir or (str(settings.state_dir) if settings.state_dir else None)),
        server=given,
    )


def shared_place(state_dir: str | None) -> str | None:
    """A state folder as processes with another working directory name it."""
    return state_dir if state_dir is None or "://" in state_dir else str(Path(state_dir).resolve())


def _announce(options: ClusterOptions, choice: ClusterChoice) -> None:
    """What runs where, on stderr."""
    least, most = choice.replicas, choice.max_replicas or choice.replicas
    runs = f"{least} server{'s run' if least > 1 else ' runs'}"
    if most > least:
        runs += f"; more start, up to {most}, when the slots fill"
    note(f"cluster {options.name!r} on Ray Serve: {runs}")
    if choice.state_dir is None:
        note("sessions of a server that is killed are lost; --state-dir keeps them")
    shown = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{shown}:{options.port}"
    note(f"page: {url}/  reference: {url}/docs  (Ctrl-C ends it)")


def _wait() -> None:
    """Until SIGTERM or SIGINT; SIGHUP, which has a server by itself read its files again, ends nothing."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: note("each server reads its files again when they change"))
    while not told.wait(0.5):
        pass
