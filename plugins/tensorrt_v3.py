"""Plugins as ``IPluginV3`` classes, for TensorRT 10.3 (JetPack 6), which stores no kernels in engines itself.

The machine code is compiled by Triton when the engine is built and stored in the plugin's own fields, so the
engine needs these classes where it runs, but no Triton. TensorRT's classes exist only where it is installed,
so they are made by ``plugin_class``. Written to the documented interface; NOT RUN.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from .tensorrt_launch import Driver
from .tensorrt_rules import NAMESPACE, OPEN, PluginKernel, PluginRules, Side, TimeTiles

VERSION = "1"
KERNEL, CODE, NUMBERS = "kernel_name", "kernel_code", "kernel_numbers"
"""Fields of a plugin in an engine: name and machine code of the kernel; threads, shared, grid, scalars."""

OpenDriver = Callable[[], Driver]


def register_v3(
    trt: Any, plugin: ModuleType, capability: Callable[[], int], open_driver: OpenDriver = Driver
) -> None:
    """Registers one plugin: arguments as of ``tensorrt_quick.register_quick``.

    Raises RuntimeError where the bindings misread the fields of plugins.
    """
    check_fields(trt)
    rules: PluginRules = plugin.RULES
    made = plugin_class(trt, plugin, capability, open_driver)
    int32, chars = trt.PluginFieldType.INT32, trt.PluginFieldType.CHAR
    kinds = {**dict.fromkeys(rules.attributes, int32), KERNEL: chars, CODE: chars, NUMBERS: int32}
    kinds |= dict.fromkeys(rules.numbers, trt.PluginFieldType.FLOAT32)

    class Creator(trt.IPluginCreatorV3One):  # type: ignore[misc]  # TensorRT has no types
        """Makes a plugin from a node of a graph, or from the fields that one left in an engine."""

        def __init__(self) -> None:
            trt.IPluginCreatorV3One.__init__(self)
            self.name, self.plugin_namespace, self.plugin_version = rules.name, NAMESPACE, VERSION
            self.field_names = trt.PluginFieldCollection(
                [trt.PluginField(name, np.array([]), kind) for name, kind in kinds.items()]
            )

        def create_plugin(self, name: str, fields: Any, phase: Any) -> Any:
            return made({field.name: field.data for field in fields}, phase)

    trt.get_plugin_registry().register_creator(Creator(), NAMESPACE)


def plugin_class(trt: Any, plugin: ModuleType, capability: Callable[[], int], open_driver: OpenDriver) -> Any:
    """The class of one operator's plugins."""
    rules: PluginRules = plugin.RULES
    names = {trt.DataType.FLOAT: "fp32", trt.DataType.HALF: "fp16"}

    def types(descriptions: Sequence[Any]) -> list[str]:
        return [names.get(one.type, str(one.type)) for one in descriptions]

    class Plugin(trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime):  # type: ignore[misc]  # TensorRT has no types
        """One node: its attributes, and from ``configure_plugin`` on its kernel."""

        def __init__(self, fields: dict[str, Any], phase: Any) -> None:
            for base in (
                trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime,
            ):  # fmt: skip
                base.__init__(self)
            self.plugin_name, self.plugin_namespace, self.plugin_version = rules.name, NAMESPACE, VERSION
            self.num_outputs = len(rules.outputs)
            self.timing_cache_id = ""
            self.phase = phase
            self.attributes: dict[str, float] = {
                name: np.ravel(fields[name])[0].item() for name in (*rules.attributes, *rules.numbers)
            }
            self.kernel: PluginKernel | None = None
            self.code = b""
            if CODE in fields:
                self.kernel, self.code = unpack(rules, fields)
            self.stored: dict[str, tuple[Any, Any]] = {}
            self.function: int | None = None
            self.driver: Driver | None = None

        def get_capability_interface(self, kind: Any) -> Any:
            return self

        def get_output_data_types(self, input_types: Sequence[Any]) -> list[Any]:
            return [input_types[place] for place in rules.like]

        def get_output_shapes(self, inputs: Sequence[Any], shape_inputs: Any, builder: Any) -> list[Any]:
            return [trt.DimsExprs(inputs[place]) for place in rules.like]

        def supports_format_combination(self, pos: int, in_out: Sequence[Any], num_inputs: int) -> bool:
            found = [one.desc for one in in_out[: pos + 1]]
            return found[pos].format == trt.TensorFormat.LINEAR and rules.fits(pos, types(found))

        def configure_plugin(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
            if self.phase == trt.TensorRTPhase.RUNTIME:
                return  # it came with its kernel
            from .tensorrt_kernels import assemble, compile_kernel

            descriptions = [one.desc for one in inputs]
            shapes = [tuple(one.dims) for one in descriptions]
            kernel = compile_kernel(
                plugin, shapes, types(descriptions), self.attributes, capability=capability()
            )
            self.kernel, self.code, self.function = kernel, assemble(kernel.ptx), None

        def on_shape_change(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
            rules.fixed([tuple(one.dims) for one in inputs])

        def enqueue(
            self, input_desc: Any, output_desc: Any, inputs: Any, outputs: Any, workspace: Any, stream: int
        ) -> None:
            assert self.kernel is not None, "TensorRT configures a plugin before it runs it"
            if self.function is None or self.driver is None:
                self.driver = open_driver()
                self.function = self.driver.load(self.code, self.kernel.name)
            sizes = rules.sizes([tuple(one.dims) for one in input_desc])
            y, z = (programs(side, sizes["T"]) for side in self.kernel.grid)
            grid = (sizes["B"], y, z)
            arguments = arguments_of(rules, self.kernel, sizes, inputs, outputs)
            self.driver.launch(
                self.function, grid, self.kernel.threads, self.kernel.shared, stream, arguments
            )

        def get_fields_to_serialize(self) -> Any:
            assert self.kernel is not None, "TensorRT configures a plugin before it stores it"
            int32, chars = trt.PluginFieldType.INT32, trt.PluginFieldType.CHAR
            values = {
                name: field_of(trt, name in rules.numbers, value) for name, value in self.attributes.items()
            }
            for name, packed in pack(self.kernel, self.code).items():
                values[name] = packed, int32 if name == NUMBERS else chars
            self.stored = values  # fields point at their data, and keep none
            fields = [trt.PluginField(name, data, kind) for name, (data, kind) in values.items()]
            return trt.PluginFieldCollection(fields)

        def get_valid_tactics(self) -> list[int]:
            return []

        def set_tactic(self, tactic: int) -> None:
            """There is one way to compute it."""

        def attach_to_context(self, context: Any) -> Any:
            return self.clone()

        def clone(self) -> Any:
            other = Plugin({name: np.array([value]) for name, value in self.attributes.items()}, self.phase)
            other.__dict__.update(self.__dict__)
            return other

    return Plugin


def check_fields(trt: Any) -> None:
    """Raises RuntimeError where arrays come back from fields wrong, as from bindings older than NumPy 2.

    NVIDIA's wheel of 10.3.0 repeats the first number of an array where NumPy 2 is installed.
    """
    told = np.array([1, 2, 3], np.int32)
    read = np.ravel(trt.PluginField("told", told, trt.PluginFieldType.INT32).data)
    if read.tolist() != told.tolist():
        raise RuntimeError(
            f"these bindings of TensorRT read {told.tolist()} as {read.tolist()} with NumPy {np.__version__};"
            " install numpy below 2, or bindings that were built with pybind11 2.12 or newer"
        )


def field_of(trt: Any, real: bool, value: float) -> tuple[Any, Any]:
    """An attribute of a node as the data of a field, and its type."""
    if real:
        return np.array([value], np.float32), trt.PluginFieldType.FLOAT32
    return np.array([value], np.int32), trt.PluginFieldType.INT32


def programs(side: Side, time: int) -> int:
    """Programs along a side of the grid, for so many steps."""
    return side.count(time) if isinstance(side, TimeTiles) else side


def pack(kernel: PluginKernel, code: bytes) -> dict[str, Any]:
    """A compiled kernel as the fields of a plugin; tiles of steps as less than no programs."""
    sides = [-side.per if isinstance(side, TimeTiles) else side for side in kernel.grid]
    numbers = [kernel.threads, kernel.shared, *sides, *kernel.scalars]
    return {KERNEL: kernel.name.encode(), CODE: code, NUMBERS: np.array(numbers, np.int32)}


def unpack(rules: PluginRules, fields: dict[str, Any]) -> tuple[PluginKernel, bytes]:
    """What ``pack`` packed; the PTX stays behind. Raises ValueError for fields that are not whole."""
    numbers = [int(one) for one in np.ravel(np.frombuffer(fields[NUMBERS], np.int32))]
    if len(numbers) != 4 + len(rules.scalars):
        raise ValueError(f"an engine has {len(numbers)} numbers for {rules.name}; build it anew")
    threads, shared, y, z, *scalars = numbers
    grid: tuple[Side, Side] = (side_of(y), side_of(z))
    name = bytes(fields[KERNEL]).decode("ascii")
    return PluginKernel(name, "", threads, shared, grid, tuple(scalars)), bytes(fields[CODE])


def side_of(number: int) -> Side:
    """What ``pack`` made a number."""
    return number if number > 0 else TimeTiles(-number)


def arguments_of(
    rules: PluginRules,
    kernel: PluginKernel,
    sizes: Mapping[str, int],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> list[Any]:
    """The arguments of a launch, in the order of the rules: addresses, integers, addresses."""
    values = zip(rules.scalars.values(), kernel.scalars, strict=True)
    return [
        *(ctypes.c_void_p(address) for address in inputs),
        *(ctypes.c_int32(sizes[letter] if value == OPEN else value) for letter, value in values),
        *(ctypes.c_void_p(address) for address in outputs),
    ]
