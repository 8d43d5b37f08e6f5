"""What a frame of a model costs, counted from its graphs, and the least time that takes on a Jetson Orin.

    python deploy/jetson/budget.py tracker-nano

Nothing is run: multiply-adds and bytes are counted node by node from the shapes that the graphs hold, and
divided by what NVIDIA's data sheets give for each module. So the times are floors, computed and not measured.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from framestate.bundles import Bundle, load_bundle

FLOAT = 4  # bytes
FMA_PER_TENSOR_CORE = 256  # multiply-adds a clock in fp16, dense: Ampere of Orin


@dataclass(frozen=True)
class Module:
    """A Jetson module: CUDA cores, tensor cores, GPU clock in GHz, memory in GB/s and GB."""

    name: str
    cores: int
    tensor_cores: int
    clock: float
    bandwidth: float
    memory: int

    @property
    def fp32(self) -> float:
        """Operations a second on CUDA cores, two a multiply-add."""
        return 2 * self.cores * self.clock * 1e9

    @property
    def fp16(self) -> float:
        """Operations a second on tensor cores, dense."""
        return 2 * FMA_PER_TENSOR_CORE * self.tensor_cores * self.clock * 1e9


MODULES = (
    Module("Orin Nano 8 GB", 1024, 32, 0.625, 68.0, 8),
    Module("Orin NX 16 GB", 1024, 32, 0.918, 102.4, 16),
    Module("AGX Orin 64 GB", 2048, 64, 1.3, 204.8, 64),
)


@dataclass(frozen=True)
class Cost:
    """Of one call for one row.

    Attributes:
        operations: two a multiply-add, one for each result of any other node.
        weights: bytes of constants.
        boundary: bytes of inputs, outputs and states, each moved once.
        between: bytes of all results in between, written and read once: what fusing layers can save.
        nodes: as many kernels as a runtime that fuses nothing launches.
    """

    operations: int
    weights: int
    boundary: int
    between: int
    nodes: int

    def floor(self, module: Module, *, half: bool) -> float:
        """Seconds: arithmetic or memory, whichever is slower, each at its peak."""
        share = 0.5 if half else 1.0
        moved = (self.weights + self.between) * share + self.boundary
        return max(self.operations / (module.fp16 if half else module.fp32), moved / module.bandwidth / 1e9)


def shapes_of(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """The shape of every value that is known, for a batch of one."""
    found = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.HasField("tensor_type"):
            found[value.name] = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    return found


def operations_of(node: onnx.NodeProto, shapes: Mapping[str, Sequence[int]]) -> int:
    """Operations of one node. Reshaping and copying costs none."""
    out = math.prod(shapes.get(node.output[0], []))
    if node.op_type == "Conv":
        return 2 * out * math.prod(shapes[node.input[1]][1:])
    if node.op_type in ("MatMul", "Gemm"):
        return 2 * out * shapes[node.input[0]][-1]
    if node.op_type == "LinearAttention":  # decay, write and read of the state, each step
        time = shapes[node.input[0]][1]
        return 5 * time * math.prod(shapes[node.output[1]])
    if node.op_type == "CausalConvWithState":
        return 2 * out * shapes[node.input[1]][-1]
    moves = ("Reshape", "Transpose", "Unsqueeze", "Squeeze", "Expand", "Identity", "Split", "Slice", "Concat")
    return 0 if node.op_type in (*moves, "Shape", "ConstantOfShape", "Constant") else out


def cost_of(bundle: Bundle, function: str) -> Cost:
    """The cost of one function of a bundle, from its ONNX graph."""
    graph = onnx.load(bundle.file(f"{function}.onnx"), load_external_data=False).graph
    shapes = shapes_of(graph)
    ends = {value.name for value in (*graph.input, *graph.output)}
    constants = {tensor.name for tensor in graph.initializer}
    results = {name for node in graph.node for name in node.output} - ends
    return Cost(
        operations=sum(operations_of(node, shapes) for node in graph.node),
        weights=FLOAT * sum(math.prod(shapes[name]) for name in constants),
        boundary=FLOAT * sum(math.prod(shapes[name]) for name in ends),
        between=2 * FLOAT * sum(math.prod(shapes[name]) for name in results if name in shapes),
        nodes=len(graph.node),
    )


def table(bundle: Bundle) -> str:
    """The costs and floors of a bundle as Markdown."""
    lines = [
        "| function | Mop | weights MB | in, out, state MB | between MB | nodes |",
        "|---|---|---|---|---|---|",
    ]
    floors = [
        "| module | function | fp32 floor, ms | fp16 floor, ms | rows of state in 1 GB |",
        "|---|---|---|---|---|",
    ]
    for function in bundle.spec.functions:
        cost = cost_of(bundle, function)
        sizes = [f"{count / 1e6:.2f}" for count in (cost.weights, cost.boundary, cost.between)]
        lines.append(f"| `{function}` | {cost.operations / 1e6:.0f} | {' | '.join(sizes)} | {cost.nodes} |")
        for module in MODULES:
            times = [f"{1e3 * cost.floor(module, half=half):.2f}" for half in (False, True)]
            rows = 10**9 // bundle.spec.state_bytes
            floors.append(f"| {module.name} | `{function}` | {' | '.join(times)} | {rows:,} |")
    return "\n".join([*lines, "", *floors])


def main() -> None:
    """Prints the tables of one model."""
    parser = argparse.ArgumentParser(description="What a frame of a model costs, counted, not measured.")
    parser.add_argument("model", help="a model that comes with Framestate, or the folder of a bundle")
    print(table(load_bundle(parser.parse_args().model)))  # noqa: T201


if __name__ == "__main__":
    main()
