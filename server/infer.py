"""KServe v2 ``infer``: raw tensors in JSON, or as bytes after it, to a model's function and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import DataError, OptionError, RequestError, UnknownItemError
from .sequences import Tensors

HEADER = "inference-header-content-length"
DATATYPES: Mapping[str, str] = MappingProxyType(
    {
        "float32": "FP32", "float16": "FP16", "float64": "FP64", "int64": "INT64", "int32": "INT32",
        "int16": "INT16", "int8": "INT8", "uint64": "UINT64", "uint32": "UINT32", "uint16": "UINT16",
        "uint8": "UINT8", "bool": "BOOL",
    }
)  # fmt: skip
_DTYPES = MappingProxyType({kserve: name for name, kserve in DATATYPES.items()})
MOST_AXES = 32


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes:
        binary: of each output that is wanted, whether as bytes; None wants all.
        all_binary: of outputs that are not named.
        sequence: its key; None without one.
    """

    id: str
    inputs: Tensors
    binary: Mapping[str, bool] | None
    all_binary: bool
    function: str | None
    sequence: str | None
    start: bool
    end: bool
    carry: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """A response: its body, and how long the JSON at its beginning is where bytes follow."""

    body: bytes
    json_bytes: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


def parse(body: bytes, json_bytes: str | None) -> Asked:
    """A request's body; ``json_bytes`` is its header ``Inference-Header-Content-Length``.

    Raises:
        RequestError: it is not what the protocol says.
        DataError: a tensor is of a kind that no model takes, or its data does not fit its shape.
        OptionError: ``carry`` is no object of names.
    """
    length = len(body)
    if json_bytes is not None:
        if not (json_bytes.isascii() and json_bytes.isdecimal() and int(json_bytes) <= len(body)):
            raise RequestError(f"{HEADER} is {json_bytes[:40]!r}", "say where the JSON ends")
        length = int(json_bytes)
    try:
        table = _table(json.loads(body[:length]))
        parameters = _table(table.get("parameters", {}))
        inputs, at = {}, length
        for one in table["inputs"]:
            tensor, at = _tensor(_table(one), body, at)
            inputs[str(one["name"])] = tensor
        wanted = table.get("outputs")
        binary = None if not wanted else {str(one["name"]): _flag(one, "binary_data", True) for one in wanted}
        if at != len(body):
            raise RequestError(f"{len(body) - at} bytes follow the last tensor", "send what the inputs say")
        key = parameters.get("sequence_id", 0)
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise RequestError(f"sequence_id is {str(key)[:40]!r}", "give a whole number, or a text")
        function = parameters.get("function")
        return Asked(
            str(table.get("id", "")), inputs, binary, bool(parameters.get("binary_data_output", False)),
            None if function is None else str(function), str(key) if key else None,
            bool(parameters.get("sequence_start", False)), bool(parameters.get("sequence_end", False)),
            _carried(parameters.get("carry", "{}")),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError(
            f"this is no inference request ({type(error).__name__}: {str(error)[:80]})",
            "send what KServe's v2 protocol says",
        ) from error


def told(asked: Asked, model: str, outputs: Tensors) -> Told:
    """The response. Raises UnknownItemError for an output that the function does not have."""
    names = list(outputs) if asked.binary is None else list(asked.binary)
    entries, parts = [], []
    for name in names:
        if name not in outputs:
            known = f"its outputs: {', '.join(outputs)}"
            raise UnknownItemError(f"there is no output {name[:80]!r}", known)
        value = np.ascontiguousarray(outputs[name])
        entry: dict[str, Any] = {
            "name": name, "datatype": DATATYPES[str(value.dtype)], "shape": list(value.shape)
        }  # fmt: skip
        if asked.all_binary if asked.binary is None else asked.binary[name]:
            parts.append(value.tobytes())
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = value.ravel().tolist()
        entries.append(entry)
    table: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": entries}
    if asked.id:
        table["id"] = asked.id
    text = json.dumps(table, separators=(",", ":"), allow_nan=False).encode()
    return Told(text + b"".join(parts), len(text) if parts else None)


def _tensor(one: Mapping[str, Any], body: bytes, at: int) -> tuple[np.ndarray[Any, Any], int]:
    """A tensor, and where the bytes of the next one begin."""
    shape, kind = one["shape"], one["datatype"]
    if kind not in _DTYPES:
        raise DataError(f"{str(one['name'])[:80]!r} is {str(kind)[:20]!r}", f"send {', '.join(_DTYPES)}")
    whole = isinstance(shape, list) and all(type(side) is int and side >= 0 for side in shape)
    if not whole or len(shape) > MOST_AXES:
        raise DataError(f"the shape of {str(one['name'])[:80]!r} is {str(shape)[:80]}", "give whole numbers")
    dtype, size = np.dtype(_DTYPES[kind]), _table(one.get("parameters", {})).get("binary_data_size")
    if size is None:
        try:
            value = np.array(one["data"])
        except ValueError as error:
            name = str(one["name"])[:80]
            raise DataError(f"the data of {name!r} has rows of unlike lengths", "send all of it") from error
        if value.size and (
            value.dtype.kind not in "biuf" or not np.can_cast(value.dtype, dtype, "same_kind")
        ):
            raise DataError(f"the data of {str(one['name'])[:80]!r} is no {kind}", "send numbers of its kind")
        value = value.astype(dtype)
    else:
        if type(size) is not int or not 0 <= size <= len(body) - at or size % dtype.itemsize:
            raise RequestError(f"binary_data_size is {str(size)[:40]}", "send as many bytes as it says")
        value = np.frombuffer(body, dtype, size // dtype.itemsize, at)
        at += size
    if value.size != int(np.prod(shape, dtype=object)):
        raise DataError(f"{str(one['name'])[:80]!r} has {value.size} numbers for {shape}", "send all of it")
    return value.reshape(shape), at


def _carried(text: Any) -> dict[str, str]:
    """State tensors by those that they are taken from. Raises OptionError."""
    try:
        return {str(new): str(old) for new, old in _table(json.loads(text)).items()}
    except (ValueError, TypeError, RecursionError) as error:
        raise OptionError(f"carry is {str(text)[:80]!r}", "give a JSON object of names, as a text") from error


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{str(value)[:40]!r} is no object")
    return value


def _flag(one: Any, name: str, default: bool) -> bool:
    parameters = _table(_table(one).get("parameters", {}))
    if parameters.keys() - {name}:
        strange = sorted(parameters.keys() - {name})[0]
        raise RequestError(f"an output has the parameter {strange[:80]!r}", "leave it out")
    return bool(parameters.get(name, default))
