"""What an ONNX file points at outside itself, found without the ``onnx`` package.

An ONNX tensor may keep its data in another file, named by a path; a runtime that loads the model follows that
path. The serving stack has no ``onnx`` package, so this walks the protobuf wire format itself. It descends
only into the messages that can lead to a tensor and skips over everything else without copying it.

The field numbers are those of ``onnx.proto`` (ONNX IR); the wire format is described in the protobuf
documentation, "Encoding": a field is a varint key (number << 3 | type), then a varint (type 0), 8 bytes (type
1), a length and that many bytes (type 2), or 4 bytes (type 5).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ..errors import BundleIntegrityError

MAX_DEPTH = 64
MAX_FIELDS = 5_000_000

_CHILDREN: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "Model": {7: "Graph", 20: "Training", 25: "Function"},
        "Training": {1: "Graph", 2: "Graph"},
        "Function": {7: "Node", 11: "Attribute"},
        "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
        "Node": {5: "Attribute"},
        "Attribute": {
            5: "Tensor",
            6: "Graph",
            10: "Tensor",
            11: "Graph",
            22: "SparseTensor",
            23: "SparseTensor",
        },
        "SparseTensor": {1: "Tensor", 2: "Tensor"},
    }
)
"""For each message, the fields that may lead to a tensor and what they hold."""

_MODEL_GRAPH = 7
_NODE_OP_TYPE = 4
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION, _EXTERNAL = 13, 14, 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

# A node of this type names a compiled engine in a file of its own, which no manifest vouches for.
_ENGINE_NODE = b"EPContext"


@dataclass(frozen=True, slots=True)
class ExternalData:
    """Where a tensor keeps its data: the entries of ``external_data`` as they stand, such as ``location``."""

    entries: tuple[tuple[str, str], ...]


class _Field(NamedTuple):
    number: int
    varint: int  # the value of a varint field, else 0
    start: int  # the span of a length-delimited field, else empty
    end: int


class _Reader:
    """Fields of one file, with a limit on how many are looked at."""

    def __init__(self, data: mmap.mmap, name: str) -> None:
        self._data = data
        self._name = name
        self._budget = MAX_FIELDS

    def fields(self, start: int, end: int) -> Iterator[_Field]:
        """The fields between ``start`` and ``end``, in order."""
        at, data = start, self._data
        while at < end:
            self._budget -= 1
            if self._budget < 0:
                raise self.damaged(f"has more than {MAX_FIELDS} fields")
            key = data[at]  # nearly every key and length is one byte, and every byte counts here
            if key < 0x80:
                at += 1
            else:
                key, at = self._varint(at, end)
            number, kind, varint, begin, stop = key >> 3, key & 7, 0, 0, 0
            if number == 0:
                raise self.damaged("has a field with the number 0")
            if kind == 2:
                if at < end and (length := data[at]) < 0x80:
                    at += 1
                else:
                    length, at = self._varint(at, end)
                begin = at
                stop = at = at + length
            elif kind == 0:
                varint, at = self._varint(at, end)
            elif kind == 1:
                at += 8
            elif kind == 5:
                at += 4
            else:
                raise self.damaged(f"has a field of wire type {kind}")
            if at > end:
                raise self.damaged("ends inside a field")
            yield _Field(number, varint, begin, stop)

    def text(self, field: _Field) -> str:
        """The text of a length-delimited field."""
        try:
            return self._data[field.start : field.end].decode("utf-8")
        except UnicodeDecodeError:
            raise self.damaged("holds text that is not UTF-8") from None

    def equals(self, field: _Field, wanted: bytes) -> bool:
        """Whether a length-delimited field holds exactly ``wanted``."""
        return field.end - field.start == len(wanted) and self._data[field.start : field.end] == wanted

    def damaged(self, how: str) -> BundleIntegrityError:
        """The error for a file that is not what it should be."""
        return BundleIntegrityError(
            f"{self._name!r} {how}, so it is not a sound ONNX model", "Get an undamaged copy of the bundle."
        )

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                raise self.damaged("ends inside a number")
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise self.damaged("holds a number of more than 10 bytes")


def external_data(path: Path) -> list[ExternalData]:
    """Every reference to data outside the ONNX file at ``path``, in the order of the file.

    Graphs inside nodes, functions, sparse tensors and training information are all looked at.

    Raises:
        BundleIntegrityError: the file is no ONNX model, is cut off, is nested absurdly deep, holds a tensor
            whose data is outside but does not say where, or a node that names an engine file.
    """
    if path.stat().st_size == 0:
        raise BundleIntegrityError(
            f"{path.name!r} is empty, so it is not a sound ONNX model", "Get an undamaged copy of the bundle."
        )
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _walk(_Reader(data, path.name), len(data))


def _walk(reader: _Reader, size: int) -> list[ExternalData]:
    found: list[ExternalData] = []
    graphs = 0
    todo = [("Model", 0, size, 0)]
    while todo:
        kind, start, end, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise reader.damaged(f"is nested more than {MAX_DEPTH} deep")
        if kind == "Tensor":
            reference = _tensor(reader, start, end)
            if reference is not None:
                found.append(reference)
            continue
        children = _CHILDREN[kind]
        inner: list[tuple[str, int, int, int]] = []
        for field in reader.fields(start, end):
            if kind == "Model" and field.number == _MODEL_GRAPH:
                graphs += 1
            if kind == "Node" and field.number == _NODE_OP_TYPE and reader.equals(field, _ENGINE_NODE):
                raise reader.damaged("has an EPContext node, which names an engine file")
            child = children.get(field.number)
            if child is not None:
                inner.append((child, field.start, field.end, depth + 1))
        todo.extend(reversed(inner))
    if graphs == 0:
        raise reader.damaged("has no graph")
    return found


def _tensor(reader: _Reader, start: int, end: int) -> ExternalData | None:
    entries: list[tuple[str, str]] = []
    outside = False
    for field in reader.fields(start, end):
        if field.number == _TENSOR_DATA_LOCATION:
            outside = field.varint == _EXTERNAL
        elif field.number == _TENSOR_EXTERNAL_DATA:
            key = value = ""
            for part in reader.fields(field.start, field.end):
                if part.number == _ENTRY_KEY:
                    key = reader.text(part)
                elif part.number == _ENTRY_VALUE:
                    value = reader.text(part)
            entries.append((key, value))
    if outside and "location" not in dict(entries):
        raise reader.damaged("has a tensor whose data is outside, without saying where")
    return ExternalData(tuple(entries)) if entries else None
