"""``framestate doctor --fix``: the one command that this machine needs most, if it needs any."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

OPENCVS = (
    "opencv-contrib-python-headless",
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
)
"""All of them are the folder ``cv2``: ours first, then those that other packages bring."""
ONNX_RUNTIME = "onnxruntime>=1.26"
ONNX_RUNTIME_CUDA = "onnxruntime-gpu[cuda,cudnn]>=1.26"


@dataclass(frozen=True)
class Fix:
    """What is not as it could be, and the command that mends it."""

    why: str
    command: str


Check = Callable[[Mapping[str, Any], Path], Fix | None]


def find_fix(report: Mapping[str, Any], root: Path = Path("/")) -> Fix | None:
    """The first that applies, the most harmful fault first; None where nothing has to be done.

    Args:
        report: what ``framestate doctor --json`` prints.
        root: where the files of the system are.
    """
    checks: tuple[Check, ...] = (_two_opencvs, _no_runtime, _jetson_without_plans, _gpu_unused)
    return next((fix for check in checks if (fix := check(report, root)) is not None), None)


def installer() -> tuple[str, str]:
    """The commands that install into, and remove from, the environment of this process."""
    python = shlex.quote(sys.executable)
    # Not `importlib.util.find_spec`: setuptools takes a look for pip as its cue to unload distutils.
    if PathFinder.find_spec("pip") is None and shutil.which("uv") is not None:
        return f"uv pip install --python {python}", f"uv pip uninstall --python {python}"
    return f"{python} -m pip install", f"{python} -m pip uninstall --yes"


def _two_opencvs(report: Mapping[str, Any], root: Path) -> Fix | None:
    ours, *rest = OPENCVS
    others = [name for name in rest if name in report["packages"]]
    if not others or ours not in report["packages"]:
        return None
    install, remove = installer()
    force = "--reinstall" if install.startswith("uv") else "--force-reinstall"
    return Fix(
        f"{' and '.join((ours, *others))} write to the same folder, and the one that came last has it",
        f"{remove} {' '.join(others)} && {install} {force} --no-deps {ours}",
    )


def _no_runtime(report: Mapping[str, Any], root: Path) -> Fix | None:
    if any(runtime["usable"] for runtime in report["runtimes"].values()):
        return None
    why = report["runtimes"].get("onnx", {}).get("why_not") or "no runtime is installed"
    return Fix(f"no model can run ({why})", f"{installer()[0]} --upgrade {shlex.quote(ONNX_RUNTIME)}")


def _jetson_without_plans(report: Mapping[str, Any], root: Path) -> Fix | None:
    if not (root / "etc/nv_tegra_release").is_file() or report["runtimes"]["tensorrt"]["usable"]:
        return None
    return Fix(
        "this is a Jetson, and TensorRT cannot be used; the script is in a clone of the repository "
        "(it was not run on a Jetson: see docs/jetson.md)",
        "deploy/jetson/install.sh",
    )


def _gpu_unused(report: Mapping[str, Any], root: Path) -> Fix | None:
    devices = {device for runtime in report["runtimes"].values() for device in runtime["devices"]}
    if not (root / "proc/driver/nvidia/version").is_file() or "cuda" in devices:
        return None
    install, remove = installer()
    return Fix(
        "there is an NVIDIA GPU, and no runtime uses it (the command was not run: see docs/gpu.md)",
        f"{remove} onnxruntime && {install} {shlex.quote(ONNX_RUNTIME_CUDA)}",
    )
