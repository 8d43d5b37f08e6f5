"""The compiled half of NVIDIA's bindings without TensorRT's libraries, and doubles that obey its signatures.

The bindings' wheel holds every class, enum and signature of TensorRT's Python interface, in compiled code
that wants TensorRT's libraries beside it. Empty libraries of these names are enough to import it. What it
does cannot be run so, but what it may be called with can be read: pybind11 writes types into docstrings.
"""

from __future__ import annotations

import ctypes
import enum
import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARIES = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")
FUNCTIONS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry",
    "getInferLibVersion", "getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins",
)  # fmt: skip
BUFFER = ("typing_extensions.Buffer", "collections.abc.Buffer", "buffer")


def load_compiled_half(folder: Path) -> ModuleType | str:
    """NVIDIA's extension module over empty libraries in ``folder``; or why there is none."""
    found = importlib.util.find_spec("tensorrt_bindings")
    if found is None or not found.submodule_search_locations:
        return "tensorrt-cu13-bindings is not installed"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "there is no C compiler for the empty libraries"
    binary = next(Path(next(iter(found.submodule_search_locations))).glob("tensorrt*.so"))
    version = re.search(rb"libnvinfer\.so\.(\d+)", binary.read_bytes())
    assert version, "the bindings name the libraries that they need"
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in FUNCTIONS))
    for name in LIBRARIES:
        file = f"{name}.so.{version[1].decode()}"
        options = ["-shared", "-fPIC", f"-Wl,-soname,{file}", "-o", str(folder / file)]
        subprocess.run([compiler, str(source), *options], check=True, capture_output=True)
        ctypes.CDLL(str(folder / file), mode=ctypes.RTLD_GLOBAL)
    spec = importlib.util.spec_from_file_location("tensorrt.tensorrt", binary)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get("tensorrt.tensorrt")
    spec.loader.exec_module(module)
    if before is None:
        sys.modules.pop("tensorrt.tensorrt", None)
    return module


@dataclass(frozen=True)
class Parameter:
    """A parameter as pybind11 writes it."""

    name: str
    kind: str
    optional: bool


@dataclass(frozen=True)
class Signature:
    """One overload: its parameters without ``self``, and the type of its result."""

    parameters: tuple[Parameter, ...]
    result: str


def signatures(documented: Any) -> list[Signature]:
    """The overloads of a function or method, by its docstring."""
    lines = re.findall(r"^\s*(?:\d+\. )?\w*\((.*)\) -> (.+)$", documented.__doc__ or "", re.MULTILINE)
    return [Signature(tuple(parameters(inner)), result.strip()) for inner, result in lines]


