"""The Mamba-2 scan as a TensorRT plugin: ``framestate::SsdScan``, see ``onnx_plugin`` for its tensors."""

from __future__ import annotations

from collections.abc import Mapping

from ..tensorrt_rules import Launch, PluginRules, TensorRule, steps_to_plan_for

RULES = PluginRules(
    name="SsdScan",
    operator="ssd_scan",
    inputs=(
        TensorRule("x", "x", ("B", "T", "H", "P")),
        TensorRule("dt", "dt", ("B", "T", "H")),
        TensorRule("a", "a", ("H",), always_float32=True),
        TensorRule("b", "b", ("B", "T", "G", "N")),
        TensorRule("c", "c", ("B", "T", "G", "N")),
        TensorRule("past_state", "past", ("B", "H", "N", "P"), always_float32=True),
    ),
    outputs=(
        TensorRule("y", "y", ("B", "T", "H", "P")),
        TensorRule("present_state", "final", ("B", "H", "N", "P"), always_float32=True),
    ),
    like=(0, 5),
    scalars={"time": "T", "heads": "H", "groups": "G", "channels": "P", "states": "N"},
    divides=(("G", "H"),),
)


def launch(sizes: Mapping[str, int], attributes: Mapping[str, float]) -> Launch:
    """The kernel for given sizes; it has no attributes."""
    from .triton_kernel import ARGUMENTS, WARPS, blocks, ssd_scan_kernel

    tile = blocks(steps_to_plan_for(sizes), sizes["P"], sizes["N"])
    return Launch(ssd_scan_kernel, ARGUMENTS, tile, WARPS, (sizes["H"], -(-sizes["P"] // tile["BLOCK_P"])))
