"""`ClusterOptions`: what a cluster on Ray Serve may be told, by the command or by a Serve config file"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from ..errors import OptionError
from ..server.settings import Settings, is_loopback
from .scaling import TARGET

GRACE_S = 120.0
"""That Serve gives a server to hand over its sessions."""
SESSIONS, FRONT = "Sessions", "Front"
"""The two deployments of the application."""
APPLICATION = "framestate.cluster.ray_app:application"
BEHIND_THE_FRONT: dict[str, Any] = {"tls_cert": None, "tls_key": None, "proxies": ("0.0.0.0/0", "::/0")}
"""Settings that are the front's alone: a server behind it speaks HTTP, and believes what the front says."""
POLICY = "framestate.cluster.scaling:BySlots"


class ClusterOptions(BaseModel):
    """Of a cluster; ``args`` in a Serve config file. What is in ``server`` goes to every server of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(pattern="^[a-z0-9-]{1,40}$")] = "framestate"
    """Of the cluster: several may share one Ray."""
    host: str = "127.0.0.1"
    """Address that the front listens on; any but this machine's own needs ``api_key_file`` in ``server``."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port of the front, on every machine that has one."""
    state_dir: str | None = None
    """Where sessions outlive their server: a folder that all machines share, or an address for fsspec."""
    cpus: PositiveFloat = 1.0
    """CPUs of a server; whole ones are its workers."""
    gpus: Annotated[float, Field(ge=0)] = 0.0
    """GPUs of a server."""
    fronts: PositiveInt = 1
    """Fronts, one a machine."""
    front_cpus: Annotated[float, Field(ge=0)] = 0.1
    """CPUs that Ray counts for a front."""
    front_resources: dict[str, float] = {}
    """Ray resources of a front, to keep it on certain machines."""
    server: dict[str, Any] = {}
    """Settings of every server, by their names in docs/server.md."""

    def settings(self, *, port: int = 0) -> Settings:
        """The settings of one server. Raises OptionError for one that a cluster does not have."""
        refused = {"host", "port", "state_dir", "sources"} & set(self.server)
        if refused:
            raise OptionError(
                f"a server of a cluster has no {', '.join(sorted(refused))} of its own",
                "Leave it out; live sources need a server by itself.",
            )
        workers = {"workers": max(1, int(self.cpus))} if self.gpus == 0 else {}
        everywhere = "127.0.0.1" if is_loopback(self.host) else "0.0.0.0"
        own = {"host": everywhere, "port": port, "state_dir": None, "sources": (), **BEHIND_THE_FRONT}
        return Settings(**{**workers, **self.server, **own})

    def front_settings(self) -> Settings:
        """The settings of a front, which leaves keys to the servers behind it."""
        own: dict[str, Any] = {"tls_cert": None, "tls_key": None, "proxies": ()}
        own |= {name: value for name, value in self.server.items() if name in own}
        return Settings(**{**self.settings().model_dump(), **own, "host": self.host, "port": self.port})


@dataclass(frozen=True)
class Scale:
    """How many servers there are.

    Attributes:
        replicas: at least, and to begin with.
        max_replicas: where it is more, the number follows the slots in use.
        target: share of the slots that should be in use then.
        upscale_delay_s, downscale_delay_s: for how long more, or fewer, must be wanted.
    """

    replicas: int = 1
    max_replicas: int | None = None
    target: float = TARGET
    upscale_delay_s: float = 5.0
    downscale_delay_s: float = 300.0

    def of_sessions(self) -> dict[str, Any]:
        """The deployment of the servers, in a Serve config file. Raises OptionError."""
        most = self.max_replicas or self.replicas
        if most < self.replicas:
            raise OptionError(
                f"there are at least {self.replicas} servers and at most {most}", "Give a larger number last."
            )
        if most == self.replicas:
            return {"name": SESSIONS, "num_replicas": self.replicas}
        autoscaling = {
            "min_replicas": self.replicas,
            "max_replicas": most,
            "upscale_delay_s": self.upscale_delay_s,
            "downscale_delay_s": self.downscale_delay_s,
            "policy": {"policy_function": POLICY, "policy_kwargs": {"target": self.target}},
        }
        return {"name": SESSIONS, "autoscaling_config": autoscaling}


def serve_config(options: ClusterOptions, scale: Scale) -> dict[str, Any]:
    """What a Serve config file says of the cluster."""
    application = {
        "name": options.name,
        "route_prefix": None,
        "import_path": APPLICATION,
        "args": options.model_dump(exclude_defaults=True),
        "deployments": [scale.of_sessions()],
    }
    return {"proxy_location": "Disabled", "applications": [application]}
