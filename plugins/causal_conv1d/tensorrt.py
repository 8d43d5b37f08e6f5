"""Causal convolution as a TensorRT plugin: ``framestate::CausalConv1d``, see ``onnx_plugin``."""

from __future__ import annotations

from collections.abc import Mapping

from ..tensorrt_rules import Launch, PluginRules, TensorRule, TimeTiles, steps_to_plan_for

RULES = PluginRules(
    name="CausalConv1d",
    operator="causal_conv1d",
    inputs=(
        TensorRule("x", "x", ("B", "T", "D")),
        TensorRule("weight", "weight", ("D", "K")),
        TensorRule("bias", "bias", ("D",)),
        TensorRule("past_state", "past", ("B", "D", "K-1")),
    ),
    outputs=(
        TensorRule("y", "y", ("B", "T", "D")),
        TensorRule("present_state", "final", ("B", "D", "K-1")),
    ),
    like=(0, 3),
    scalars={"time": "T", "channels": "D"},
    attributes=("silu",),
)


def launch(sizes: Mapping[str, int], attributes: Mapping[str, float]) -> Launch:
    """The kernel for given sizes, with SiLU or without."""
    from .triton_kernel import ARGUMENTS, WARPS, blocks, causal_conv1d_kernel

    tile = blocks(steps_to_plan_for(sizes), sizes["D"])
    constants = {"TAPS": sizes["K"], "SILU": bool(attributes["silu"]), **tile}
    tiles = (TimeTiles(tile["BLOCK_T"]), -(-sizes["D"] // tile["BLOCK_D"]))
    return Launch(causal_conv1d_kernel, ARGUMENTS, constants, WARPS, tiles)
