"""Floor 2: what runs a model. One protocol; ``eager`` and ``onnx`` behind it, imported when they are used."""

from .base import HostRuntime, RuntimeOver
from .batches import Crop, Parts, Row, join, on_host, split, stack, write
from .checks import check_row
from .choice import RuntimeReport, default_threads, inspect_runtimes, open_runtime, runtime_table
from .memory import free_memory
from .protocol import Arrays, CropMaker, DeviceInput, Runtime, State, StateStore

__all__ = [
    "Arrays",
    "Crop",
    "CropMaker",
    "DeviceInput",
    "HostRuntime",
    "Parts",
    "Row",
    "Runtime",
    "RuntimeOver",
    "RuntimeReport",
    "State",
    "StateStore",
    "check_row",
    "default_threads",
    "free_memory",
    "inspect_runtimes",
    "join",
    "on_host",
    "open_runtime",
    "runtime_table",
    "split",
    "stack",
    "write",
]
