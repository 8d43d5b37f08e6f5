"""Graphs that were exported once, to be changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import onnx
import pytest
from framestate.bundles import Bundle
from framestate.export import bundle as exporting
from framestate.models import build_model, load_weights
from framestate.plugins import eager_operators
from torch import nn

CopyGraphs = Callable[[Path], dict[str, Path]]


@pytest.fixture
def copy_graphs(tiny_bundle: Bundle) -> CopyGraphs:
    """Puts the small tracker's graphs into a folder, each with its weights inside again."""

    def copy(folder: Path) -> dict[str, Path]:
        files = {f"{function}.onnx": folder / f"{function}.onnx" for function in tiny_bundle.spec.functions}
        for name, path in files.items():
            onnx.save(onnx.load(tiny_bundle.file(name)), path)
        return files

    return copy


@pytest.fixture
def ready_graphs(tiny_bundle: Bundle, copy_graphs: CopyGraphs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graphs that were exported and proved already, instead of an export that takes seconds."""

    def write(spec: Any, weights: Mapping[str, Any], folder: Path, *_: Any) -> dict[str, Path]:
        return copy_graphs(folder)

    proved = cast("dict[str, Any]", tiny_bundle.parity["onnx"])["operators"]
    monkeypatch.setattr(exporting, "write_graphs", write)
    monkeypatch.setattr(exporting, "prove_operators", lambda *_: proved)


@pytest.fixture
def model(tiny_bundle: Bundle) -> nn.Module:
    built = build_model(tiny_bundle.spec, eager_operators())
    load_weights(built, tiny_bundle.weights())
    return built
