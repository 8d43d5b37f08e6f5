"""Which way the plugins are made for the TensorRT that is installed, and the hash of what they compute."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from .forms import FORMS

OPERATORS = tuple(row.operator for row in FORMS if row.tensorrt)
"""The operators with a plugin: each has ``<operator>/tensorrt.py`` with ``RULES`` and ``launch``."""

Way = Literal["quick", "v3"]


def plugin_modules() -> tuple[ModuleType, ...]:
    """The ``tensorrt`` module of every operator that has a plugin."""
    return tuple(importlib.import_module(f".{name}.tensorrt", __package__) for name in OPERATORS)


def plugin_way(trt: Any) -> Way:
    """How this TensorRT takes plugins: with the kernel in the engine ("quick"), or as classes ("v3")."""
    return "quick" if hasattr(trt, "QuickPluginCreationRequest") else "v3"


def register_plugins(trt: Any, capability: Callable[[], int] | None = None) -> Way:
    """Registers every plugin with TensorRT, once a process.

    Args:
        trt: the module ``tensorrt``.
        capability: the GPU's, as 87 or 90; its driver is asked by default, when a kernel is compiled.

    Returns: how they were made.
    """
    way, ask = plugin_way(trt), capability or device_capability
    for plugin in plugin_modules():
        if registered(trt, plugin.RULES.name, plugin.RULES.plugin_id.partition("::")[0]):
            continue
        if way == "quick":
            import tensorrt.plugin as trtp

            from .tensorrt_quick import register_quick

            register_quick(trt, trtp, plugin, ask)
        else:
            from .tensorrt_v3 import register_v3

            register_v3(trt, plugin, ask)
    return way


def registered(trt: Any, name: str, namespace: str) -> bool:
    """Whether TensorRT knows a plugin already."""
    return trt.get_plugin_registry().get_creator(name, "1", namespace) is not None


def device_capability() -> int:
    """The compute capability of the GPU, as 87 for 8.7, by its driver: not every PyTorch knows every GPU.

    Raises RuntimeError where there is none.
    """
    try:
        cuda = importlib.import_module("pycuda.driver")
        cuda.init()
        major, minor = cuda.Device(0).compute_capability()
    except Exception as error:  # pycuda raises classes of its own
        raise RuntimeError(f"the driver names no GPU to compile a plugin's kernel for ({error})") from error
    return int(10 * major + minor)


def plugin_hash() -> str:
    """sha256 (hexadecimal) of the files that decide what the plugins compute."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(f"{path.parent.name}/{path.name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def sources() -> list[Path]:
    """The files that decide what a plugin computes: a plan that was built with others is out of date."""
    here = Path(__file__).parent
    own = [*sorted(here.glob("tensorrt_*.py")), here / "triton_launch.py"]
    return own + [
        here / operator / file for operator in OPERATORS for file in ("tensorrt.py", "triton_kernel.py")
    ]