def parameters(inner: str) -> list[Parameter]:
    """What stands between the brackets of a signature, without ``self``."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(f"{inner},"):
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == "," and depth == 0:
            parts.append(inner[start:place].strip())
            start = place + 1
    named = [part.partition(": ") for part in parts if ": " in part]
    whole = [Parameter(name, kind.partition(" = ")[0], " = " in kind) for name, _, kind in named]
    return whole[1:] if whole and whole[0].name in ("self", "arg0") else whole


class Doubles:
    """Doubles of NVIDIA's classes: a call that their signatures do not allow is a TypeError.

    ``results`` are what methods give, by "Class.method"; without one, something of the result's type.
    """

    def __init__(self, compiled: ModuleType, results: dict[str, Any] | None = None) -> None:
        self.compiled, self.results = compiled, results or {}
        self.called: list[str] = []

    def module(self, **more: Any) -> Any:
        """``tensorrt`` as our code is handed it: enums and base classes are real, the rest doubles."""
        doubles = self

        class Module:
            def __getattr__(self, name: str) -> Any:
                if name in more:
                    return more[name]
                real = getattr(doubles.compiled, name)
                if not isinstance(real, type) or hasattr(real, "__members__") or name.startswith("IP"):
                    return real
                return Maker(doubles, real)

        return Module()

    def call(self, where: str, documented: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """The result of a call that some overload allows."""
        overloads = signatures(documented)
        assert overloads, f"{where} has no signature"
        why = []
        for overload in overloads:
            wrong = self.misfit(overload, given, named)
            if wrong is None:
                self.called.append(where)
                return self.results.get(where, self.example(overload.result))
            why.append(wrong)
        raise TypeError(f"{where}: {'; '.join(why)}")

    def misfit(self, overload: Signature, given: tuple[Any, ...], named: dict[str, Any]) -> str | None:
        """Why a call does not fit an overload; None where it does."""
        places = {one.name: one for one in overload.parameters}
        if len(given) > len(places) or not set(named) <= set(places):
            return f"{len(given)} arguments and {sorted(named)} for {sorted(places)}"
        values = dict(zip(places, given, strict=False))
        if set(values) & set(named):
            return "an argument is given twice"
        values |= named
        for name, one in places.items():
            if name not in values and not one.optional:
                return f"{name} is missing"
            if name in values and not self.fits(values[name], one.kind):
                return f"{name} is a {type(values[name]).__name__}, not {one.kind}"
        return None

    def fits(self, value: Any, kind: str) -> bool:
        """Whether pybind11 takes a value for a type."""
        plain = {
            "int": int,
            "typing.SupportsInt": int,
            "str": str,
            "bool": bool,
            "tuple": tuple,
            "list": list,
        }
        plain |= {"float": float, "bytes": bytes, "tensorrt.tensorrt.FallbackString": str}
        if kind in plain:
            return isinstance(value, plain[kind])
        if kind in BUFFER:
            return isinstance(value, bytes | bytearray | memoryview)
        if kind in ("object", "typing.Any"):
            return True
        assert kind.startswith("tensorrt.tensorrt."), f"a type that is not understood: {kind}"
        wanted = self.named(kind)
        if wanted.__name__ == "Dims" and isinstance(value, tuple | list):
            return all(isinstance(one, int) for one in value)  # pybind11 converts them
        known = value.real if isinstance(value, Double) else type(value)
        return issubclass(known, wanted)

    def named(self, kind: str) -> type:
        """A class of the bindings by its full name."""
        found: Any = self.compiled
        for part in kind.removeprefix("tensorrt.tensorrt.").split("."):
            found = getattr(found, part)
        assert isinstance(found, type)
        return found

    def example(self, kind: str) -> Any:
        """Something of a type."""
        simple: dict[str, Any] = {"None": None, "bool": True, "int": 0, "str": "", "object": None}
        if kind in simple:
            return simple[kind]
        if not kind.startswith("tensorrt.tensorrt."):
            return None
        real = self.named(kind)
        return next(iter(real.__members__.values())) if hasattr(real, "__members__") else Double(self, real)


class Maker:
    """A class that makes doubles; what else it has, such as constants, is real."""

    def __init__(self, doubles: Doubles, real: type) -> None:
        self._doubles, self._real = doubles, real

    def __call__(self, *given: Any, **named: Any) -> Double:
        made: Any = self._real
        self._doubles.call(f"{made.__name__}.__init__", made.__init__, given, named)
        return Double(self._doubles, self._real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Double:
    """An object of one of NVIDIA's classes, as far as its signatures go."""

    def __init__(self, doubles: Doubles, real: type) -> None:
        self.__dict__.update(doubles=doubles, real=real)

    def __getattr__(self, name: str) -> Any:
        documented, where = getattr(self.real, name), f"{self.real.__name__}.{name}"
        if isinstance(documented, property):
            return self.doubles.call(where, documented.fget, (), {})
        if isinstance(documented, enum.Enum) or not callable(documented):
            return documented

        def method(*given: Any, **named: Any) -> Any:
            return self.doubles.call(where, documented, given, named)

        return method

    def __setattr__(self, name: str, value: Any) -> None:
        documented = getattr(self.real, name)
        assert isinstance(documented, property), f"{name} is no property"
        assert documented.fset is not None, f"{name} cannot be set"
        (overload,) = signatures(documented.fset)
        assert self.doubles.fits(value, overload.parameters[0].kind), f"{name} of {self.real} is {value!r}"
        self.doubles.called.append(f"{self.real.__name__}.{name}=")

    def __bytes__(self) -> bytes:
        assert self.real.__name__ == "IHostMemory", f"{self.real} holds no bytes"
        return b"held"
