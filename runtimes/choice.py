"""Which runtime runs a bundle: by name, or the fastest one that is installed and that the bundle supports."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..bundles import Bundle
from ..errors import FramestateError, OptionError, RuntimeUnavailableError, UnknownRuntimeError
from .protocol import Runtime

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True)
class RuntimeEntry:
    """A runtime's name, its class, the modules it needs, and the command that installs them."""

    name: str
    module: str
    attribute: str
    needs: tuple[str, ...]
    remedy: str

    @property
    def missing(self) -> tuple[str, ...]:
        """The modules it needs that are not installed."""
        return tuple(name for name in self.needs if importlib.util.find_spec(name) is None)

    def supports(self, bundle: Bundle) -> bool:
        """Whether the bundle holds what this runtime reads."""
        return not self.why_unsupported(bundle)

    def why_unsupported(self, bundle: Bundle) -> str:
        """Why this runtime cannot run a bundle, or nothing where it can."""
        kinds = {"onnx": ".onnx", "tensorrt": ".plan"}
        files = [f"{name}{kinds[self.name]}" for name in bundle.spec.functions if self.name in kinds]
        missing = [file for file in files or ["weights.safetensors"] if file not in bundle.files]
        if missing:
            return f"the bundle has no files for runtime {self.name!r} (no {', '.join(missing)})"
        graphs = bundle.parity.get("onnx") if self.name == "onnx" else None
        if isinstance(graphs, Mapping) and graphs.get("dialect") == "plugin":
            return (
                "the bundle's graphs are in the dialect 'plugin', for runtimes that are given its kernels; "
                "ONNX Runtime has none"
            )
        return ""

    def why_not_in(self, precision: str, bundle: Bundle) -> str:
        """Why this runtime cannot run a bundle in a precision, or nothing where it can.

        Graphs and plans have the precision that they were exported in; PyTorch takes it as it comes.
        """
        if self.name == "eager":
            return ""
        found = exported_precision(bundle, self.name)
        if found == precision:
            return ""
        return f"what the bundle has for runtime {self.name!r} is {found}, not {precision}"

    def remedy_for(self, bundle: Bundle) -> str:
        """What makes a bundle that this runtime can run."""
        if self.name == "tensorrt":
            return f"build its plans with 'framestate export {bundle.spec.name} --to tensorrt --out DIR'"
        if self.name == "onnx":
            return f"make its graphs with 'framestate export {bundle.spec.name} --to onnx --ops ort'"
        return "use --runtime onnx, or a bundle with weights, such as 'framestate export' makes"


def runtime_table() -> tuple[RuntimeEntry, ...]:
    """Every runtime, the fastest first: the order in which ``auto`` tries them."""
    return (
        RuntimeEntry(
            "tensorrt",
            "tensorrt",
            "TensorRTRuntime",
            ("tensorrt", "pycuda"),
            "pip install 'framestate[tensorrt]', on a machine with an NVIDIA GPU",
        ),
        RuntimeEntry("onnx", "onnx", "OnnxRuntime", ("onnxruntime",), "pip install onnxruntime"),
        RuntimeEntry("eager", "eager", "EagerRuntime", ("torch",), "pip install framestate[torch]"),
    )


def exported_precision(bundle: Bundle, runtime: str) -> str:
    """What a bundle's files for a runtime compute in, by its manifest; "fp32" where it says nothing."""
    made = bundle.parity.get(runtime)
    found = made.get("precision") if isinstance(made, Mapping) else None
    return found if isinstance(found, str) else "fp32"


