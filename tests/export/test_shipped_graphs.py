"""The graphs that ship are those that their weights are exported to now."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest
from framestate.bundles import default_bundles, load_bundle
from framestate.export.bundle import GraphOptions, finish_graphs, write_graphs

EXPORTED = [name for name in default_bundles() if "weights.safetensors" in load_bundle(name).files]
"""Those of our own weights; an adopted one has only the graphs that it was made of."""


def kinds(graph: bytes) -> Counter[str]:
    """How many nodes of each kind it has."""
    return Counter(node.op_type for node in onnx.load_from_string(graph).graph.node)


@pytest.mark.long
@pytest.mark.parametrize("name", EXPORTED)
def test_an_export_anew_gives_the_shipped_graphs(name: str, tmp_path: Path) -> None:
    """The same weights to the byte, and the same nodes; the order of independent ones is free."""
    bundle = load_bundle(name)
    graphs = write_graphs(bundle.spec, bundle.weights(), tmp_path, print, "ort")
    (tmp_path / "weights.safetensors").write_bytes(bundle.file("weights.safetensors").read_bytes())
    made = finish_graphs(graphs, GraphOptions(), {}, print)
    assert {file for file in bundle.files if file != "weights.safetensors"} == set(made)
    for file, content in made.items():
        found = content if isinstance(content, bytes) else content.read_bytes()
        shipped = bundle.file(file).read_bytes()
        assert (kinds(found) == kinds(shipped)) if file.endswith(".onnx") else found == shipped, file
