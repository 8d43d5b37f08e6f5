"""Plugins through ``tensorrt.plugin``, of newer TensorRT: the kernel's PTX is stored in the engine.

An engine that was built with them needs neither Python nor Triton when it runs. Written to the documented
interface, and tested against the Python half of NVIDIA's bindings; on TensorRT itself it was NOT RUN.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from .tensorrt_kernels import compile_kernel
from .tensorrt_rules import OPEN, PluginKernel, PluginRules, Side, TimeTiles


def register_quick(trt: Any, trtp: Any, plugin: ModuleType, capability: Callable[[], int]) -> None:
    """Registers one plugin, with the types that it may be tuned over and its ahead-of-time kernel.

    Args:
        trt, trtp: the modules ``tensorrt`` and ``tensorrt.plugin``.
        plugin: an operator's ``tensorrt`` module.
        capability: asked for the GPU's, as 87 or 90, when a kernel is compiled.
    """
    rules: PluginRules = plugin.RULES
    count = len(rules.inputs)
    numbers = {**dict.fromkeys(rules.attributes, np.int32), **dict.fromkeys(rules.numbers, np.float32)}

    def describe(*tensors: Any, **attributes: Any) -> tuple[Any, ...]:
        rules.sizes([known(tensor) for tensor in tensors])
        return tuple(tensors[place].like() for place in rules.like)

    def tune(*_: Any) -> list[Any]:
        return [trtp.AutoTuneCombination(rules.combinations(), "LINEAR")]

    def compile_for(*given: Any) -> tuple[str, str, Any, Any]:
        tensors, values = given[:count], given[count:-2]
        kernel = compile_kernel(
            plugin,
            [known(tensor) for tensor in tensors],
            [type_name(trt, tensor.dtype) for tensor in tensors],
            {name: np.ravel(value)[0].item() for name, value in zip(numbers, values, strict=True)},
            capability=capability(),
        )
        return kernel.name, kernel.ptx, *launch_of(trtp, rules, kernel, tensors)

    one = trtp.TensorDesc
    tensors = {tensor.name: one for tensor in rules.inputs}
    attributes: dict[str, Any] = {name: npt.NDArray[kind] for name, kind in numbers.items()}  # type: ignore[valid-type]
    outputs = {"outputs": tuple[(one,) * len(rules.outputs)]}  # type: ignore[misc]  # known when it runs
    sign(describe, {**tensors, **attributes}, tuple[(one,) * len(rules.outputs)])  # type: ignore[misc]
    sign(tune, {**tensors, **outputs}, list[trtp.AutoTuneCombination])
    sign(
        compile_for,
        {**tensors, **attributes, **outputs, "tactic": int},
        tuple[str | bytes, str | bytes, trtp.KernelLaunchParams, trtp.SymIntExprs],
    )
    trtp.register(rules.plugin_id)(describe)
    trtp.autotune(rules.plugin_id)(tune)
    trtp.aot_impl(rules.plugin_id)(compile_for)


def launch_of(trtp: Any, rules: PluginRules, kernel: PluginKernel, tensors: Sequence[Any]) -> tuple[Any, Any]:
    """A kernel's grid and integer arguments; what is open stands as an expression over dimensions."""

    def size(letter: str) -> Any:
        place, axis = rules.place(letter)
        return tensors[place].shape_expr[axis]

    def programs(side: Side) -> Any:
        return trtp.cdiv(size("T"), side.per) if isinstance(side, TimeTiles) else side

    launch = trtp.KernelLaunchParams()
    launch.grid_x = size("B")
    launch.grid_y, launch.grid_z = (programs(side) for side in kernel.grid)
    launch.block_x = kernel.threads
    launch.shared_mem = kernel.shared
    scalars = trtp.SymIntExprs(len(kernel.scalars))
    for place, (letter, value) in enumerate(zip(rules.scalars.values(), kernel.scalars, strict=True)):
        scalars[place] = trtp.SymInt32(size(letter) if value == OPEN else value)
    return launch, scalars


def sign(function: Any, arguments: dict[str, Any], result: Any) -> None:
    """Gives a function the signature that TensorRT reads, with types and not their names."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature(
        [inspect.Parameter(name, kind, annotation=annotation) for name, annotation in arguments.items()],
        return_annotation=result,
    )


def known(tensor: Any) -> Sequence[int]:
    """The dimensions of a ``TensorDesc`` as far as they are constants, ``OPEN`` for the rest."""
    return [
        OPEN if size.is_fake or not size.is_constant else size.constant_value() for size in tensor.shape_expr
    ]


def type_name(trt: Any, kind: Any) -> str:
    """TensorRT's type by the name that the rules use; its own name for others, which they refuse."""
    names = {trt.DataType.FLOAT: "fp32", trt.DataType.HALF: "fp16"}
    return names.get(kind, str(kind))
