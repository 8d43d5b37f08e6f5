"""The graphs that ship are those that their weights are exported to now."""

from __future__ import annotations

from pathlib import Path

import pytest
from framestate.bundles import default_bundles, load_bundle
from framestate.export.bundle import GraphOptions, finish_graphs, write_graphs


@pytest.mark.long
@pytest.mark.parametrize("name", default_bundles())
def test_an_export_anew_gives_the_shipped_graphs(name: str, tmp_path: Path) -> None:
    """To the byte, with the versions of the exporter that ``constraints.txt`` pins."""
    bundle = load_bundle(name)
    graphs = write_graphs(bundle.spec, bundle.weights(), tmp_path, print, "ort")
    made = finish_graphs(graphs, GraphOptions(), {}, print)
    assert {file for file in bundle.files if file != "weights.safetensors"} == set(made)
    for file, content in made.items():
        found = content if isinstance(content, bytes) else content.read_bytes()
        assert found == bundle.file(file).read_bytes(), file
