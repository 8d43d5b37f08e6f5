"""Stand-ins for pycuda and TensorRT whose device is the host: an address is an address, a plan is ONNX."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from framestate.bundles import Bundle, write_bundle
from framestate.export.tensorrt_graph import prepare_graph
from framestate.runtimes import tensorrt as on_tensorrt
from framestate.runtimes.tensorrt_device import CudaMemory
from framestate.runtimes.tensorrt_plan import FrameRange, PlanKey, plan_name


class HostCuda:
    """``pycuda.driver`` over host memory; everything is done at once."""

    def __init__(self) -> None:
        self.depth = 0

    def init(self) -> None: ...

    def Device(self, number: int) -> Any:
        context = SimpleNamespace(push=lambda: self.step(1), pop=lambda: self.step(-1))
        return SimpleNamespace(name=lambda: "Host", retain_primary_context=lambda: context)

    def step(self, by: int) -> None:
        self.depth += by

    def Stream(self) -> Any:
        return SimpleNamespace(handle=1, synchronize=lambda: None)

    def pagelocked_empty(self, shape: Sequence[int], dtype: Any) -> Any:
        return np.full(shape, 77, dtype)

    def memcpy_htod_async(self, dest: int, src: Any, stream: Any) -> None:
        assert self.depth, "a context has to be current"
        ctypes.memmove(dest, src.ctypes.data, src.nbytes)

    def memcpy_dtoh_async(self, dest: Any, src: int, stream: Any) -> None:
        ctypes.memmove(dest.ctypes.data, src, dest.nbytes)

    def memcpy_dtod_async(self, dest: int, src: int, size: int, stream: Any) -> None:
        ctypes.memmove(dest, src, size)

    def memset_d8_async(self, dest: int, data: int, count: int, stream: Any) -> None:
        ctypes.memset(dest, data, count)


class HostPool:
    """``pycuda.tools.DeviceMemoryPool``: what it gives is filled with NaN, not zeros."""

    def allocate(self, size: int) -> Any:
        class Memory:
            array = np.full(size, 255, np.uint8)

            def __int__(self) -> int:
                return int(self.array.ctypes.data)

        return Memory()


class HostEngine:
    """An engine, and its own context, that runs a graph of ONNX on the addresses it is given."""

    def __init__(self, graph: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.values = {one.name: one for one in (*self.session.get_inputs(), *self.session.get_outputs())}
        self.num_io_tensors = len(self.values)
        self.get_tensor_name: Callable[[int], str] = list(self.values).__getitem__
        self.places: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.ran: list[int] = []
        self.profiles: list[int] = []

    def get_tensor_shape(self, name: str) -> list[int]:
        return [dim if isinstance(dim, int) else -1 for dim in self.values[name].shape]

    def create_execution_context(self) -> HostEngine:
        other = copy.copy(self)
        other.shapes, other.places = {}, {}
        return other

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        self.profiles.append(profile)
        return True

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        self.shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.places[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        feeds = {}
        for one in self.session.get_inputs():
            kind = np.int64 if one.type == "tensor(int64)" else np.float32
            array = np.empty(self.shapes[one.name], kind)
            ctypes.memmove(array.ctypes.data, self.places[one.name], array.nbytes)
            feeds[one.name] = array
        self.ran.append(len(next(iter(feeds.values()))))
        names = [one.name for one in self.session.get_outputs()]
        for name, found in zip(names, self.session.run(names, feeds), strict=True):
            ctypes.memmove(self.places[name], np.ascontiguousarray(found).ctypes.data, found.nbytes)
        return True


def stand_in(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """TensorRT, pycuda and CUDA graphs as stand-ins on the host; ``engines`` are those that were opened."""
    engines: list[HostEngine] = []

    def read(plan: bytes) -> HostEngine | None:
        if not plan:
            return None
        engines.append(HostEngine(plan))
        return engines[-1]

    trt = SimpleNamespace(
        __version__="11.4.0",
        QuickPluginCreationRequest=None,
        Logger=type("Logger", (), {"WARNING": 1, "__init__": lambda self, level: None}),
        Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=read),
    )
    monkeypatch.setattr(on_tensorrt, "open_vendor", lambda: (trt, CudaMemory(HostCuda(), HostPool)))
    again = SimpleNamespace(record=lambda stream, work: work)
    monkeypatch.setattr(on_tensorrt, "open_graphs", lambda: again)
    return SimpleNamespace(trt=trt, engines=engines)


def plan_bundle(source: Bundle, folder: Path, frames: tuple[FrameRange, ...] = (), **changes: Any) -> Bundle:
    """A bundle whose plans are its graphs, whole and with the check of the state, for the stand-in "Host"."""
    folder.mkdir()
    files: dict[str, Path | bytes] = {"weights.safetensors": source.file("weights.safetensors")}
    for name, function in source.spec.functions.items():
        graph = folder / f"{name}.onnx"
        onnx.save(onnx.load(source.file(graph.name)), graph)
        prepare_graph(graph, source.spec, function)
        files[plan_name(name)] = graph.read_bytes()
    key = PlanKey(source.hash, "p", "fp32", 1, 2, 4, "11.4.0", "Host", frames)
    told = {"tensorrt": {"key": {**key.to_json(), **changes}}}
    return write_bundle(folder / "bundle", source.spec, files, provenance={}, metrics={}, parity=told)
