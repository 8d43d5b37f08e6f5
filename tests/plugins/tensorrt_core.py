"""A stand-in for TensorRT's compiled half: names, empty base classes, and expressions over dimensions.

The Python half of NVIDIA's bindings runs on it, so our plugins meet the checks that TensorRT itself makes.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any


class Expression:
    """An ``IDimensionExpr``: a constant, or not known."""

    def __init__(self, value: int | None = None) -> None:
        self.value = value

    def is_constant(self) -> bool:
        return self.value is not None

    def get_constant_value(self) -> int | None:
        return self.value


class Core(ModuleType):
    """``tensorrt`` itself: whatever class is asked for is there, and empty."""

    def __init__(self, **members: Any) -> None:
        super().__init__("tensorrt")
        self.creators: dict[tuple[str, str], Any] = {}
        self.DataType = SimpleNamespace(FLOAT="FLOAT", HALF="HALF", INT32="INT32")
        self.TensorFormat = SimpleNamespace(LINEAR="LINEAR", HWC="HWC")
        self.TensorRTPhase = SimpleNamespace(BUILD="BUILD", RUNTIME="RUNTIME")
        self.plugin: Any = None
        self.IDimensionExpr, self.PluginFieldCollection = Expression, list
        self.DimsExprs = lambda given: [None] * given if isinstance(given, int) else list(given)
        self.PluginField = lambda name, data, kind: SimpleNamespace(name=name, data=data, kind=kind)
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "QuickPluginCreationRequest":
            raise AttributeError(name)
        kinds = ["INT8", "INT16", "INT32", "INT64", "FLOAT16", "FLOAT32", "FLOAT64", "CHAR", "UNKNOWN"]
        kinds += ["INT", "SUM", "CEIL_DIV", "WARNING"]
        made = type(name, (), {**dict(zip(kinds, kinds, strict=True)), "MAX_DIMS": 8, "log": print})
        setattr(self, name, made)
        return made

    def get_plugin_registry(self) -> Any:
        return SimpleNamespace(
            register_creator=lambda made, space: self.creators.update({(made.name, space): made}),
            get_creator=lambda name, version, space: self.creators.get((name, space)),
        )
