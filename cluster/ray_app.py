"""The cluster as a Ray Serve application: ``application`` for config files, and its two deployments"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import cv2
import ray
from ray import serve
from ray.serve import Application
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

from ..errors import RunError
from ..server.engines import load_engines
from ..server.logs import log_to_stderr
from ..server.settings import is_loopback
from .front_server import FrontServer
from .ray_directory import RayDirectory
from .ray_options import FRONT, GRACE_S, SESSIONS, ClusterOptions, Scale, serve_config
from .replica import Replica, ServerThread
from .scaling import TOTAL, USED

LEAVE_S = GRACE_S - 20.0
SHORT_S = 0.05
READY_S = 180.0


class Sessions:
    """One server of the cluster: a replica of Serve, which starts, checks, counts and ends it.

    Frames do not come through Serve but over the server's own socket: see docs/decisions/0020.
    """

    def __init__(self, options: ClusterOptions) -> None:
        settings = options.settings()
        log_to_stderr(settings.log_level)
        cv2.setNumThreads(1)  # pictures are decoded side by side: its own threads would spin beside that
        directory = RayDirectory(options.name)
        self._stack = ExitStack()
        try:
            engines = load_engines(settings, self._stack)
            self._replica = Replica(
                settings,
                engines,
                directory,
                token=directory.token(),
                state=options.state_dir,
                name=serve.get_replica_context().replica_tag,
                host=None if is_loopback(options.host) else node_address(),
            )
            self._thread = ServerThread(self._replica)
        except BaseException:
            self._stack.close()
            raise

    def check_health(self) -> None:
        """Serve asks this; an exception has the server replaced."""
        if not self._thread.is_alive:
            raise RuntimeError("the server has ended")

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Serve asks this too: the autoscaling goes by the slots."""
        load = self._replica.member.load
        return {USED: float(load.used), TOTAL: float(load.total)}

    def address(self) -> str:
        """Where it listens, for whoever asks through Serve."""
        return self._replica.member.info.address

    def __del__(self) -> None:
        """Serve ends it: its sessions go to the others first."""
        if hasattr(self, "_thread"):
            self._thread.stop(LEAVE_S)
            self._stack.close()


class Front:
    """The address of the cluster: a replica of Serve with a socket of its own.

    Args:
        options: of the cluster.
        sessions: the servers, so that Serve starts both.
    """

    def __init__(self, options: ClusterOptions, sessions: Any) -> None:
        settings = options.front_settings()
        log_to_stderr(settings.log_level)
        self._sessions = sessions
        self._thread = ServerThread(FrontServer(settings, RayDirectory(options.name)))

    def check_health(self) -> None:
        """Serve asks this; an exception has the front replaced."""
        if not self._thread.is_alive:
            raise RuntimeError("the front has ended")

    def __del__(self) -> None:
        """Serve ends it: clients connect again, to another front."""
        if hasattr(self, "_thread"):
            self._thread.stop()


def node_address() -> str:
    """Where other machines of the cluster reach this one."""
    utilities: Any = ray.util
    return str(utilities.get_node_ip_address())


def application(args: dict[str, Any]) -> Application:
    """Builds the application; what ``import_path`` names in a Serve config file.

    ``args`` are those of ``ClusterOptions``. Raises pydantic's ValidationError for anything else.
    """
    options = ClusterOptions.model_validate(args)
    common: dict[str, Any] = {
        "graceful_shutdown_wait_loop_s": SHORT_S,
        "graceful_shutdown_timeout_s": GRACE_S,
        "health_check_period_s": 5.0,
        "health_check_timeout_s": 60.0,
    }
    deployment: Any = serve.deployment
    sessions = deployment(
        name=SESSIONS, **common, ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus}
    )(Sessions)
    front = deployment(
        name=FRONT,
        **common,
        num_replicas=options.fronts,
        max_replicas_per_node=1,
        ray_actor_options={"num_cpus": options.front_cpus, "resources": options.front_resources},
    )(Front)
    built: Application = front.bind(options, sessions.bind(options))
    return built


def run(options: ClusterOptions, scale: Scale) -> None:
    """Starts the cluster, or changes its size, and waits until it is so. Ray must be connected.

    This is what ``serve deploy`` does with the same config, and as with that, a new number of servers ends
    and starts nothing else (``serve.run`` would replace every server).

    Raises:
        RunError: it could not be deployed, or did not come to be so in time.
    """
    serve.start(proxy_location="Disabled")
    config = ServeDeploySchema.model_validate(serve_config(options, scale))
    client: Any = _get_global_client()
    client.deploy_apps(config)
    until = time.monotonic() + READY_S
    while (found := why_not(options, scale)) is not None:
        if time.monotonic() > until:
            raise RunError(f"the cluster is not ready after {READY_S:g} s ({found})", "Look at Serve's log.")
        time.sleep(0.1)


def why_not(options: ClusterOptions, scale: Scale) -> str | None:
    """What the cluster still lacks; None when it is as it should be. Raises RunError where it failed."""
    app = serve.status().applications.get(options.name)
    status = "unknown" if app is None else str(app.status.value)
    if app is None or status != "RUNNING":
        if app is not None and status == "DEPLOY_FAILED":
            raise RunError(f"the cluster could not be deployed: {app.message}", "Look at Serve's log.")
        return status
    found = app.deployments[SESSIONS].replica_states
    states = {str(getattr(state, "value", state)): count for state, count in found.items()}
    least, most = scale.replicas, max(scale.replicas, scale.max_replicas or 0)
    is_so = least <= states.get("RUNNING", 0) <= most and set(states) == {"RUNNING"}
    return None if is_so else str(states)


def end(options: ClusterOptions) -> None:
    """Ends the cluster; sessions that are open stay in the state folder."""
    serve.delete(options.name)
    RayDirectory(options.name).end()