def default_threads() -> int:
    """Threads of one call when calls come one at a time: half the cores this process may use, one to four.

    The other half decodes the video. On two cores, one thread tracked at 88 frames/s beside other work, two
    at 62: threads of a call wait for one another.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        cores = os.cpu_count() or 1
    return max(1, min(4, cores // 2))


def open_runtime(
    bundle: Bundle,
    name: str = "auto",
    *,
    device: str = "auto",
    threads: int | None = None,
    precision: str | None = None,
) -> Runtime:
    """Opens a runtime for a bundle. ``precision`` None is what the bundle was exported in, fp32 for eager.

    Raises UnknownRuntimeError for a name that is not in the table, RuntimeUnavailableError when it is not
    installed, has no such device, or the bundle lacks its files or has them in another precision, OptionError
    for a device, a precision or a number of threads that there is not.
    """
    table = runtime_table()
    count = default_threads() if threads is None else threads
    if count < 1 or device not in DEVICES:
        raise OptionError(
            f"device is {device!r} and threads is {count}",
            f"choose {', '.join(DEVICES)}, and 1 thread or more",
        )
    if precision not in (None, *PRECISIONS):
        raise OptionError(f"the precision {precision!r} is unknown", f"choose one of {', '.join(PRECISIONS)}")
    if name == "auto":
        reasons = []
        for entry in table:
            if entry.missing:
                reasons.append(f"{entry.name} is not installed")
            elif why := entry.why_unsupported(bundle) or wrong_precision(entry, bundle, precision):
                reasons.append(why)
            else:
                try:
                    return open_entry(entry, bundle, device, count, precision)
                except (RuntimeUnavailableError, ImportError) as error:
                    reasons.append(f"{entry.name}: {error}")
        raise RuntimeUnavailableError(
            f"no runtime can run {bundle.spec.name!r} ({'; '.join(reasons)})",
            "run 'framestate doctor' for remedies",
        )
    for entry in table:
        if entry.name == name:
            if entry.missing:
                raise RuntimeUnavailableError(
                    f"runtime {name!r} needs {', '.join(entry.missing)}", f"{entry.remedy}"
                )
            if why := entry.why_unsupported(bundle):
                raise RuntimeUnavailableError(
                    f"runtime {name!r} cannot run bundle {bundle.spec.name!r}: {why}",
                    entry.remedy_for(bundle),
                )
            if why := wrong_precision(entry, bundle, precision):
                raise RuntimeUnavailableError(
                    why, f"export with --precision {precision}, or use --runtime eager"
                )
            return open_entry(entry, bundle, device, count, precision)
    raise UnknownRuntimeError(
        f"{name!r} is no runtime", f"choose auto or one of {', '.join(e.name for e in table)}"
    )


def wrong_precision(entry: RuntimeEntry, bundle: Bundle, precision: str | None) -> str:
    """Why a runtime has not the precision that was asked for, or nothing."""
    return "" if precision is None else entry.why_not_in(precision, bundle)


def open_entry(
    entry: RuntimeEntry, bundle: Bundle, device: str, threads: int, precision: str | None = None
) -> Runtime:
    """Imports a runtime and opens it; ``auto`` becomes the device that it is fastest on."""
    module = importlib.import_module(f".{entry.module}", __package__)
    opened: Any = getattr(module, entry.attribute)
    fastest = {"onnx": "cpu", "tensorrt": "cuda"}
    where = fastest.get(entry.name, device) if device == "auto" else device
    if where == "auto":
        import torch

        where = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = {"precision": precision} if entry.name == "eager" and precision is not None else {}
    runtime: Runtime = opened(bundle, device=where, threads=threads, **chosen)
    return runtime


@dataclass(frozen=True)
class RuntimeReport:
    """What ``framestate doctor`` says of a runtime."""

    usable: bool
    version: str
    devices: tuple[str, ...]
    why_not: str
    remedy: str


def inspect_runtimes() -> dict[str, RuntimeReport]:
    """Looks at every runtime without opening a model."""
    reports = {}
    for entry in runtime_table():
        if entry.missing:
            reports[entry.name] = RuntimeReport(
                False, "", (), f"missing {', '.join(entry.missing)}", entry.remedy
            )
            continue
        try:
            module = importlib.import_module(entry.needs[0])
            devices = ["cuda" if entry.name == "tensorrt" else "cpu"]
            if entry.name == "eager" and module.cuda.is_available():
                devices.append("cuda")
            if entry.name == "onnx" and "CUDAExecutionProvider" in module.get_available_providers():
                devices.append("cuda")
            reports[entry.name] = RuntimeReport(True, str(module.__version__), tuple(devices), "", "")
        except (ImportError, OSError, FramestateError) as error:
            reports[entry.name] = RuntimeReport(False, "", (), f"does not import ({error})", entry.remedy)
    return reports
