"""Opening ONNX Runtime sessions: providers, threads, and its words for what it cannot load, as ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime

from ..bundles import BATCH, Bundle, ModelSpec, TensorSpec, past_name, present_name
from ..errors import BundleError, RuntimeUnavailableError

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
SMALL_SIDES = (32, 64, 128, 256)
CUDA_BUILD = "pip uninstall --yes onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]>=1.26'"
"""The build with CUDA in place of the one without: both are one folder, so no extra can ask for it."""


def session_options(threads: int, *, sized: bool = True) -> onnxruntime.SessionOptions:
    """Options of one session: ``threads`` within an operator, operators one by one, warnings unsaid.

    Where frames come in any size (not ``sized``) memory is not laid out for each: that would keep more.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = sized
    return options


def providers_for(device: str, *, graphs: bool = False) -> list[Any]:
    """ONNX Runtime's providers for a device. Raises RuntimeUnavailableError when there are none.

    On CUDA, TF32 is off, which would cost three digits of every product, and convolutions are chosen without
    trying them all, which would take seconds for each new batch size. (Not run, see ``onnx_device``.)
    """
    if device == "cpu":
        return [CPU]
    if device != "cuda":
        raise RuntimeUnavailableError(
            f"the onnx runtime has no device {device!r}", "use --device cpu or cuda"
        )
    if CUDA not in onnxruntime.get_available_providers():
        raise RuntimeUnavailableError(
            f"this ONNX Runtime {onnxruntime.__version__} has no device 'cuda'",
            f"{CUDA_BUILD}; or use --device cpu",
        )
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:  # finds CUDA and cuDNN where pip put them
        preload()
    chosen = {"device_id": 0, "use_tf32": 0, "cudnn_conv_algo_search": "HEURISTIC"}
    return [(CUDA, chosen | ({"enable_cuda_graph": 1} if graphs else {})), CPU]


def open_session(
    graph: str | bytes, name: str, device: str, threads: int, *, graphs: bool = False, sized: bool = True
) -> onnxruntime.InferenceSession:
    """A session of a graph in a file or in memory; ``name`` is what errors call it. ``graphs``: runs on CUDA
    are captured as CUDA graphs; for ``sized`` see ``session_options``.

    Raises RuntimeUnavailableError or BundleError when the graph cannot be loaded, or not on that device.
    """
    providers = providers_for(device, graphs=graphs)
    try:
        session = onnxruntime.InferenceSession(graph, session_options(threads, sized=sized), providers)
    except Exception as error:  # ONNX Runtime raises a different class for each of its status codes
        raise translate_load_error(name, error) from error
    if device == "cuda" and session.get_providers()[0] != CUDA:  # it falls back to the CPU without an error
        raise RuntimeUnavailableError(
            f"ONNX Runtime {onnxruntime.__version__} could not start its CUDA provider",
            "install the CUDA and cuDNN that it was built for (its log names what is missing), "
            "or use --device cpu",
        )
    return session


def open_function(
    bundle: Bundle, function: str, device: str, threads: int, *, graphs: bool = False
) -> onnxruntime.InferenceSession:
    """A session of one function, whose graph is as the spec says. Errors as in ``open_session``."""
    file = f"{function}.onnx"
    path, sized = str(bundle.file(file)), bundle.spec.is_sized
    session = open_session(path, file, device, threads, graphs=graphs, sized=sized)
    check_signature(bundle.spec, function, session)
    return session


def shrink(sessions: Mapping[str, onnxruntime.InferenceSession], spec: ModelSpec) -> None:
    """Gives back what the arenas of a model for frames of any size hold: each function is called once on
    zeros, for the smallest frames that it takes, and its arena shrinks at the end of that call."""
    small = next((spec.sized(side, side) for side in SMALL_SIDES if _fits(spec, side)), None)
    if small is None:
        return
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    state = {one.name: one for one in small.state}
    for name, session in sessions.items():
        function = small.function(name)
        tensors = {one.name: one for one in function.inputs}
        tensors |= {past_name(key): state[key] for key in function.reads_state}
        session.run(
            None, {key: np.zeros(one.concrete(1), one.dtype) for key, one in tensors.items()}, options
        )


