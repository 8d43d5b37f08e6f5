"""The JSON of KServe v2 ``infer`` as the OpenAPI document says it: what ``infer.parse`` takes"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from .infer import DATATYPES, MOST_AXES

_SHAPE = {"type": "array", "maxItems": MOST_AXES, "items": {"type": "integer", "minimum": 0}}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": {"type": "string", "description": "An input of the function."},
        "shape": _SHAPE,
        "datatype": {"type": "string", "enum": list(DATATYPES.values())},
        "data": {"type": "array", "description": "As many numbers as the shape says, flat or in rows."},
        "parameters": {
            "type": "object",
            "description": "binary_data_size is for bytes after the JSON only.",
            "propertyNames": {"not": {"const": "binary_data_size"}},
        },
    },
}
_OUTPUT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"binary_data": {"type": "boolean"}},
        },
    },
}
_PARAMETERS = {
    "type": "object",
    "properties": {
        "sequence_id": {"type": ["integer", "string"]},
        "sequence_start": {"type": "boolean"},
        "sequence_end": {"type": "boolean"},
        "binary_data_output": {"type": "boolean"},
        "function": {"type": "string"},
        "carry": {"type": "string", "description": "A JSON object of names, as a text."},
    },
}
REQUEST: MappingProxyType[str, Any] = MappingProxyType(
    {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": _PARAMETERS,
            "inputs": {"type": "array", "items": _TENSOR},
            "outputs": {"type": "array", "items": _OUTPUT},
        },
    }
)
"""A whole request; which inputs a model has is told by GET /v2/models/{model}."""
