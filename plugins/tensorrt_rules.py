"""Shapes and types of the TensorRT plugins, written once, in plain Python: no TensorRT, no Triton, no GPU.

A rule names every dimension of every tensor by a letter. Both ways of making a plugin (``tensorrt_quick``,
``tensorrt_v3``) ask here what fits, what comes out, and in which order the kernel wants its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NAMESPACE = "framestate"
OPEN = -1
"""A dimension whose value is not known yet, as TensorRT writes it."""

FREE = ("B", "T")
"""The dimensions that may stay open when a kernel is compiled: the batch, and the steps, which follow the
size of the frames where a scan reads a frame's places."""

MANY = 1 << 20
"""Steps that a kernel is laid out for where their number is open."""

KINDS = ("fp32", "fp16")
"""The types that the tensors without a type of their own may have, all the same one."""

MOST_SHARED = 48 * 1024
"""Bytes of shared memory that a launch may ask for without asking the driver first."""


@dataclass(frozen=True)
class TensorRule:
    """One tensor of a plugin.

    Attributes:
        name: as the ONNX node's description has it.
        argument: the argument of the Triton kernel.
        dims: a letter a dimension, or a letter less one, as ``"K-1"``. The first one is always ``"B"``
            for tensors with a batch.
        always_float32: it stays float32 where the others are halves.
    """

    name: str
    argument: str
    dims: tuple[str, ...]
    always_float32: bool = False


@dataclass(frozen=True)
class TimeTiles:
    """Programs along a side of the grid: one for every ``per`` steps, and one where there are none."""

    per: int

    def count(self, time: int) -> int:
        """How many, for so many steps."""
        return max(1, -(-time // self.per))


Side = int | TimeTiles
"""Programs along a side of a grid."""


@dataclass(frozen=True)
class Launch:
    """How the Triton kernel of a plugin is compiled and launched for given sizes.

    Attributes:
        kernel, arguments: Triton's function, and the types of its arguments by name.
        constants: its compile-time values.
        warps: of a program.
        grid: programs in y and z; in x there is one a row of the batch.
    """

    kernel: Any
    arguments: Mapping[str, str]
    constants: Mapping[str, Any]
    warps: int
    grid: tuple[Side, Side]


@dataclass(frozen=True)
class PluginRules:
    """What goes into a plugin and what comes out.

    Attributes:
        name: of the ONNX node, in the domain ``NAMESPACE``.
        operator: the folder of ``plugins/``.
        inputs, outputs: in the order of the node.
        like: the input whose shape and type each output has.
        scalars: the kernel's integer arguments, and the dimension that each is.
        attributes: of the node: integers.
        numbers: of the node too: floating-point numbers.
        divides: pairs of dimensions of which the first divides the second.
    """

    name: str
    operator: str
    inputs: tuple[TensorRule, ...]
    outputs: tuple[TensorRule, ...]
    like: tuple[int, ...]
    scalars: Mapping[str, str]
    attributes: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    divides: tuple[tuple[str, str], ...] = field(default=())

    @property
    def plugin_id(self) -> str:
        """The name that TensorRT knows the plugin by."""
        return f"{NAMESPACE}::{self.name}"

    @property
    def order(self) -> tuple[str, ...]:
        """The kernel's arguments as TensorRT passes them: inputs, then integers, then outputs."""
        first, last = (tuple(tensor.argument for tensor in side) for side in (self.inputs, self.outputs))
        return (*first, *self.scalars, *last)

    def sizes(self, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
        """The dimensions by their letters; ``OPEN`` for those that no shape tells.

        Raises ValueError, naming the tensor, where the shapes do not fit one another.
        """
        if len(shapes) != len(self.inputs):
            raise ValueError(f"{self.name} was given {len(shapes)} inputs; it takes {len(self.inputs)}")
        found: dict[str, int] = {}
        for rule, shape in zip(self.inputs, shapes, strict=True):
            if len(shape) != len(rule.dims):
                raise ValueError(
                    f"{rule.name} of {self.name} has {len(shape)} dimensions; it has ({', '.join(rule.dims)})"
                )
            for dim, size in zip(rule.dims, shape, strict=True):
                letter, less = dim[0], int(dim[2:] or 0)
                value = OPEN if size == OPEN else size + less
                known = found.get(letter, OPEN)
                if OPEN not in (known, value) and known != value:
                    raise ValueError(
                        f"{rule.name} of {self.name} has {size} where {dim} is {known - less} "
                        f"in the inputs before it"
                    )
                found[letter] = value if known == OPEN else known
        for small, large in self.divides:
            if OPEN not in (found[small], found[large]) and found[large] % max(found[small], 1):
                raise ValueError(
                    f"{self.name} has {large} = {found[large]}; it must be a multiple of "
                    f"{small} = {found[small]}"
                )
        return found

    def fixed(self, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
        """As ``sizes``, for compiling: all but ``FREE`` has to be known. Raises ValueError."""
        found = self.sizes(shapes)
        unknown = [letter for letter, size in found.items() if size == OPEN and letter not in FREE]
        if unknown:
            raise ValueError(
                f"{self.name} has no fixed {', '.join(unknown)}; only the batch and the steps may be open, "
                "so export the graph with these as numbers"
            )
        return found

    def place(self, letter: str) -> tuple[int, int]:
        """An input, and its dimension, that tell the size of a letter as it is."""
        for index, rule in enumerate(self.inputs):
            if letter in rule.dims:
                return index, rule.dims.index(letter)
        raise KeyError(letter)

    def kind(self, types: Sequence[str]) -> str:
        """The type of the tensors that have none of their own. Raises ValueError where types do not fit."""
        free = [one for one, rule in zip(types, self.inputs, strict=True) if not rule.always_float32]
        if free[0] not in KINDS:
            raise ValueError(f"{self.name} was given {free[0]}; it takes {' or '.join(KINDS)}")
        for found, rule in zip(types, self.inputs, strict=True):
            wanted = "fp32" if rule.always_float32 else free[0]
            if found != wanted:
                raise ValueError(f"{rule.name} of {self.name} is {found}; it must be {wanted}")
        return free[0]

    def fits(self, place: int, types: Sequence[str]) -> bool:
        """Whether the tensor at ``place``, inputs before outputs, has a type that fits those before it."""
        rules = (*self.inputs, *self.outputs)
        if rules[place].always_float32:
            return types[place] == "fp32"
        first = next(index for index, rule in enumerate(rules) if not rule.always_float32)
        return types[place] in KINDS if place == first else types[place] == types[first]

    def combinations(self) -> str:
        """The allowed types of all tensors, as ``tensorrt.plugin.AutoTuneCombination`` reads them."""
        both = "|".join(kind.upper() for kind in KINDS)
        rules = (*self.inputs, *self.outputs)
        return ", ".join("FP32" if rule.always_float32 else both for rule in rules)


@dataclass(frozen=True)
class PluginKernel:
    """A plugin's kernel, compiled for a GPU and for all sizes but those that are ``FREE``.

    Attributes:
        name: of the kernel.
        ptx: with the arguments in the order of ``PluginRules.order``.
        threads, shared: threads of a program, and bytes of its shared memory.
        grid: programs in y and z.
        scalars: values of the integer arguments, in the order of the rules; ``OPEN`` where a launch tells.
    """

    name: str
    ptx: str
    threads: int
    shared: int
    grid: tuple[Side, Side]
    scalars: tuple[int, ...]


def steps_to_plan_for(sizes: Mapping[str, int]) -> int:
    """The steps that a kernel is laid out for."""
    return MANY if sizes["T"] == OPEN else sizes["T"]
