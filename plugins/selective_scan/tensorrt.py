"""The Mamba-1 scan as a TensorRT plugin: ``framestate::SelectiveScan``, see ``onnx_plugin``."""

from __future__ import annotations

from collections.abc import Mapping

from ..tensorrt_rules import Launch, PluginRules, TensorRule

RULES = PluginRules(
    name="SelectiveScan",
    operator="selective_scan",
    inputs=(
        TensorRule("x", "x", ("B", "T", "D")),
        TensorRule("dt", "dt", ("B", "T", "D")),
        TensorRule("a", "a", ("D", "N"), always_float32=True),
        TensorRule("b", "b", ("B", "T", "N")),
        TensorRule("c", "c", ("B", "T", "N")),
        TensorRule("past_state", "past", ("B", "D", "N"), always_float32=True),
    ),
    outputs=(
        TensorRule("y", "y", ("B", "T", "D")),
        TensorRule("present_state", "final", ("B", "D", "N"), always_float32=True),
    ),
    like=(0, 5),
    scalars={"time": "T", "channels": "D", "states": "N"},
)


def launch(sizes: Mapping[str, int], attributes: Mapping[str, float]) -> Launch:
    """The kernel for given sizes; it has no attributes."""
    from .triton_kernel import ARGUMENTS, WARPS, blocks, selective_scan_kernel

    tile = blocks(sizes["D"], sizes["N"])
    return Launch(selective_scan_kernel, ARGUMENTS, tile, WARPS, (-(-sizes["D"] // tile["BLOCK_D"]), 1))
