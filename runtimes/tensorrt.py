"""TensorRT: one plan a function, state in device memory, a CUDA graph a batch size and size of frames.

NOT RUN on a GPU: it was written to the documented interfaces of TensorRT and pycuda, and is tested over
stand-ins for both, whose device is the host.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from ..bundles import Bundle, ModelSpec, Size
from ..errors import FramestateError, RuntimeUnavailableError, StepError
from .base import HostRuntime, mixed_on_host
from .checker import Checker
from .checks import check_finite, check_open, sized_spec
from .cuda_graphs import CudaGraphs
from .device_crops import Pending, joined, pending
from .protocol import Arrays, State, StateStore
from .tensorrt_bound import Recorder, Scratch
from .tensorrt_device import CudaMemory
from .tensorrt_function import PlanFunction
from .tensorrt_given import crops_on_host
from .tensorrt_plan import PlanKey, graph_sizes, plan_key, plan_name
from .tensorrt_rows import DeviceRows, PoolRows
from .tensorrt_surface import Engine, PlanReader

INSTALL = "pip install 'framestate[tensorrt]', on a machine with an NVIDIA GPU and its driver"


class TensorRTRuntime(HostRuntime):
    """A bundle's ``<function>.plan`` files on TensorRT.

    Args:
        bundle: a checked bundle that holds a plan a function; see ``framestate export --to tensorrt``.
        device: "cuda".
        threads: of no use here; TensorRT runs on the GPU.

    Raises:
        BundleError: the plans are not what the manifest says.
        RuntimeUnavailableError: no TensorRT, pycuda or GPU is here, or other ones than the plans were built
            with.
    """

    name = "tensorrt"
    pads_batches = True

    def __init__(self, bundle: Bundle, *, device: str = "cuda", threads: int = 1) -> None:
        if device != "cuda":
            raise RuntimeUnavailableError(f"TensorRT has no device {device!r}", "use --device cuda")
        self.spec: ModelSpec = bundle.spec
        self.device = device
        self._key = key = plan_key(bundle)
        self.precision = key.precision
        self._check = Checker(self.spec)
        trt, self._memory = open_vendor()
        check_here(bundle, key, str(trt.__version__), self._memory.gpu)
        self.crops = pending if self._memory.makes_crops else None
        graphs = open_graphs()
        sizes = graph_sizes(key.smallest, key.largest)
        with self._memory.current():
            self._reader = open_reader(trt)
            engines = {function: self._engine(bundle, function) for function in self.spec.functions}
            strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
            scratch = Scratch(self._memory, list(engines.values()), strategy)
            self._functions = {
                function: PlanFunction(
                    function, self.spec.function(function), self.spec, key, engine, self._memory, graphs,
                    scratch, sizes,
                )
                for function, engine in engines.items()
            }  # fmt: skip

    @property
    def notes(self) -> tuple[str, ...]:
        """See ``Runtime.notes``."""
        return self._memory.notes + sum((one.refused for one in self._functions.values()), ())

    def allocate(self, capacity: int, size: Size | None = None) -> StateStore:
        """See ``Runtime.allocate``. Raises DataError for frames of a size that no plan was built for."""
        if size is not None and not self.spec.is_sized:
            self._key.profile(size)
        return DeviceRows(sized_spec(self.spec, size), capacity, self._memory)

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """See ``Runtime.call``. Raises DataError, StateError or StepError."""
        check_open(self.name, self._functions)
        known = state.described() if isinstance(state, PoolRows) else state
        good = self._check(function, inputs, known)
        try:
            outputs, written = self._functions[function].run(inputs, state or {}, good.batch, good.size)
        except FramestateError:
            raise
        except Exception as error:  # pycuda raises a class for each of the driver's codes
            raise StepError(f"TensorRT failed in {function} ({error})", "the state is unchanged") from error
        check_finite(function, outputs)
        return outputs, written

    def join(self, tensors: Sequence[Any]) -> Any:
        """See ``Runtime.join``."""
        return joined(tensors) if isinstance(tensors[0], Pending) else self._memory.joined(tensors)

    def mix(self, first: Sequence[State], fresh: Sequence[State], share: float) -> State:
        """See ``Runtime.mix``: one launch for all rows of all tensors, and nobody waits."""
        floats = all(one[name].dtype == "float32" for one in (first[0], fresh[0]) for name in one)
        if not (floats and self._memory.mixes_rows):
            return mixed_on_host(self, first, fresh, share)
        return self._memory.mixed(first, fresh, share)

    def to_host(self, tensor: Any) -> npt.NDArray[Any]:
        """See ``Runtime.to_host``."""
        return crops_on_host(tensor, self._memory) if isinstance(tensor, Pending) else super().to_host(tensor)

    def from_host(self, name: str, array: npt.NDArray[Any]) -> Any:
        """See ``Runtime.from_host``."""
        return self._memory.uploaded(name, array)

    def close(self) -> None:
        """See ``Runtime.close``."""
        functions, self._functions = self._functions, {}
        for one in functions.values():
            one.close()

    def _engine(self, bundle: Bundle, function: str) -> Engine:
        path = bundle.file(plan_name(function))
        engine = self._reader.deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise RuntimeUnavailableError(
                f"TensorRT cannot read {path.name}; the line above says why", rebuild(bundle)
            )
        return engine


def open_vendor() -> tuple[Any, CudaMemory]:
    """The module ``tensorrt``, and the GPU. Raises RuntimeUnavailableError with what is missing."""
    try:
        trt = importlib.import_module("tensorrt")
        cuda = importlib.import_module("pycuda.driver")
        tools = importlib.import_module("pycuda.tools")
    except (ImportError, OSError) as error:
        raise RuntimeUnavailableError(f"TensorRT or pycuda does not import ({error})", INSTALL) from error
    try:
        return trt, CudaMemory(cuda, tools.DeviceMemoryPool)
    except Exception as error:  # pycuda's own classes
        raise RuntimeUnavailableError(f"no GPU can be used ({error})", INSTALL) from error


def open_graphs() -> Recorder:
    """What records CUDA graphs. Raises RuntimeUnavailableError where there is no driver."""
    try:
        return CudaGraphs()
    except RuntimeError as error:
        raise RuntimeUnavailableError(str(error), INSTALL) from error


def open_reader(trt: Any) -> PlanReader:
    """What reads plans; where plugins are classes, those are registered first."""
    if not hasattr(trt, "QuickPluginCreationRequest"):
        try:
            from ..plugins.tensorrt_registry import register_plugins
        except ImportError as error:
            raise RuntimeUnavailableError(
                f"TensorRT {trt.__version__} needs the plugins' classes, which do not import ({error})",
                "pip install 'framestate[torch]'",
            ) from error
        try:
            register_plugins(trt)
        except RuntimeError as error:
            raise RuntimeUnavailableError(f"the plugins cannot be registered: {error}", INSTALL) from error
    reader: PlanReader = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    return reader


def check_here(bundle: Bundle, key: PlanKey, tensorrt: str, gpu: str) -> None:
    """Raises RuntimeUnavailableError, with the command that helps, for plans of another place."""
    why = key.why_not_here(tensorrt, gpu)
    if why:
        raise RuntimeUnavailableError(
            f"the plans of {bundle.spec.name!r} do not run here: {why}", rebuild(bundle)
        )


def rebuild(bundle: Bundle) -> str:
    """The command that builds a bundle's plans anew."""
    return f"build them here: 'framestate export {bundle.path} --to tensorrt --out DIR'"
