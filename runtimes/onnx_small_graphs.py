"""Two tiny ONNX graphs, written without the ``onnx`` package, which the serving stack does not have.

ONNX Runtime copies memory on a device only inside a graph, so moving rows of state takes one:

- copy: for every tensor ``in.<name>`` → ``out.<name>``, unchanged.
- sound: for every tensor ``in.<name>`` → ``out.<name>``, the sum of ``x - x``: 0 if all is finite, or NaN.

The field numbers are those of ``onnx.proto`` (ONNX IR 8), the wire format that of protobuf; see
``bundles.onnx_wire``, which reads it.
"""

from __future__ import annotations

from collections.abc import Mapping

IR_VERSION, OPSET = 8, 13
ELEMENT_TYPES = (
    ("float32", 1), ("uint8", 2), ("int8", 3), ("uint16", 4), ("int16", 5), ("int32", 6), ("int64", 7),
    ("bool", 9), ("float16", 10), ("float64", 11), ("uint32", 12), ("uint64", 13),
)  # fmt: skip
"""NumPy's names and the numbers of ``TensorProto.DataType``."""


Kind = tuple[str, int]
"""The dtype of a tensor and its number of dimensions."""


def copy_graph(tensors: Mapping[str, Kind]) -> bytes:
    """A model that hands each tensor on."""
    nodes = [_node("Identity", [f"in.{name}"], [f"out.{name}"]) for name in tensors]
    return _model(nodes, tensors)


def sound_graph(tensors: Mapping[str, Kind]) -> bytes:
    """A model whose outputs are 0 where a tensor is finite throughout, else NaN."""
    nodes = []
    for name in tensors:
        nodes.append(_node("Sub", [f"in.{name}", f"in.{name}"], [f"zero.{name}"]))
        nodes.append(_node("ReduceSum", [f"zero.{name}"], [f"out.{name}"]))
    return _model(nodes, tensors)


def _model(nodes: list[bytes], tensors: Mapping[str, Kind]) -> bytes:
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"small")
    for number, side in ((11, "in"), (12, "out")):
        graph += b"".join(_field(number, _value(f"{side}.{name}", kind)) for name, kind in tensors.items())
    return _number(1, IR_VERSION) + _field(2, b"framestate") + _field(7, graph) + _field(8, _number(2, OPSET))


def _node(operator: str, inputs: list[str], outputs: list[str]) -> bytes:
    named = [(1, name) for name in inputs] + [(2, name) for name in outputs] + [(4, operator)]
    return b"".join(_field(number, text.encode()) for number, text in named)


def _value(name: str, kind: Kind) -> bytes:
    """A value whose sizes are all open."""
    dtype, rank = kind
    shape = _field(1, b"") * rank
    tensor = _number(1, dict(ELEMENT_TYPES)[dtype]) + _field(2, shape)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
