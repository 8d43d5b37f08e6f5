"""Stand-ins for pycuda and TensorRT whose device is the host: an address is an address, a plan is ONNX."""

from __future__ import annotations

import copy
import ctypes
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from framestate.bundles import Bundle, write_bundle
from framestate.export.tensorrt_graph import prepare_graph
from framestate.runtimes import tensorrt as on_tensorrt
from framestate.runtimes.cuda_graphs import CaptureError
from framestate.runtimes.device_crops import PIECE
from framestate.runtimes.tensorrt_device import CudaMemory
from framestate.runtimes.tensorrt_plan import FrameRange, PlanKey, plan_name


class HostCuda:
    """``pycuda.driver`` over host memory; everything is done at once, and counted.

    Args:
        kernel: whether the driver takes the kernel that moves rows.
    """

    def __init__(self, kernel: bool = True) -> None:
        self.depth, self._kernel = 0, kernel
        self.done: Counter[str] = Counter()
        self.on_wait: Callable[[], Any] = lambda: None
        """Called while a call waits for what it has queued."""
        self.sent = self.fetched = 0
        """Bytes that went to the device, and that came back."""

    def init(self) -> None: ...

    def Device(self, number: int) -> Any:
        context = SimpleNamespace(push=lambda: self.step(1), pop=lambda: self.step(-1))
        return SimpleNamespace(
            name=lambda: "Host", retain_primary_context=lambda: context, compute_capability=lambda: (8, 7)
        )

    def step(self, by: int) -> None:
        self.depth += by

    def Stream(self) -> Any:
        return SimpleNamespace(handle=1, synchronize=lambda: self.done.update(["wait"]))

    def Event(self) -> Any:
        def synchronize() -> None:
            assert self.depth, "a context has to be current"
            self.done["wait"] += 1
            self.on_wait()

        return SimpleNamespace(record=lambda stream: None, synchronize=synchronize)

    def module_from_buffer(self, buffer: bytes) -> Any:
        if not self._kernel:
            raise OSError("the PTX is too new")

        def get_function(name: str) -> Any:
            assert f".visible .entry {name}(".encode() in buffer
            return {"move_rows": HostKernel, "crop_rows": HostCrops, "mix_rows": HostMix}[name](self)

        return SimpleNamespace(get_function=get_function)

    def pagelocked_empty(self, shape: Sequence[int], dtype: Any) -> Any:
        assert self.depth, "a context has to be current"
        return np.full(shape, 77, dtype)

    def memcpy_htod_async(self, dest: int, src: Any, stream: Any) -> None:
        assert self.depth, "a context has to be current"
        self.done["upload"] += 1
        self.sent += src.nbytes
        ctypes.memmove(dest, src.ctypes.data, src.nbytes)

    def memcpy_dtoh_async(self, dest: Any, src: int, stream: Any) -> None:
        self.done["download"] += 1
        self.fetched += dest.nbytes
        ctypes.memmove(dest.ctypes.data, src, dest.nbytes)

    def memcpy_dtod_async(self, dest: int, src: int, size: int, stream: Any) -> None:
        self.done["copy"] += 1
        ctypes.memmove(dest, src, size)

    def memset_d8_async(self, dest: int, data: int, count: int, stream: Any) -> None:
        self.done["clear"] += 1
        ctypes.memset(dest, data, count)


class HostKernel:
    """The kernel that moves rows, as its arguments say; ``test_move_rows`` compares it with the source."""

    def __init__(self, cuda: HostCuda) -> None:
        self._cuda = cuda

    def prepare(self, arg_types: str) -> None:
        assert arg_types == "PPI"

    def prepared_async_call(self, grid: Any, block: Any, stream: Any, *args: int) -> None:
        table, places, scatter = args
        assert all(1 <= size <= 65535 for size in grid), grid
        self._cuda.done["kernel"] += 1
        rows = np.ctypeslib.as_array((ctypes.c_int32 * grid[1]).from_address(places))
        numbers = np.ctypeslib.as_array((ctypes.c_uint64 * (3 * grid[2])).from_address(table))
        for pool, batch, size in numbers.reshape(-1, 3).tolist():
            for place, row in enumerate(rows.tolist()):
                inside, outside = pool + row * size, batch + place * size
                if row >= 0:
                    ctypes.memmove(*((inside, outside) if scatter else (outside, inside)), size)
                elif not scatter:
                    ctypes.memset(outside, 0, size)


class HostCrops:
    """The kernel that makes crops, by OpenCV; ``test_crop_rows`` compares it with the source."""

    def __init__(self, cuda: HostCuda) -> None:
        self._cuda = cuda

    def prepare(self, arg_types: str) -> None:
        assert arg_types == "PPI"

    def prepared_async_call(self, grid: Any, block: Any, stream: Any, *args: int) -> None:
        table, out, size = args
        assert grid[0] * block[0] >= size**2
        self._cuda.done["crop"] += 1
        pieces = np.frombuffer((ctypes.c_uint8 * (PIECE.itemsize * grid[1])).from_address(table), PIECE)
        results = np.ctypeslib.as_array((ctypes.c_float * (grid[1] * 3 * size**2)).from_address(out))
        for piece, result in zip(pieces, results.reshape(grid[1], 3, size, size), strict=True):
            if piece["side"] == 0:
                result[...] = 0
            elif piece["side"] > 0:
                result[...] = made(piece, size)


