"""The mLSTM as a TensorRT plugin: ``framestate::MlstmScan``, see ``onnx_plugin`` for its tensors.

TensorRT passes a kernel whole numbers only, so the key's scale and ``eps`` are compiled into it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..tensorrt_rules import Launch, PluginRules, TensorRule

RULES = PluginRules(
    name="MlstmScan",
    operator="mlstm_scan",
    inputs=(
        TensorRule("q", "q", ("B", "T", "H", "K")),
        TensorRule("k", "k", ("B", "T", "H", "K")),
        TensorRule("v", "v", ("B", "T", "H", "V")),
        TensorRule("i", "i", ("B", "T", "H")),
        TensorRule("f", "f", ("B", "T", "H")),
        TensorRule("past_memory", "past_memory", ("B", "H", "K", "V"), always_float32=True),
        TensorRule("past_normaliser", "past_norm", ("B", "H", "K"), always_float32=True),
        TensorRule("past_stabiliser", "past_m", ("B", "H"), always_float32=True),
    ),
    outputs=(
        TensorRule("h", "h", ("B", "T", "H", "V")),
        TensorRule("present_memory", "memory", ("B", "H", "K", "V"), always_float32=True),
        TensorRule("present_normaliser", "norm", ("B", "H", "K"), always_float32=True),
        TensorRule("present_stabiliser", "m", ("B", "H"), always_float32=True),
    ),
    like=(2, 5, 6, 7),
    scalars={"time": "T", "heads": "H", "keys": "K", "values": "V"},
    numbers=("eps",),
)


def launch(sizes: Mapping[str, int], attributes: Mapping[str, float]) -> Launch:
    """The kernel for given sizes, with ``eps``."""
    from .triton_kernel import ARGUMENTS, blocks, mlstm_scan_kernel, warps

    tile = blocks(sizes["K"], sizes["V"])
    fixed = {"scale": 1 / math.sqrt(sizes["K"]), "eps": float(attributes["eps"])}
    arguments = {name: kind for name, kind in ARGUMENTS.items() if name not in fixed}
    grid = (sizes["H"], -(-sizes["V"] // tile["BLOCK_V"]))
    return Launch(mlstm_scan_kernel, arguments, {**tile, **fixed}, warps(sizes["K"]), grid)