def _fits(spec: ModelSpec, side: int) -> bool:
    try:
        spec.sized(side, side)
    except BundleError:
        return False
    return True


def translate_load_error(file: str, error: Exception) -> BundleError | RuntimeUnavailableError:
    """ONNX Runtime's words for a graph that it cannot load, as one of ours."""
    text = reason(error)
    runtime = f"ONNX Runtime {onnxruntime.__version__}"
    if re.search(r"(No Op registered|not a registered function/op|Could not find an implementation)", text):
        if "framestate:" in text:
            return RuntimeUnavailableError(
                f"{file} is in the dialect 'plugin', and {runtime} has no kernels for it ({text})",
                "export with --ops ort",
            )
        return RuntimeUnavailableError(
            f"{file} uses an operator that {runtime} does not have ({text})",
            "update it (pip install -U 'onnxruntime>=1.26'), or export with --ops portable",
        )
    limit = re.search(r"Opset (\d+) .* domain (\S+) is till opset (\d+)", text)
    if limit is not None:
        text = f"opset {limit[1]} of {limit[2]}, which it knows up to {limit[3]}"
    if limit is not None or re.search(r"(IR version|opset version)", text):
        return RuntimeUnavailableError(
            f"{file} is of a newer ONNX than {runtime} knows ({text})",
            "update it (pip install -U onnxruntime), or export the model again with this version",
        )
    return BundleError(
        f"{file} cannot be loaded ({text})", "get an undamaged copy, or export the model again"
    )


def reason(error: Exception) -> str:
    """What a vendor's message says, on one line, without its codes and places in C++."""
    text = " ".join(str(error).split())
    text = re.sub(r"^.*?\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Load model from .*? failed: ?", "", text)
    text = re.sub(r"/\S+:\d+ .*\) (?=[A-Z])", "", text)
    text = re.sub(r"^(Fatal error:|This is an invalid model\.( Error:)?) ", "", text)
    return text.rstrip(". ") or type(error).__name__


def check_signature(spec: ModelSpec, function: str, session: onnxruntime.InferenceSession) -> None:
    """Raises BundleError unless names, dtypes and shapes of the graph are those of the spec.

    State is paired by name, never by place. Two states of one shape that a graph takes for one another look
    right from outside; the proof of ``framestate export`` is what finds them.
    """
    described = spec.function(function)
    states = {tensor.name: tensor for tensor in spec.state}
    inputs = {tensor.name: tensor for tensor in described.inputs}
    outputs = {tensor.name: tensor for tensor in described.outputs}
    inputs |= {past_name(key): states[key] for key in described.reads_state}
    outputs |= {present_name(key): states[key] for key in described.writes_state}
    for label, expected, values in (
        ("inputs", inputs, session.get_inputs()),
        ("outputs", outputs, session.get_outputs()),
    ):
        found = {value.name: value for value in values}
        if set(expected) != set(found):
            odd = ", ".join(sorted(set(expected) ^ set(found)))
            raise BundleError(
                f"{label} of {function}.onnx differ from the manifest in {odd}", "export the model again"
            )
        for name, tensor in expected.items():
            check_value(function, name, tensor, found[name])


def check_value(function: str, name: str, tensor: TensorSpec, value: Any) -> None:
    """Raises BundleError unless a graph's value is of the tensor's dtype and shape."""
    kind = {"tensor(float)": "float32", "tensor(double)": "float64"}.get(value.type, value.type[7:-1])
    dims = list(value.shape)
    fits = len(dims) == len(tensor.shape) and all(  # a graph may be for one row alone
        not isinstance(found, int) or found == wanted or (found, wanted) == (1, BATCH)
        for found, wanted in zip(dims, tensor.shape, strict=True)
    )
    if kind != tensor.dtype or not fits:
        raise BundleError(
            f"{name} of {function}.onnx is {kind} {tuple(dims)}; "
            f"the manifest says {tensor.dtype} {tensor.shape}",
            "the graph belongs to another model or its states are swapped; export the model again",
        )
