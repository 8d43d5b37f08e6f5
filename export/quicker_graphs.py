"""Rewrites of an exported graph that compute the same numbers, to rounding, in less time on ONNX Runtime.

Each finds a pattern that PyTorch's exporter leaves, by its shape and never by a name, and says how often.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import helper

from .graph_view import GraphView, attribute

ELEMENTWISE = ("Add", "Sub", "Mul", "Div")


def quicken(model: onnx.ModelProto) -> dict[str, int]:
    """Rewrites a float32 graph of the dialect "ort" in place; how often each rule was used."""
    view = GraphView(model)
    found = {name: rule(view) for name, rule in RULES.items()}
    view.finish()
    return found


def rms_norms(view: GraphView) -> int:
    """``x / sqrt(mean(x²) + e) · w`` over the last axis, seven nodes, as ONNX Runtime's own operator."""
    count = 0
    for power in view.nodes("Pow"):
        chain = [power]
        for kind in ("ReduceMean", "Add", "Sqrt", "Reciprocal", "Mul", "Mul"):
            node = view.only_user(chain[-1], kind)
            if node is None:
                break
            chain.append(node)
        else:
            _, mean, plus, _, _, scaled, weighed = chain
            epsilon = next((one for name in plus.input if (one := view.value(name)) is not None), None)
            weight = next((name for name in weighed.input if view.value(name) is not None), None)
            exponent, axes = view.value(power.input[1]), _axes(view, mean)
            if epsilon is None or epsilon.size != 1 or exponent is None or not (exponent == 2).all():
                continue
            if weight is None or axes != [-1] or power.input[0] not in scaled.input:
                continue
            norm = helper.make_node(
                "SimplifiedLayerNormalization",
                [power.input[0], weight],
                [weighed.output[0]],
                axis=-1,
                epsilon=float(epsilon.reshape(())),
                stash_type=1,
            )
            view.replace(chain, [norm])
            count += 1
    return count


def global_pools(view: GraphView) -> int:
    """A mean over both sides of a map as the operator that pools."""
    count = 0
    for node in view.nodes("ReduceMean"):
        axes = _axes(view, node)
        flat = axes in ([2, 3], [-2, -1]) and len(view.shape(node.input[0])) == 4
        if flat and attribute(node, "keepdims", 1):
            view.replace([node], [helper.make_node("GlobalAveragePool", [node.input[0]], list(node.output))])
            count += 1
    return count


def softplus(view: GraphView) -> int:
    """``x > t ? x : softplus(x)``: ONNX Runtime's operator does not overflow, so it needs no guard."""
    count = 0
    for chosen in view.nodes("Where"):
        above, soft = view.maker(chosen.input[0], "Greater"), view.maker(chosen.input[2], "Softplus")
        if above is None or soft is None or view.only_user(soft, "Where") is None:
            continue
        limit = view.value(above.input[1])
        if limit is None or limit.min() < 20 or {above.input[0], chosen.input[1]} != {soft.input[0]}:
            continue
        view.replace([soft, chosen], [helper.make_node("Softplus", list(soft.input), list(chosen.output))])
        count += 1
    return count


def folded_norms(view: GraphView) -> int:
    """A batch norm that goes, with other channels, into a 1 x 1 convolution is folded into its weights."""
    count = 0
    for norm in view.nodes("BatchNormalization"):
        joined = view.only_user(norm, "Concat")
        conv = None if joined is None else view.only_user(joined, "Conv")
        if joined is None or conv is None or attribute(joined, "axis") != 1:
            continue
        if any(attribute(conv, "pads", [])) or attribute(conv, "group", 1) != 1:
            continue
        weight, bias = (view.value(name) for name in [*conv.input, ""][1:3])
        scale, shift, mean, variance = (view.value(name) for name in norm.input[1:])
        if weight is None or weight.shape[2:] != (1, 1) or bias is None:
            continue
        if scale is None or shift is None or mean is None or variance is None:
            continue
        before = list(joined.input)[: list(joined.input).index(norm.output[0])]
        channels = [one for name in before for one in view.shape(name)[1:2] if isinstance(one, int)]
        if len(channels) != len(before):
            continue
        gain = scale.astype(np.float64) / np.sqrt(variance + np.float64(attribute(norm, "epsilon", 1e-5)))
        part = slice(sum(channels), sum(channels) + len(gain))
        made, offset = weight.astype(np.float64), bias.astype(np.float64)
        offset = offset + made[:, part, 0, 0] @ (shift - mean * gain)
        made[:, part, 0, 0] *= gain
        values = [norm.input[0] if name == norm.output[0] else name for name in joined.input]
        weights = [view.constant(made.astype(weight.dtype)), view.constant(offset.astype(bias.dtype))]
        new_conv = onnx.NodeProto.FromString(conv.SerializeToString())
        new_conv.input[:] = [conv.input[0], *weights]
        new_join = helper.make_node("Concat", values, list(joined.output), axis=1)
        view.replace([norm, joined, conv], [new_join, new_conv])
        count += 1
    return count


def broadcasts(view: GraphView) -> int:
    """What is expanded to the shape of its other operand: elementwise operators do that on their own."""
    count = 0
    for expanded in view.nodes("Expand"):
        user = next((one for kind in ELEMENTWISE if (one := view.only_user(expanded, kind))), None)
        if user is None:
            continue
        name = expanded.output[0]
        other = next(one for one in user.input if one != name) if set(user.input) != {name} else name
        if other == name or not view.shape(name) or view.shape(name) != view.shape(other):
            continue
        new = onnx.NodeProto.FromString(user.SerializeToString())
        new.input[:] = [expanded.input[0] if one == name else one for one in user.input]
        view.replace([expanded, user], [new])
        count += 1
    return count


def depthwise_lines(view: GraphView) -> int:
    """A depthwise convolution along a line as one over a map of one row, which has a faster kernel."""
    count = 0
    for conv in view.nodes("Conv"):
        weight = view.value(conv.input[1])
        if weight is None or weight.ndim != 3 or weight.shape[1] != 1:
            continue
        if attribute(conv, "group", 1) != len(weight) or attribute(conv, "auto_pad", b"NOTSET") != b"NOTSET":
            continue
        axis, base = view.constant(np.array([2], np.int64)), conv.output[0]
        settings: dict[str, Any] = {
            key: [neutral, *given] if key != "pads" else [0, given[0], 0, given[1]]
            for key, neutral in (("strides", 1), ("dilations", 1), ("pads", 0), ("kernel_shape", 1))
            if (given := attribute(conv, key)) is not None
        }
        inputs = [f"{base}/map", view.constant(weight[:, :, None]), *conv.input[2:]]
        nodes = [
            helper.make_node("Unsqueeze", [conv.input[0], axis], [f"{base}/map"]),
            helper.make_node("Conv", inputs, [f"{base}/row"], group=len(weight), **settings),
            helper.make_node("Squeeze", [f"{base}/row", axis], [base]),
        ]
        view.replace([conv], nodes)
        count += 1
    return count


RULES: Mapping[str, Callable[[GraphView], int]] = MappingProxyType(
    {
        "rms_norms": rms_norms,
        "global_pools": global_pools,
        "softplus": softplus,
        "folded_norms": folded_norms,
        "broadcasts": broadcasts,
        "depthwise_lines": depthwise_lines,
    }
)
"""In the order in which they are used."""


def _axes(view: GraphView, node: onnx.NodeProto) -> list[int] | None:
    """Of a reduction, rising; None where they are no constants."""
    axes = view.value(node.input[1]) if len(node.input) > 1 else None
    return None if axes is None else sorted(int(axis) for axis in axes)
