"""A Ray of one's own on this machine, for as long as it is needed"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from ..errors import RunError

OBJECT_STORE = 200_000_000
"""Bytes: no frame goes through it."""


@contextmanager
def started_ray(servers: int, cpus: float) -> Iterator[None]:
    """A Ray of its own on this machine, ended afterwards. Its CPUs are counted for so many servers."""
    try:
        ray.init(
            address="local",
            num_cpus=math.ceil(servers * cpus) + 2,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            namespace="framestate",
            logging_level=logging.WARNING,
            log_to_driver=False,
        )
    except Exception as error:  # Ray raises a bare one
        raise RunError(f"Ray did not start ({error})", "Look at its logs in /tmp/ray.") from error
    try:
        yield
    finally:
        ray.shutdown()
