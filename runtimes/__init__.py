"""Floor 2: what runs a model. One protocol; ``eager`` and ``onnx`` behind it, imported when they are used."""

from .choice import RuntimeReport, default_threads, inspect_runtimes, open_runtime, runtime_table
from .memory import free_memory
from .protocol import Arrays, CropMaker, Runtime, State, StateStore, check_row

__all__ = [
    "Arrays",
    "CropMaker",
    "Runtime",
    "RuntimeReport",
    "State",
    "StateStore",
    "check_row",
    "default_threads",
    "free_memory",
    "inspect_runtimes",
    "open_runtime",
    "runtime_table",
]
