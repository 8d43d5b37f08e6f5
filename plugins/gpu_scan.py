"""The Mamba-2 scan on a GPU: time and error of every kernel that works there, beside what no kernel can beat.

    python -m framestate.plugins.gpu_scan [--device cuda] [--repetitions 50]

Prints JSON. Times are medians between CUDA events, errors are against float64. On a CPU it times the PyTorch
form on the first shape, to show that it runs. Floors are computed: bytes that must move, products that are
made.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from .kernels import kernels
from .ssd_scan import ssd_scan_chunked

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
HALVES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Gpu:
    """Peaks of NVIDIA's data sheets, dense: bytes a second of memory, TF32 operations a second."""

    name: str
    bandwidth: float
    tf32: float


GPUS = (Gpu("H200", 4.8e12, 494.7e12), Gpu("H100", 3.35e12, 494.7e12), Gpu("Orin", 204.8e9, 21.3e12))
"""By a part of the driver's name. Orin: AGX 64 GB, TF32 as a half of its dense fp16."""


@dataclass(frozen=True)
class Shape:
    """Sizes of one scan: rows, steps, heads, channels of a head, groups, states."""

    name: str
    batch: int
    time: int
    heads: int
    channels: int
    groups: int
    states: int

    def bytes(self, item: int) -> int:
        """Bytes read and written once: inputs and y of ``item`` bytes a number, both states in float32."""
        tokens = self.batch * self.time
        small = tokens * (2 * self.heads * self.channels + self.heads + 2 * self.groups * self.states)
        return item * small + 4 * (2 * self.state_numbers + self.heads)

    def operations(self) -> int:
        """TF32 operations of our kernel's products: within chunks, with the state, and three for each."""
        tile = self.tile()
        length, tiles = tile["BLOCK_T"], -(-self.channels // tile["BLOCK_P"])
        chunks = -(-self.time // length)
        wide, deep = tile["BLOCK_P"], tile["BLOCK_N"]
        a_chunk = 2 * length * (length * deep + length * wide + 2 * deep * wide)
        return 3 * self.batch * self.heads * tiles * chunks * a_chunk

    def programs(self) -> int:
        """Programs of one launch: what a GPU has to share out over its multiprocessors."""
        tile = self.tile()
        return self.batch * self.heads * -(-self.channels // tile["BLOCK_P"])

    def tile(self) -> dict[str, int]:
        """Steps, states and channels of one program of our kernel."""
        from .ssd_scan.triton_kernel import blocks  # Triton is optional

        return blocks(self.time, self.channels, self.states)

    def floor(self, gpu: Gpu, item: int) -> float:
        """Seconds: the slower of memory and arithmetic, each at its peak."""
        return max(self.bytes(item) / gpu.bandwidth, self.operations() / gpu.tf32)

    @property
    def state_numbers(self) -> int:
        """Numbers of a state of all rows."""
        return self.batch * self.heads * self.states * self.channels


SHAPES = (
    Shape("tracker-nano, 1 session", 1, 256, 2, 32, 1, 16),
    Shape("tracker-nano, 64 sessions", 64, 256, 2, 32, 1, 16),
    Shape("interpolator, 720p", 4, 2 * 23 * 40, 2, 32, 1, 16),
    Shape("interpolator, 1080p", 4, 2 * 34 * 60, 2, 32, 1, 16),
    Shape("24 heads, 512 steps, 16 rows", 16, 512, 24, 64, 1, 128),
)
"""One layer each: a frame of the tracker, both frames of a pair in four directions, and a larger model."""


def inputs_of(shape: Shape, kind: torch.dtype, device: str) -> Inputs:
    """Random inputs: x, dt, a, b, c and a past state."""
    draw = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=draw)

    rows = (shape.batch, shape.time)
    steps = torch.rand(*rows, shape.heads, generator=draw) * 0.1
    rates = -8 * torch.rand(shape.heads, generator=draw)
    keys, queries = (normal(*rows, shape.groups, shape.states) for _ in range(2))
    past = normal(shape.batch, shape.heads, shape.states, shape.channels)
    halved = [one.to(device, kind) for one in (normal(*rows, shape.heads, shape.channels), steps)]
    x, dt = halved
    return x, dt, rates.to(device), keys.to(device, kind), queries.to(device, kind), past.to(device)


def error_of(call: Callable[..., Any], given: Inputs) -> float:
    """The largest difference from float64 over the largest magnitude, of outputs and final state."""
    exact = ssd_scan_chunked(*(one.double() for one in given))
    found = call(*given)
    pairs = zip(found, exact, strict=True)
    return max(float((one.double() - other).abs().max() / other.abs().max()) for one, other in pairs)


def seconds_of(call: Callable[..., Any], given: Inputs, repetitions: int) -> float:
    """The median of single calls, after some that are not counted; on a GPU as CUDA graphs, as in use."""
    for _ in range(5):
        call(*given)
    if not given[0].is_cuda:
        return median(wall_time(call, given) for _ in range(repetitions))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call(*given)
    starts, ends = ([torch.cuda.Event(enable_timing=True) for _ in range(repetitions)] for _ in range(2))
    for start, end in zip(starts, ends, strict=True):
        start.record()
        graph.replay()
        end.record()
    torch.cuda.synchronize()
    times: list[float] = [start.elapsed_time(end) for start, end in zip(starts, ends, strict=True)]
    return median(times) / 1e3


def wall_time(call: Callable[..., Any], given: Inputs) -> float:
    """Seconds of one call on a CPU."""
    began = time.perf_counter()
    call(*given)
    return time.perf_counter() - began


def chunked(*given: Tensor) -> tuple[Tensor, Tensor]:
    """The PyTorch form, which computes in one type: float32."""
    return ssd_scan_chunked(*(one.float() for one in given))


def candidates(device: str) -> tuple[dict[str, Callable[..., Any]], dict[str, str]]:
    """What computes the scan here, by name, and why the rest does not."""
    if device == "cpu":
        return {"chunked": chunked}, {}
    found = [kernel for kernel in kernels() if kernel.operator == "ssd_scan"]
    working = {kernel.name: kernel.call for kernel in found if kernel.call is not None}
    return {**working, "chunked": chunked}, {
        kernel.name: kernel.why_not for kernel in found if kernel.why_not is not None
    }


def measure(device: str, repetitions: int, shapes: Sequence[Shape] = SHAPES) -> dict[str, Any]:
    """Every kernel on every shape and type; an error of one is written down, and the others go on."""
    working, missing = candidates(device)
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    gpu = next((one for one in GPUS if one.name in name), None)
    rows = []
    for shape in shapes:
        for kind, dtype in HALVES.items():
            given = inputs_of(shape, dtype, device)
            floor = None if gpu is None else 1e6 * shape.floor(gpu, dtype.itemsize)
            row: dict[str, Any] = {
                **asdict(shape),
                "type": kind,
                "floor_us": floor,
                "programs": shape.programs(),
            }
            with torch.inference_mode():
                row["kernels"] = {key: told(call, given, repetitions) for key, call in working.items()}
            rows.append(row)
    return {"device": name, "missing": missing, "shapes": rows}


def told(call: Callable[..., Any], given: Inputs, repetitions: int) -> Mapping[str, Any]:
    """Time and error of one kernel, or why it fails."""
    try:
        return {"us": 1e6 * seconds_of(call, given, repetitions), "error": error_of(call, given)}
    except Exception as error:  # a kernel on a new GPU raises what it meets; the table says so
        return {"failed": f"{type(error).__name__}: {str(error)[:300]}"}


def floors_table(gpus: Sequence[Gpu] = GPUS) -> str:
    """The floors as Markdown, float32."""
    heads = " | ".join(f"{gpu.name}, µs" for gpu in gpus)
    lines = [
        f"| scan, float32 | MB moved | Gop (TF32) | programs | {heads} |",
        f"|{'---|' * (4 + len(gpus))}",
    ]
    for shape in SHAPES:
        floors = " | ".join(f"{float(f'{1e6 * shape.floor(gpu, 4):.3g}'):g}" for gpu in gpus)
        moved, made = shape.bytes(4) / 1e6, shape.operations() / 1e9
        lines.append(f"| {shape.name} | {moved:.3g} | {made:.3g} | {shape.programs()} | {floors} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the measurements of this machine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--repetitions", default=50, type=int)
    parser.add_argument("--floors", action="store_true", help="print the computed floors alone")
    chosen = parser.parse_args()
    if chosen.floors:
        print(floors_table())  # noqa: T201
    else:
        shapes = SHAPES if chosen.device == "cuda" else SHAPES[:1]
        print(json.dumps(measure(chosen.device, max(1, chosen.repetitions), shapes), indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
