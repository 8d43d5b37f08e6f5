"""Which optional kernels and trackers this machine can use, and why not the others."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass

ORT_OPERATORS = ("LinearAttention", "CausalConvWithState")
OPTIONAL_MODULES = {"triton": "triton", "mamba_ssm": "mamba-ssm", "causal_conv1d": "causal-conv1d"}


@dataclass(frozen=True)
class Kernel:
    """What ``framestate doctor`` says of one; ``why_not`` and ``remedy`` are empty for a usable one."""

    usable: bool
    why_not: str = ""
    remedy: str = ""


def inspect_kernels() -> dict[str, Kernel]:
    """The operators that exported models use, and the modules that make PyTorch faster."""
    found = {f"onnxruntime.{name}": _ort_operator(name) for name in ORT_OPERATORS}
    return {**found, **{name: _module(name, package) for name, package in OPTIONAL_MODULES.items()}}


def inspect_peers() -> dict[str, Kernel]:
    """The trackers of OpenCV that ``framestate eval tracking --against`` can run."""
    from ..bench.peers import PEERS, open_peer
    from ..errors import FramestateError, OptionError

    found = {}
    for name in PEERS:
        try:
            open_peer(name)
            found[name] = Kernel(True)
        except OptionError:
            option = "--nano-backbone and --nano-head" if name == "nano" else f"--{name}-net"
            found[name] = Kernel(
                False, "needs ONNX files, which do not come with Framestate", f"name them with {option}"
            )
        except FramestateError as error:
            found[name] = Kernel(False, error.problem, error.remedy)
    return found


def _ort_operator(name: str) -> Kernel:
    update = "pip install -U 'onnxruntime>=1.26'"
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except (ImportError, OSError) as error:
        return Kernel(False, f"onnxruntime does not import ({error})", update)
    version = str(onnxruntime.__version__)
    if hasattr(state, "get_all_opkernel_def"):
        kernels = state.get_all_opkernel_def()
        usable = any(kernel.domain == "com.microsoft" and kernel.op_name == name for kernel in kernels)
    else:  # such a build does not list its operators
        usable = tuple(int(part) for part in version.split(".")[:2]) >= (1, 26)
    return Kernel(True) if usable else Kernel(False, f"ONNX Runtime {version} does not have it", update)


def _module(name: str, package: str) -> Kernel:
    remedy = "pip install 'framestate[cuda]'"
    if name != "triton":  # its build asks for the PyTorch that is there, which an isolated one does not see
        remedy = f"pip install --no-build-isolation {package}, beside PyTorch and nvcc; nothing needs it"
    if importlib.util.find_spec(name) is None:
        return Kernel(False, f"{package} is not installed", remedy)
    try:
        importlib.import_module(name)
    except Exception as error:  # such modules fail in many ways where there is no GPU or no compiler
        return Kernel(False, f"{name} does not import ({type(error).__name__}: {error})", remedy)
    return Kernel(True) if _has_cuda() else Kernel(False, "needs a CUDA device, and PyTorch finds none", "")


def _has_cuda() -> bool:
    try:
        import torch
    except (ImportError, OSError):
        return False
    return bool(torch.cuda.is_available())
