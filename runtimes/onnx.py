"""ONNX Runtime: one session a function, state as inputs ``past_state.*`` and outputs ``present_state.*``."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnxruntime

from ..bundles import Bundle, ModelSpec, past_name, present_name
from ..errors import BundleError, RuntimeUnavailableError, StepError
from .host_store import HostStateStore
from .protocol import Arrays, State, check_finite, check_inputs, check_open, check_state


class OnnxRuntime:
    """A bundle's ``<function>.onnx`` files on ONNX Runtime's CPU provider.

    Args:
        bundle: a checked bundle that holds one ONNX file a function.
        threads: threads of one call; 1 when several calls run side by side.
    """

    name = "onnx"
    device = "cpu"

    def __init__(self, bundle: Bundle, *, device: str = "cpu", threads: int = 1) -> None:
        if device != "cpu":
            raise RuntimeUnavailableError(
                f"the onnx runtime has no device {device!r} here", "use --device cpu, or --runtime eager"
            )
        self.spec: ModelSpec = bundle.spec
        self._sessions = {
            function: open_session(bundle, f"{function}.onnx", threads) for function in self.spec.functions
        }
        for function, session in self._sessions.items():
            check_signature(self.spec, function, session)

    def allocate(self, capacity: int) -> HostStateStore:
        """See ``Runtime.allocate``."""
        return HostStateStore(self.spec, capacity)

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """See ``Runtime.call``. Raises DataError, StateError or StepError."""
        check_open(self.name, self._sessions)
        spec = self.spec.function(function)
        batch = check_inputs(function, spec, inputs)
        check_state(function, self.spec, spec, state, batch)
        feeds: dict[str, Any] = dict(inputs)
        for key in spec.reads_state:
            feeds[past_name(key)] = (state or {})[key]
        wanted = [tensor.name for tensor in spec.outputs] + [present_name(key) for key in spec.writes_state]
        try:
            results = self._sessions[function].run(wanted, feeds)
        except Exception as error:  # ONNX Runtime raises a different class for each of its status codes
            raise StepError(
                f"ONNX Runtime failed in {function} ({first_line(error)})", "the state is unchanged"
            ) from error
        arrays = [np.asarray(result) for result in results]
        outputs = dict(zip((tensor.name for tensor in spec.outputs), arrays, strict=False))
        written = dict(zip(spec.writes_state, arrays[len(spec.outputs) :], strict=True))
        check_finite(function, outputs)
        check_finite(function, written)
        return outputs, written

    def close(self) -> None:
        """See ``Runtime.close``."""
        self._sessions = {}


def open_session(bundle: Bundle, file: str, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU. Raises RuntimeUnavailableError or BundleError when the graph cannot be loaded."""
    path = bundle.file(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except Exception as error:
        raise translate_load_error(file, error) from error


def translate_load_error(file: str, error: Exception) -> BundleError | RuntimeUnavailableError:
    """ONNX Runtime's words for a graph that it cannot load, as one of ours."""
    text = first_line(error)
    version = onnxruntime.__version__
    if re.search(r"(No Op registered|not a registered function/op|No opset import|is not supported)", text):
        return RuntimeUnavailableError(
            f"{file} uses an operator that ONNX Runtime {version} does not have ({text})",
            "update it (pip install -U onnxruntime; 1.26 or newer), or export with --ops portable",
        )
    if "opset" in text:
        return RuntimeUnavailableError(
            f"{file} declares an opset that ONNX Runtime {version} does not know ({text})",
            "update ONNX Runtime, or export the model again with this version",
        )
    return BundleError(f"{file} cannot be loaded ({text})", "export the model again")


def check_signature(spec: ModelSpec, function: str, session: onnxruntime.InferenceSession) -> None:
    """Raises BundleError unless the graph's names are those of the spec.

    State is paired by name, never by place.
    """
    described = spec.function(function)
    inputs = {tensor.name for tensor in described.inputs} | {past_name(key) for key in described.reads_state}
    outputs = {tensor.name for tensor in described.outputs} | {
        present_name(key) for key in described.writes_state
    }
    for label, expected, found in (
        ("inputs", inputs, {value.name for value in session.get_inputs()}),
        ("outputs", outputs, {value.name for value in session.get_outputs()}),
    ):
        if expected != found:
            odd = ", ".join(sorted(expected ^ found))
            raise BundleError(
                f"{label} of {function}.onnx differ from the manifest in {odd}", "export the model again"
            )


def first_line(error: Exception) -> str:
    """The first line of a vendor's message, or the exception's name where it has none."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
