"""The tasks that come with the engine: one row each, by the ``task`` of a model's manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..bundles import ModelSpec
from ..errors import BundleError
from ..runtimes import Runtime
from .classification import Classifying
from .interpolation import Interpolating
from .stream import Streaming
from .task import Task
from .tracking import Tracking

TASKS: Mapping[str, Callable[..., Task[Any, Any]]] = MappingProxyType(
    {one.name: one for one in (Tracking, Interpolating, Classifying, Streaming)}
)
"""What makes a task, from a runtime and the options of all its sessions (None: the model's own)."""


def task_of(runtime: Runtime, options: Any = None) -> Task[Any, Any]:
    """The task of a model. Raises BundleError where there is none, or the model is not made for it."""
    return TASKS[known(runtime.spec)](runtime, options)


def known(spec: ModelSpec) -> str:
    """The task of a model, if it is known here. Raises BundleError."""
    if spec.task not in TASKS:
        raise BundleError(
            f"model {spec.name!r} is for {spec.task!r}, a task that is not known here",
            f"known: {', '.join(TASKS)}; hand over a task of your own: Engine(runtime, task=...)",
        )
    return spec.task
