"""A bundle with TensorRT plans: built from the plugin dialect, and kept after closed-loop parity with eager.

NOT RUN on TensorRT: written to its documented interface.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..bundles import Bundle, write_bundle
from ..errors import ExportError, OptionError, RuntimeUnavailableError
from ..plugins.tensorrt_registry import Way, plugin_hash, register_plugins
from ..runtimes import Runtime
from ..runtimes.eager import EagerRuntime
from ..runtimes.tensorrt import INSTALL, TensorRTRuntime, open_vendor
from ..runtimes.tensorrt_plan import PlanKey, plan_key, plan_name
from .bundle import Say, write_graphs
from .precision import Precision, shrink
from .proof import Proof, Tick, joined, proven
from .proof import prove as prove_runtimes
from .tensorrt_build import Plan, build_plan, timing_name
from .tensorrt_graph import prepare_graph
from .tensorrt_sizes import frame_ranges
from .trials import Tolerance, tolerance_of, trial_of

PRECISIONS = ("fp32", "fp16")


@dataclass(frozen=True)
class PlanOptions:
    """What plans are built for. Raises OptionError for a precision that there is not.

    Attributes:
        precision: "fp32" or "fp16"; inputs, outputs, states and recurrence are float32 in both.
        smallest, usual, largest: rows of a batch.
        sizes: for an interpolator, the sizes of frames: each "WIDTHxHEIGHT", or three of them, least, usual
            and most, with ":" between.
    """

    precision: Precision = "fp32"
    smallest: int = 1
    usual: int = 8
    largest: int = 64
    sizes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise OptionError(
                f"TensorRT plans are not built in {self.precision!r}", f"choose {' or '.join(PRECISIONS)}"
            )


def export_tensorrt(
    source: Bundle,
    out: Path,
    options: PlanOptions,
    *,
    frames: int = 300,
    replace: bool = False,
    say: Say = lambda text: None,
    tick: Tick = lambda frame: None,
) -> tuple[Bundle, Proof]:
    """Builds a tracker's or an interpolator's plans here, proves them, and writes them beside the weights.

    Plans that were built before with the same key come from the cache; they are proven anew all the same.

    Raises:
        BundleError: the bundle has no weights.
        OptionError: the batches or the sizes make no sense, or are not for such a model.
        RuntimeUnavailableError: no TensorRT, pycuda or GPU, or no way to compile the plugins.
        ExportError, ParityError: it cannot be built, or does not agree; nothing is written.
    """
    weights = source.weights()
    spec = source.spec
    check_options(source, options)
    ranges = frame_ranges(spec, options.sizes)
    trt, memory = open_vendor()
    key = PlanKey(
        bundle=source.hash,
        plugins=plugin_hash(),
        precision=options.precision,
        smallest=options.smallest,
        usual=options.usual,
        largest=options.largest,
        tensorrt=str(trt.__version__),
        gpu=memory.gpu,
        frames=ranges,
    )
    way = ready_plugins(trt)
    cache = cache_folder()
    with tempfile.TemporaryDirectory() as temporary:
        plans: dict[str, Plan] = {}
        graphs: dict[str, Path] | None = None
        for function in spec.functions:
            kept = cache / key.digest / plan_name(function)
            if kept.is_file():
                say(f"{function}: from the cache")
                plans[function] = Plan(kept.read_bytes(), {})
                continue
            if graphs is None:
                graphs = write_graphs(spec, weights, Path(temporary), say, "plugin")
            path = graphs[f"{function}.onnx"]
            shrink(path, options.precision, [])
            counts = prepare_graph(path, spec, spec.function(function))
            nodes = ", ".join(f"{count} {name}" for name, count in counts.items())
            say(f"building {function} ({nodes or 'no plugins'})")
            with memory.current():
                plans[function] = build_plan(trt, path, spec, function, key, cache / timing_name(key), say)
            store(kept, plans[function].content)
        about: dict[str, Any] = {
            "key": key.to_json(),
            "plugins": way,
            "layers": {function: dict(plan.layers) for function, plan in plans.items()},
        }
        files: dict[str, Path | bytes] = {"weights.safetensors": source.file("weights.safetensors")}
        files |= {plan_name(function): plan.content for function, plan in plans.items()}
        told: dict[str, Any] = {"provenance": source.provenance, "metrics": source.metrics}
        trial = write_bundle(Path(temporary) / "trial", spec, files, **told, parity={"tensorrt": about})
        parity = prove(trial, options.precision, frames, say, tick)
        written = write_bundle(
            out, spec, files, **told, parity={"tensorrt": {**about, **parity.to_json()}}, replace=replace
        )
    return written, parity


def check_options(source: Bundle, options: PlanOptions) -> None:
    """Raises OptionError for options that such a model's plans cannot have."""
    task, name = source.spec.task, source.spec.name
    trial = trial_of(task)
    if not trial.plans:
        raise OptionError(f"{name!r} is for {task}, which nothing proves plans for", "use --to onnx")
    if trial.only_fp32 and options.precision != "fp32":
        raise OptionError(
            f"plans for {task} are not built in {options.precision}: {trial.only_fp32}", "build them in fp32"
        )


def ready_plugins(trt: Any) -> Way:
    """Registers the plugins. Raises RuntimeUnavailableError where they cannot be compiled here."""
    try:
        import triton  # noqa: F401
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"the plugins' kernels are compiled by Triton, which does not import ({error})",
            "pip install 'framestate[cuda]'",
        ) from error
    try:
        return register_plugins(trt)
    except Exception as error:  # TensorRT raises what it meets
        raise RuntimeUnavailableError(f"TensorRT refuses the plugins ({error})", INSTALL) from error


def prove(bundle: Bundle, precision: Precision, frames: int, say: Say, tick: Tick) -> Proof:
    """Runs eager and TensorRT side by side. Raises ParityError beyond the tolerance."""
    say(f"comparing tensorrt with eager over {frames} closed-loop frames")
    allowed = tolerance_of(bundle.spec.task, precision)
    return proven(
        EagerRuntime(bundle, device="cpu", threads=1),
        TensorRTRuntime(bundle),
        lambda ours, theirs: proof_of_sizes(bundle, ours, theirs, frames, allowed, tick),
        "build in fp32",
    )


def proof_of_sizes(
    bundle: Bundle, reference: Runtime, candidate: Runtime, frames: int, allowed: Tolerance, tick: Tick
) -> Proof:
    """A clip of each size that the plans are tuned for, the frames shared out; the worst of all counts."""
    sizes = [(one.usual[1], one.usual[0]) for one in plan_key(bundle).frames] or [(640, 360)]
    share = frames if len(sizes) == 1 else max(2, frames // len(sizes))
    return joined(
        [
            prove_runtimes(
                reference, candidate, frames=share, tolerance=allowed, size=size,
                tick=partial(told_from, tick, place * share),
            )
            for place, size in enumerate(sizes)
        ]
    )  # fmt: skip


def told_from(tick: Tick, first: int, frame: int) -> None:
    """Tells of a frame of a later clip, counted from its first."""
    tick(first + frame)


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where plans and the timing cache are kept: ``$XDG_CACHE_HOME/framestate/tensorrt``."""
    given = environment.get("XDG_CACHE_HOME", "")
    base = Path(given) if given.startswith("/") else Path.home() / ".cache"
    return base / "framestate" / "tensorrt"


def store(path: Path, content: bytes) -> None:
    """Writes a file of the cache whole or not at all. Raises ExportError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({error})", "set XDG_CACHE_HOME") from error
