"""A trained model as a bundle: weights, graphs, provenance, and the proof that graphs and model agree."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.numpy import save
from torch import nn

from ..bundles import Bundle, ModelSpec, load_bundle, write_bundle
from ..errors import ParityError
from ..models import build_model, dump_weights, load_weights
from ..plugins import onnxruntime_operators
from ..runtimes import open_runtime
from .graphs import export_function
from .parity import Parity, closed_loop_parity

Say = Callable[[str], None]


def write_graphs(spec: ModelSpec, weights: Mapping[str, Any], folder: Path, say: Say) -> dict[str, Path]:
    """``<function>.onnx`` for every function of the spec."""
    model = build_model(spec, onnxruntime_operators())
    load_weights(model, weights)
    files = {}
    for function in spec.functions:
        say(f"exporting {function}")
        files[f"{function}.onnx"] = folder / f"{function}.onnx"
        export_function(model, spec, function, files[f"{function}.onnx"])
    return files


def bundle_model(
    model: nn.Module,
    spec: ModelSpec,
    out: Path,
    *,
    provenance: dict[str, Any],
    metrics: dict[str, Any] | None = None,
    frames: int = 300,
    replace: bool = False,
    say: Say = lambda text: None,
) -> tuple[Bundle, Parity]:
    """Writes a bundle with weights and ONNX graphs, after closed-loop parity over ``frames`` frames.

    Raises ExportError or ParityError; nothing is left at ``out`` then.
    """
    weights = dump_weights(model)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files: dict[str, Any] = dict(write_graphs(spec, weights, folder, say))
        files["weights.safetensors"] = save(weights)
        trial = write_bundle(folder / "trial", spec, files, provenance=provenance, metrics={}, parity={})
        parity = prove(trial, frames, say)
        bundle = write_bundle(
            out,
            spec,
            files,
            provenance=provenance,
            metrics=metrics or {},
            parity={"onnx": asdict(parity)},
            replace=replace,
        )
    return load_bundle(bundle.path), parity


def prove(bundle: Bundle, frames: int, say: Say) -> Parity:
    """Runs eager and ONNX Runtime side by side. Raises ParityError beyond the tolerance."""
    say(f"comparing onnx with eager over {frames} closed-loop frames")
    reference = open_runtime(bundle, "eager", device="cpu", threads=1)
    candidate = open_runtime(bundle, "onnx", device="cpu", threads=1)
    try:
        parity = closed_loop_parity(reference, candidate, frames=frames)
    finally:
        reference.close()
        candidate.close()
    if not parity.passed:
        raise ParityError(
            f"onnx differs from eager by {parity.max_rel:.2e} (relative) and {parity.box_drift_px:.2f} px "
            f"over {parity.frames} frames; the tolerance is {parity.tolerance:.0e} "
            f"and {parity.drift_tolerance_px} px",
            "no bundle was written; export in fp32, or report the operator that drifts",
        )
    return parity