class HostMix:
    """The kernel that blends rows; ``test_mix_rows`` compares it with the source."""

    def __init__(self, cuda: HostCuda) -> None:
        self._cuda = cuda

    def prepare(self, arg_types: str) -> None:
        assert arg_types == "Pff"

    def prepared_async_call(self, grid: Any, block: Any, stream: Any, *args: Any) -> None:
        table, keep, share = args
        assert all(1 <= size <= 65535 for size in grid), grid
        self._cuda.done["mix"] += 1
        rows = np.ctypeslib.as_array((ctypes.c_uint64 * (4 * grid[1])).from_address(table))
        for *places, count in rows.reshape(-1, 4).tolist():
            first, fresh, mixed = (
                np.ctypeslib.as_array((ctypes.c_float * count).from_address(place)) for place in places
            )
            mixed[...] = np.float32(keep) * first + np.float32(share) * fresh


def made(piece: Any, size: int) -> np.ndarray:
    """One crop, as the kernel is told of it."""
    height, width, dense = int(piece["height"]), int(piece["width"]), int(piece["dense"])
    pixels = (ctypes.c_uint8 * (height * width * 3)).from_address(int(piece["pixels"]))
    square = np.zeros((piece["side"], piece["side"], 3), np.uint8)
    top, left = piece["top"], piece["left"]
    inside = np.ctypeslib.as_array(pixels).reshape(height, width, 3)
    square[top : top + height, left : left + width] = inside
    view = cv2.resize(square, (size * dense, size * dense), interpolation=cv2.INTER_LINEAR)
    if dense > 1:
        view = cv2.resize(view, (size, size), interpolation=cv2.INTER_AREA)
    levels = np.ctypeslib.as_array((ctypes.c_float * 768).from_address(int(piece["levels"])))
    return np.stack([levels.reshape(3, 256)[colour][view[..., colour]] for colour in range(3)])


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
        self.contexts: list[HostEngine] = []
        self.device_memory_size_v2 = 1000

    def get_tensor_shape(self, name: str) -> list[int]:
        return [dim if isinstance(dim, int) else -1 for dim in self.values[name].shape]

    def create_execution_context(self, strategy: str) -> HostEngine:
        assert strategy == "USER_MANAGED"
        other = copy.copy(self)
        other.shapes, other.places = {}, {}
        self.contexts.append(other)
        return other

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size >= self.device_memory_size_v2
        self.scratch = memory

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
            kinds: dict[str, Any] = {"tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
            array = np.empty(self.shapes[one.name], kinds.get(one.type, np.float32))
            ctypes.memmove(array.ctypes.data, self.places[one.name], array.nbytes)
            feeds[one.name] = array
        self.ran.append(len(next(iter(feeds.values()))))
        names = [one.name for one in self.session.get_outputs()]
        for name, found in zip(names, self.session.run(names, feeds), strict=True):
            ctypes.memmove(self.places[name], np.ascontiguousarray(found).ctypes.data, found.nbytes)
        return True


class HostGraph:
    """Recorded work that is done again at each call."""

    def __init__(self, cuda: HostCuda, work: Callable[[], None]) -> None:
        self._cuda, self._work, self.closed = cuda, work, 0

    def __call__(self) -> None:
        assert not self.closed
        self._cuda.done["graph"] += 1
        self._work()

    def close(self) -> None:
        assert self._cuda.depth, "a context has to be current"
        self.closed += 1


def stand_in(monkeypatch: pytest.MonkeyPatch, kernel: bool = True) -> SimpleNamespace:
    """TensorRT, pycuda and CUDA graphs as stand-ins on the host.

    ``engines`` are those that were opened, ``graphs`` those that were recorded; ``refuse`` is why none is.
    """
    engines: list[HostEngine] = []
    cuda = HostCuda(kernel)
    told = SimpleNamespace(engines=engines, cuda=cuda, graphs=[], refuse="")

    def read(plan: bytes) -> HostEngine | None:
        if not plan:
            return None
        engines.append(HostEngine(plan))
        return engines[-1]

    trt = SimpleNamespace(
        __version__="11.4.0",
        QuickPluginCreationRequest=None,
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="USER_MANAGED"),
        Logger=type("Logger", (), {"WARNING": 1, "__init__": lambda self, level: None}),
        Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=read),
    )
    monkeypatch.setattr(on_tensorrt, "open_vendor", lambda: (trt, CudaMemory(cuda, HostPool)))

    def record(stream: int, work: Callable[[], None]) -> HostGraph:
        if told.refuse:
            raise CaptureError(told.refuse)
        told.graphs.append(HostGraph(cuda, work))
        return told.graphs[-1]  # type: ignore[no-any-return]

    monkeypatch.setattr(on_tensorrt, "open_graphs", lambda: SimpleNamespace(record=record))
    told.trt = trt
    return told


def plan_bundle(
    source: Bundle, folder: Path, frames: tuple[FrameRange, ...] = (), largest: int = 4, **changes: Any
) -> Bundle:
    """A bundle whose plans are its graphs, whole and with the check of the state, for the stand-in "Host"."""
    folder.mkdir()
    weights = [name for name in source.files if name == "weights.safetensors"]
    files: dict[str, Path | bytes] = {name: source.file(name) for name in weights}
    for name, function in source.spec.functions.items():
        graph = folder / f"{name}.onnx"
        onnx.save(onnx.load(source.file(graph.name)), graph)
        prepare_graph(graph, source.spec, function)
        files[plan_name(name)] = graph.read_bytes()
    key = PlanKey(source.hash, "p", "fp32", 1, 2, largest, "11.4.0", "Host", frames)
    told = {"tensorrt": {"key": {**key.to_json(), **changes}}}
    return write_bundle(folder / "bundle", source.spec, files, provenance={}, metrics={}, parity=told)
