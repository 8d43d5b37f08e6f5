"""A graph of ONNX as a thing to rewrite: who makes a value, who uses it, what is constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Node = onnx.NodeProto


class GraphView:
    """The main graph of a model; what is rewritten comes into the model by `finish`.

    Nodes in the bodies of others are left alone.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._nodes = [Node.FromString(node.SerializeToString()) for node in model.graph.node]
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._results = {value.name for value in model.graph.output}
        self._shapes = {
            value.name: tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
        }
        self._made = 0
        self._index()

    def nodes(self, kind: str) -> list[Node]:
        """Those of a kind, in their order; the list stays as it is while nodes are replaced."""
        return [node for node in self._nodes if node.op_type == kind]

    def maker(self, name: str, kind: str) -> Node | None:
        """The node that makes a value, if it is of that kind."""
        node = self._makers.get(name)
        return node if node is not None and node.op_type == kind else None

    def only_user(self, node: Node, kind: str) -> Node | None:
        """The one node that uses a node's one output, if it is of that kind and nobody else does."""
        users = self._users.get(node.output[0], [])
        if len(node.output) != 1 or len(users) != 1 or node.output[0] in self._results:
            return None
        return users[0] if users[0].op_type == kind else None

    def value(self, name: str) -> npt.NDArray[Any] | None:
        """A constant's numbers, if the value is one."""
        tensor = self._constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def shape(self, name: str) -> tuple[int | str, ...]:
        """A value's axes, named where they are open; empty where the graph does not say."""
        return self._shapes.get(name, ())

    def constant(self, array: npt.NDArray[Any]) -> str:
        """A new constant's name."""
        self._made += 1
        while f"quicker.{self._made}" in self._constants:  # of an earlier rewriting
            self._made += 1
        tensor = numpy_helper.from_array(np.ascontiguousarray(array), f"quicker.{self._made}")
        self._constants[tensor.name] = tensor
        return tensor.name

    def replace(self, old: Sequence[Node], new: Sequence[Node]) -> None:
        """Puts nodes in the place of others: where the last of these stood."""
        gone = {id(node) for node in old}
        last = max(index for index, node in enumerate(self._nodes) if id(node) in gone)
        kept = [node for node in self._nodes[:last] if id(node) not in gone]
        self._nodes = [*kept, *new, *self._nodes[last + 1 :]]
        self._index()

    def finish(self) -> None:
        """Writes the nodes into the model, without any that nothing uses, and their constants."""
        live: list[Node] = []
        used = set(self._results)
        for node in reversed(self._nodes):  # users come after makers
            if used.intersection(node.output):
                live.insert(0, node)
                used |= reads(node)
        self._nodes = live
        made = {name for node in self._nodes for name in node.output}
        notes = [entry for entry in self._graph.value_info if entry.name in made]
        for field, entries in (
            ("node", self._nodes),
            ("initializer", [tensor for tensor in self._constants.values() if tensor.name in used]),
            ("value_info", notes),
        ):
            copies = [type(entry).FromString(entry.SerializeToString()) for entry in entries]
            self._graph.ClearField(field)
            getattr(self._graph, field).extend(copies)

    def _index(self) -> None:
        self._makers = {name: node for node in self._nodes for name in node.output}
        self._users: dict[str, list[Node]] = {}
        for node in self._nodes:
            for name in reads(node):
                self._users.setdefault(name, []).append(node)


def attribute(node: Node, name: str, default: Any = None) -> Any:
    """An attribute's value."""
    found = next((entry for entry in node.attribute if entry.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


def reads(node: Node) -> set[str]:
    """All values that a node takes: its inputs, and what the nodes of its bodies read, their own included."""
    inner = [body for entry in node.attribute for body in (entry.g, *entry.graphs)]
    return set(node.input).union(*(reads(one) for body in inner for one in body.node))
