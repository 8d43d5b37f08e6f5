"""A trained model as a bundle: weights, graphs, provenance, and the proof that graphs and model agree."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import onnx
from torch import nn

from ..bundles import JSON, Bundle, ModelSpec, write_bundle
from ..errors import OptionError
from ..models import Build, build_model, dump_weights, load_weights
from ..plugins import eager_operators, onnx_operators
from ..plugins.operators import Dialect
from ..runtimes import open_runtime
from ..runtimes.eager import EagerRuntime
from .calibration import Clip, Feeds, record_feeds, synthetic_clips
from .graphs import OPSET, export_function
from .operator_proof import prove_operators
from .precision import PRECISIONS, Precision, shrink
from .proof import Proof, Tick, proven
from .proof import prove as prove_runtimes
from .quicker_graphs import quicken
from .rows_alone import check_rows
from .shared_weights import share_weights, stored
from .trials import tolerance_of, trial_of

Say = Callable[[str], None]

WEIGHTS = "weights.safetensors"
SHARED = "weights.data"
UNPROVEN = "no runtime here has kernels for the dialect 'plugin'; nothing was run or compared"


@dataclass(frozen=True)
class GraphOptions:
    """How graphs are made. Raises OptionError for a name that there is not.

    Attributes:
        dialect: whose operators they use: "ort" (ONNX Runtime's stateful ones), "portable" (plain ONNX) or
            "plugin" (one node an operator, for runtimes that are given kernels).
        precision: "fp32", "fp16" or "int8"; states and recurrent operators are float32 in each.
        clips: what int8 is calibrated on; rendered clips where there are none.
    """

    dialect: Dialect = "ort"
    precision: Precision = "fp32"
    clips: Sequence[Clip] = ()

    def __post_init__(self) -> None:
        for what, value, known in (
            ("dialect", self.dialect, get_args(Dialect)),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise OptionError(f"the {what} {value!r} is unknown", f"choose one of {', '.join(known)}")
        if self.dialect == "plugin" and self.precision != "fp32":
            raise OptionError(
                f"graphs of the dialect 'plugin' are not made in {self.precision}",
                "export them in fp32; the runtime that has the kernels chooses its precision",
            )
        if self.clips and self.precision != "int8":
            raise OptionError(f"{self.precision} is not calibrated", "give clips with int8 only")


def bundle_model(
    model: nn.Module,
    spec: ModelSpec,
    out: Path,
    *,
    provenance: Mapping[str, JSON],
    metrics: Mapping[str, JSON] | None = None,
    frames: int = 300,
    options: GraphOptions | None = None,
    build: Build = build_model,
    replace: bool = False,
    say: Say = lambda text: None,
    tick: Tick = lambda frame: None,
) -> tuple[Bundle, Proof]:
    """Writes a bundle with weights and ONNX graphs, after closed-loop parity with the model in float32.

    The model's operators are proved beside one huge step too, see ``operator_proof``.

    Args:
        model: trained, in evaluation mode.
        spec: what it is.
        out: the bundle's folder.
        provenance, metrics: how it came to be, and how good it is.
        frames: of the closed loop.
        options: dialect and precision of the graphs, by default "ort" and "fp32"; for the dialect "plugin"
            see ``bundle_unproven``.
        build: makes a model of this spec around given operators, without weights; needed for an architecture
            that ``models`` does not know.
        replace: replace a bundle that stands there already.
        say: told of each stage.
        tick: told of each frame of the loop.

    Raises:
        ExportError, ParityError: it cannot be exported, or the graphs do not agree; nothing is written.
        BundleError: ``out`` cannot be written.
    """
    options = options or GraphOptions()
    if options.dialect == "plugin":
        raise OptionError(
            "graphs of the dialect 'plugin' cannot be compared here",
            "use bundle_unproven, or another dialect",
        )
    why_not = trial_of(spec.task).only_fp32
    if options.precision != "fp32" and why_not:
        raise OptionError(
            f"a model for {spec.task} is not exported in {options.precision}: {why_not}", "export it in fp32"
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / WEIGHTS).write_bytes(stored(dump_weights(model)))
        files: dict[str, Path | bytes] = {WEIGHTS: folder / WEIGHTS}
        graphs = write_graphs(spec, dump_weights(model), folder, say, options.dialect, build)
        about = describe(options)
        about["operators"] = prove_operators(spec, build, options.dialect, say)
        feeds: Feeds = {}
        if options.precision == "int8":
            trial = write_bundle(
                folder / "float", spec, {**files, **graphs}, provenance={}, metrics={}, parity={}
            )
            clips = options.clips or synthetic_clips()
            feeds = calibrate(trial, clips, say)
            about["calibration"] = {
                "synthetic": not options.clips,
                "clips": [clip.name for clip in clips],
                "feeds": {function: len(given) for function, given in feeds.items()},
            }
        finished = {**files, **finish_graphs(graphs, options, feeds, say)}
        trial = write_bundle(folder / "trial", spec, finished, provenance={}, metrics={}, parity={})
        parity = prove(trial, frames, say, precision=options.precision, build=build, tick=tick)
        bundle = write_bundle(
            out,
            spec,
            finished,
            provenance=provenance,
            metrics=metrics or {},
            parity={"onnx": {**about, **parity.to_json()}},
            replace=replace,
        )
    return bundle, parity


def bundle_unproven(
    model: nn.Module,
    spec: ModelSpec,
    out: Path,
    *,
    provenance: Mapping[str, JSON],
    metrics: Mapping[str, JSON] | None = None,
    build: Build = build_model,
    replace: bool = False,
    say: Say = lambda text: None,
) -> Bundle:
    """Writes a bundle with graphs of the dialect "plugin", which nothing here can run: no proof is made.

    The manifest says so, and ``auto`` passes its graphs over. Arguments and errors as in ``bundle_model``.
    """
    options = GraphOptions(dialect="plugin")
    with tempfile.TemporaryDirectory() as temporary:
        weights, folder = dump_weights(model), Path(temporary)
        (folder / WEIGHTS).write_bytes(stored(weights))
        graphs = write_graphs(spec, weights, folder, say, options.dialect, build)
        return write_bundle(
            out,
            spec,
            {WEIGHTS: folder / WEIGHTS, **finish_graphs(graphs, options, {}, say)},
            provenance=provenance,
            metrics=metrics or {},
            parity={"onnx": {**describe(options), "frames": 0, "passed": None, "why": UNPROVEN}},
            replace=replace,
        )


def write_graphs(
    spec: ModelSpec,
    weights: Mapping[str, Any],
    folder: Path,
    say: Say,
    dialect: Dialect = "ort",
    build: Build = build_model,
) -> dict[str, Path]:
    """``<function>.onnx`` in float32 for every function of the spec, each with its own weights inside."""
    model = build(spec, onnx_operators(dialect)).eval()
    load_weights(model, weights)
    files = {}
    for function in spec.functions:
        say(f"exporting {function} ({dialect})")
        files[f"{function}.onnx"] = folder / f"{function}.onnx"
        export_function(model, spec, function, files[f"{function}.onnx"])
    plain = build(spec, eager_operators()).eval()
    load_weights(plain, weights)
    check_rows(plain, spec)
    return files


def finish_graphs(
    graphs: Mapping[str, Path], options: GraphOptions, feeds: Feeds, say: Say
) -> dict[str, Path]:
    """Makes some graphs quicker, or smaller, in place, and moves their weights into one file beside them."""
    for name, path in graphs.items():
        if options.precision != "fp32":
            say(f"making {name} smaller ({options.precision})")
        elif options.dialect == "ort":
            model = onnx.load(path)
            quicken(model)
            onnx.save(model, path)
        shrink(path, options.precision, feeds.get(path.stem, []))
    folder = next(iter(graphs.values())).parent
    weights = folder / WEIGHTS
    shared = share_weights(graphs, folder / SHARED, weights if weights.exists() else None)
    return {**graphs, **({SHARED: folder / SHARED} if shared else {})}


def calibrate(bundle: Bundle, clips: Sequence[Clip], say: Say) -> Feeds:
    """What the functions of a float32 bundle are fed while the engine follows the clips."""
    say(f"calibrating on {', '.join(clip.name for clip in clips)}")
    runtime = open_runtime(bundle, "onnx", device="cpu", threads=1)
    try:
        return record_feeds(runtime, clips)
    finally:
        runtime.close()


def prove(
    bundle: Bundle,
    frames: int,
    say: Say,
    *,
    precision: Precision = "fp32",
    build: Build = build_model,
    tick: Tick = lambda frame: None,
) -> Proof:
    """Runs eager and ONNX Runtime side by side. Raises ParityError beyond the tolerance."""
    say(f"comparing onnx with eager over {frames} closed-loop frames")
    allowed = tolerance_of(bundle.spec.task, precision)
    return proven(
        EagerRuntime(bundle, device="cpu", threads=1, build=build),
        open_runtime(bundle, "onnx", device="cpu", threads=1),
        lambda ours, theirs: prove_runtimes(ours, theirs, frames=frames, tolerance=allowed, tick=tick),
        "export in fp32, or report the operator that drifts",
    )


def describe(options: GraphOptions) -> dict[str, Any]:
    """What the manifest says of the graphs."""
    return {"dialect": options.dialect, "precision": options.precision, "opset": OPSET}
