"""Calls of ONNX Runtime as CUDA graphs: a fixed binding for each function and padded batch size.

As ONNX Runtime documents it: the provider is opened with ``enable_cuda_graph``, every shape that is run has a
``gpu_graph_id`` of its own, and inputs and outputs stay where they are from run to run. So what goes in is
copied into fixed memory, and the next state out of it. Graphs with ``If``, ``Loop`` or ``Scan``, or with
operators that CUDA lacks, cannot be captured; ONNX Runtime refuses to open them so.

ONNX Runtime keeps a graph for the thread that captured it, and while it captures, no thread may allocate on
the device. So one thread captures and runs all of them, every size when the runtime is opened.

On CUDA this was NOT RUN. The same code runs in the tests with the device "cpu", where every run is a plain
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from ..bundles import FunctionSpec, ModelSpec, TensorSpec, past_name, present_name
from .onnx_device import Copier, DeviceTensor, bind_input
from .protocol import Arrays
from .tensorrt_plan import graph_sizes, padded_size

LARGEST = 64
"""Rows of the largest graph; larger batches run without one."""
GRAPH_ID = "gpu_graph_id"
NO_GRAPH = "-1"


@dataclass(frozen=True, eq=False)
class Bound:
    """One captured shape: its binding, its memory, and the options that name its graph."""

    binding: Any
    options: Any
    inputs: Mapping[str, DeviceTensor]
    past: Mapping[str, DeviceTensor]
    outputs: Mapping[str, DeviceTensor]
    present: Mapping[str, DeviceTensor]


def options_of(graph: int | str) -> Any:
    """Options of a run that captures or replays the graph of that number, or none for ``NO_GRAPH``."""
    options = onnxruntime.RunOptions()
    options.add_run_config_entry(GRAPH_ID, str(graph))
    return options


class GraphedSession:
    """One function's session with a binding a batch size.

    Args:
        session: opened with CUDA graphs enabled.
        described: the function.
        model: whose function it is; its shapes must not depend on the size of the frames.
        copier: moves tensors on the device.
        device: "cpu" or "cuda".
        worker: the one thread that captures and runs.

    Raises whatever ONNX Runtime raises where a size cannot be captured.
    """

    def __init__(
        self,
        session: Any,
        described: FunctionSpec,
        model: ModelSpec,
        copier: Copier,
        device: str,
        worker: Executor,
    ) -> None:
        self._session, self._spec, self._copier, self._device = session, described, copier, device
        self._states = {tensor.name: tensor for tensor in model.state}
        self._sizes, self._worker = graph_sizes(1, LARGEST), worker
        copier.prepare(described.reads_state)
        self._bound = worker.submit(self._capture).result()

    def takes(self, batch: int) -> bool:
        """Whether a batch is not too large for a graph."""
        return batch <= self._sizes[-1]

    def run(
        self, inputs: Arrays, state: Mapping[str, DeviceTensor], batch: int
    ) -> tuple[Arrays, dict[str, DeviceTensor]]:
        """A call over checked inputs: outputs on the host, and the next state in memory of its own."""
        return self._worker.submit(self._run, inputs, state, batch).result()

    def _run(
        self, inputs: Arrays, state: Mapping[str, DeviceTensor], batch: int
    ) -> tuple[Arrays, dict[str, DeviceTensor]]:
        bound = self._bound[padded_size(batch, self._sizes)]
        for name, target in bound.inputs.items():
            padded = np.zeros(target.shape, target.dtype)
            padded[:batch] = inputs[name]
            target.owner.update_inplace(padded)
        if self._spec.reads_state:
            rows = [bound.past[key].rows(0, batch) for key in self._spec.reads_state]
            self._copier.copy([state[key] for key in self._spec.reads_state], rows)
        self._session.run_with_iobinding(bound.binding, bound.options)
        written = {key: self._copier.empty(self._states[key], batch) for key in bound.present}
        if written:
            sources = [source.rows(0, batch) for source in bound.present.values()]
            self._copier.copy(sources, list(written.values()))
        outputs = {name: value.owner.numpy()[:batch].copy() for name, value in bound.outputs.items()}
        return outputs, written

    def _capture(self) -> dict[int, Bound]:
        """Every batch size, run once over zeros: that run captures its graph."""
        found = {}
        for size in reversed(self._sizes):
            found[size] = self._bind(size)
            self._session.run_with_iobinding(found[size].binding, found[size].options)
        return found

    def _bind(self, size: int) -> Bound:
        """Memory and binding for a batch size."""

        def memory(tensors: Mapping[str, TensorSpec]) -> dict[str, DeviceTensor]:
            return {key: self._zeros(tensor, size) for key, tensor in tensors.items()}

        inputs = memory({tensor.name: tensor for tensor in self._spec.inputs})
        past = memory({key: self._states[key] for key in self._spec.reads_state})
        outputs = memory({tensor.name: tensor for tensor in self._spec.outputs})
        present = memory({key: self._states[key] for key in self._spec.writes_state})
        binding = self._session.io_binding()
        for key, tensor in (*inputs.items(), *((past_name(key), one) for key, one in past.items())):
            bind_input(binding, key, tensor, self._device)
        for key, tensor in (*outputs.items(), *((present_name(key), one) for key, one in present.items())):
            binding.bind_output(key, self._device, 0, np.dtype(tensor.dtype), tensor.shape, tensor.address)
        return Bound(binding, options_of(size), inputs, past, outputs, present)

    def _zeros(self, tensor: TensorSpec, size: int) -> DeviceTensor:
        shape = tensor.concrete(size)
        zeros = np.zeros(shape, tensor.dtype)
        value = onnxruntime.OrtValue.ortvalue_from_numpy(zeros, self._device, 0)
        return DeviceTensor(tensor.name, value.data_ptr(), shape, tensor.dtype, value, self._copier)
