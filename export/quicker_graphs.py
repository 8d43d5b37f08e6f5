"""Rewrites of an exported graph that compute the same numbers, to rounding, in less time on ONNX Runtime.

Each finds a pattern that PyTorch's exporter leaves, by its shape and never by a name, and says how often.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from .graph_view import GraphView, attribute

Wide = npt.NDArray[np.float64]
Rules = Mapping[str, Callable[[GraphView], int]]
ELEMENTWISE = ("Add", "Sub", "Mul", "Div")


def quicken(model: onnx.ModelProto, rules: Rules | None = None) -> dict[str, int]:
    """Rewrites a float32 graph of the dialect "ort" in place, by RULES or others; how often each was used."""
    view = GraphView(model)
    found = {name: rule(view) for name, rule in (rules or RULES).items()}
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
    return folded(view, view.nodes("BatchNormalization"))


def folded_maps(view: GraphView) -> int:
    """The same of a 1 x 1 convolution, alone or with other channels, where that is less work."""
    return folded(view, view.nodes("Conv"))


def folded(view: GraphView, nodes: Sequence[onnx.NodeProto]) -> int:
    """Folds these into the 1 x 1 convolutions that they go into; how many."""
    count = 0
    for node in nodes:
        joined = view.only_user(node, "Concat")
        conv = view.only_user(node if joined is None else joined, "Conv")
        if conv is None or (joined is not None and attribute(joined, "axis") != 1):
            continue
        inner, outer = map_of(view, node), map_of(view, conv)
        if inner is None or outer is None or (joined is None and node.op_type != "Conv"):
            continue
        before = [] if joined is None else list(joined.input)[: list(joined.input).index(node.output[0])]
        channels = [one for name in before for one in view.shape(name)[1:2] if isinstance(one, int)]
        if len(channels) != len(before):
            continue
        (weight, shift), (matrix, offset) = inner, outer
        middle, taken = weight.shape
        part = slice(sum(channels), sum(channels) + middle)
        if taken * len(matrix) > middle * (taken + len(matrix)):
            continue
        folded = np.concatenate(
            [matrix[:, : part.start], matrix[:, part] @ weight, matrix[:, part.stop :]], axis=1
        )
        dtype = view.value(conv.input[1]).dtype  # type: ignore[union-attr]
        weights = [folded[:, :, None, None], offset + matrix[:, part] @ shift]
        new = onnx.NodeProto.FromString(conv.SerializeToString())
        new.input[1:] = [view.constant(one.astype(dtype)) for one in weights]
        if joined is None:
            new.input[0] = node.input[0]
            view.replace([node, conv], [new])
        else:
            values = [node.input[0] if name == node.output[0] else name for name in joined.input]
            view.replace(
                [node, joined, conv], [helper.make_node("Concat", values, list(joined.output), axis=1), new]
            )
        count += 1
    return count


def map_of(view: GraphView, node: onnx.NodeProto) -> tuple[Wide, Wide] | None:
    """What a batch norm or a plain 1 x 1 convolution does to each cell: a matrix (out, in), an offset (out,).

    None for any other node.
    """
    values = [view.value(name) for name in node.input[1:]]
    wide = [one.astype(np.float64) for one in values if one is not None]
    if len(wide) < len(values):
        return None
    if node.op_type == "BatchNormalization":
        scale, shift, mean, variance = wide
        gain = scale / np.sqrt(variance + np.float64(attribute(node, "epsilon", 1e-5)))
        return np.diag(gain), shift - mean * gain
    weight = wide[0]
    plain = weight.shape[2:] == (1, 1) and attribute(node, "group", 1) == 1
    moved = any(attribute(node, "pads", [])) or any(one != 1 for one in attribute(node, "strides", []))
    if not plain or moved or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        return None
    return weight[:, :, 0, 0], wide[1] if len(wide) > 1 else np.zeros(len(weight))


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


RULES: Rules = MappingProxyType(
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

MORE_RULES: Rules = MappingProxyType({**RULES, "folded_maps": folded_maps})
"""For graphs of others, too."""


def _axes(view: GraphView, node: onnx.NodeProto) -> list[int] | None:
    """Of a reduction, rising; None where they are no constants."""
    axes = view.value(node.input[1]) if len(node.input) > 1 else None
    return None if axes is None else sorted(int(axis) for axis in axes)
