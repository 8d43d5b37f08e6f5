"""What is used of TensorRT's and pycuda's interfaces, with types, which neither package has.

The names are those of the documented Python interfaces (TensorRT 10.3 to 11, pycuda 2024.1 and newer); tests
compare them with NVIDIA's bindings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Context(Protocol):
    """``tensorrt.IExecutionContext``."""

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        """Fixes the open dimensions of an input."""

    def set_device_memory(self, memory: int, size: int) -> None:
        """Where it computes, if it has no memory of its own."""

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        """Which of the engine's profiles it works in; queued on a stream."""

    def set_tensor_address(self, name: str, address: int) -> bool:
        """Where an input or output lies on the device."""

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Queues a run on a stream."""


class Engine(Protocol):
    """``tensorrt.ICudaEngine``."""

    num_io_tensors: int
    device_memory_size_v2: int

    def get_tensor_name(self, index: int) -> str:
        """The name of an input or output."""

    def get_tensor_shape(self, name: str) -> Sequence[int]:
        """Its shape, -1 for what is open."""

    def create_execution_context(self, strategy: Any) -> Context | None:
        """A way to run it, with memory of its own or without; None where memory is short."""


class PlanReader(Protocol):
    """``tensorrt.Runtime``."""

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None:
        """A plan as an engine; None where it does not fit, with the reason in the log."""


class CudaStream(Protocol):
    """``pycuda.driver.Stream``."""

    handle: int

    def synchronize(self) -> None:
        """Waits until all that was queued is done."""


class CudaEvent(Protocol):
    """``pycuda.driver.Event``."""

    def record(self, stream: CudaStream) -> None:
        """Marks what was queued on a stream by now."""

    def synchronize(self) -> None:
        """Waits until all that was marked is done."""


class CudaContext(Protocol):
    """``pycuda.driver.Context``."""

    def push(self) -> None:
        """Makes it this thread's."""

    def pop(self) -> None:
        """Makes the one before it this thread's again."""


class CudaDevice(Protocol):
    """``pycuda.driver.Device``."""

    def name(self) -> str:
        """What the driver calls it."""

    def retain_primary_context(self) -> CudaContext:
        """The context that TensorRT and everybody else in the process shares."""


class CudaFunction(Protocol):
    """``pycuda.driver.Function``."""

    def prepare(self, arg_types: str) -> None:
        """The types of its arguments, as of Python's ``struct``."""

    def prepared_async_call(
        self, grid: tuple[int, int, int], block: tuple[int, int, int], stream: CudaStream, *args: float
    ) -> None:
        """Queues it on a stream."""


class CudaModule(Protocol):
    """``pycuda.driver.Module``."""

    def get_function(self, name: str) -> CudaFunction:
        """One of its kernels."""


class Cuda(Protocol):
    """The functions of ``pycuda.driver`` that are used."""

    def init(self) -> None:
        """Before anything else."""

    def Device(self, number: int) -> CudaDevice:
        """One of the GPUs."""

    def Stream(self) -> CudaStream:
        """A new queue of work."""

    def Event(self) -> CudaEvent:
        """A new mark in a queue."""

    def module_from_buffer(self, buffer: bytes) -> CudaModule:
        """Kernels in machine code or PTX."""

    def pagelocked_empty(self, shape: Sequence[int], dtype: Any) -> Any:
        """A host array that the device reads and writes by itself."""

    def memcpy_htod_async(self, dest: int, src: Any, stream: CudaStream) -> None:
        """Host to device."""

    def memcpy_dtoh_async(self, dest: Any, src: int, stream: CudaStream) -> None:
        """Device to host."""

    def memcpy_dtod_async(self, dest: int, src: int, size: int, stream: CudaStream) -> None:
        """Within the device."""

    def memset_d8_async(self, dest: int, data: int, count: int, stream: CudaStream) -> None:
        """Fills bytes."""


class MemoryPool(Protocol):
    """``pycuda.tools.DeviceMemoryPool``."""

    def allocate(self, size: int) -> Any:
        """Memory that goes back to the pool with its last reference; ``int()`` of it is its address."""
