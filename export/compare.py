"""One model in every form that it can run in here: size, time of a step, and distance from the reference."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from safetensors.numpy import save

from ..bundles import Bundle, past_name, write_bundle
from ..models import Build, build_model
from ..plugins.operators import Dialect
from ..runtimes import Arrays, Runtime, State, open_runtime
from ..runtimes.eager import EagerRuntime
from .bundle import SHARED, GraphOptions, Say, calibrate, finish_graphs, write_graphs
from .calibration import Clip, Feeds, synthetic_clips
from .precision import Precision
from .proof import Proof, Tick, prove

FUNCTION = "step"
WEIGHTS = "weights.safetensors"
GRAPHS: tuple[tuple[Dialect, Precision], ...] = (
    ("ort", "fp32"), ("portable", "fp32"), ("ort", "fp16"), ("ort", "int8"),
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """A way to run the model, and what was measured.

    Attributes:
        name: such as "onnx ort fp32".
        bytes: of the files that it reads.
        ms: median time of one step of one session on one thread.
        max_abs: largest difference of an output or a state from eager fp32, on equal inputs and states.
        median_drift_px, box_drift_px: of the boxes over the closed loop, see ``trials``.
    """

    name: str
    bytes: int
    ms: float
    max_abs: float
    median_drift_px: float
    box_drift_px: float


def compare_forms(
    bundle: Bundle,
    *,
    repetitions: int = 60,
    frames: int = 60,
    clips: Sequence[Clip] = (),
    build: Build = build_model,
    say: Say = lambda text: None,
    tick: Tick = lambda frame: None,
) -> list[Form]:
    """Makes and measures every form of a tracker that has weights; eager fp32 comes first, as the reference.

    Args:
        bundle: with weights.
        repetitions: steps timed of each form, one form after another each time, so that noise hits all alike.
        frames: of the closed loop.
        clips: what int8 is calibrated on; rendered clips where there are none.
        build: as in ``bundle_model``.
        say, tick: told of each stage, and of each frame of a closed loop.

    Raises:
        BundleError: the bundle has no weights. ExportError: a graph cannot be made.
    """
    weights = bundle.weights()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        plain: dict[Dialect, Mapping[str, Path]] = {}
        for dialect in ("ort", "portable"):
            (folder / dialect).mkdir()
            plain[dialect] = write_graphs(bundle.spec, weights, folder / dialect, say, dialect, build)
        whole: dict[str, Path | bytes] = {**plain["ort"], WEIGHTS: save(weights)}
        trial = write_bundle(folder / "trial", bundle.spec, whole, provenance={}, metrics={}, parity={})
        feeds = calibrate(trial, clips or synthetic_clips(), say)

        def opened(runtime: Runtime) -> Runtime:
            return stack.enter_context(closing(runtime))

        forms: dict[str, tuple[int, Runtime]] = {
            "eager fp32": (trial.files[WEIGHTS].bytes, opened(EagerRuntime(trial, build=build))),
            "eager bf16": (
                trial.files[WEIGHTS].bytes,
                opened(EagerRuntime(trial, build=build, precision="bf16")),
            ),
        }
        for dialect, precision in GRAPHS:
            made = _graphs_in(
                bundle, plain[dialect], folder / f"{dialect}_{precision}", precision, feeds, say
            )
            size = sum(member.bytes for member in made.files.values())
            forms[f"onnx {dialect} {precision}"] = (size, opened(open_runtime(made, "onnx", threads=1)))
        say(f"timing {len(forms)} forms, {repetitions} steps each")
        runtimes = {name: runtime for name, (_, runtime) in forms.items()}
        times = _interleaved(runtimes, feeds[FUNCTION], repetitions)
        agreement = {}
        for name, runtime in runtimes.items():
            say(f"following {frames} frames with {name}")
            agreement[name] = prove(runtimes["eager fp32"], runtime, frames=frames, tick=tick)
        return [_form(name, size, times[name], agreement[name]) for name, (size, _) in forms.items()]


def _form(name: str, size: int, seconds: Sequence[float], proof: Proof) -> Form:
    return Form(
        name=name,
        bytes=size,
        ms=1e3 * median(seconds),
        max_abs=proof.max_abs,
        median_drift_px=proof.values["median_drift_px"],
        box_drift_px=proof.values["box_drift_px"],
    )


def _graphs_in(
    bundle: Bundle, plain: Mapping[str, Path], folder: Path, precision: Precision, feeds: Feeds, say: Say
) -> Bundle:
    """A bundle of graphs alone, made from float32 ones."""
    work = folder.with_name(f"{folder.name}_work")
    work.mkdir()
    copies = {name: Path(shutil.copy(path, work / name)) for name, path in plain.items()}
    files = finish_graphs(copies, GraphOptions(precision=precision), feeds, say)
    assert set(files) <= {*plain, SHARED}
    return write_bundle(folder, bundle.spec, files, provenance={}, metrics={}, parity={})


def _interleaved(
    runtimes: Mapping[str, Runtime], feeds: Sequence[Arrays], repetitions: int
) -> dict[str, list[float]]:
    """Seconds of each step: every form once, then every form again, each time beginning with another."""
    calls = {name: _call_of(runtime, feeds) for name, runtime in runtimes.items()}
    times: dict[str, list[float]] = {name: [] for name in runtimes}
    names = list(runtimes)
    for turn in range(-3, repetitions):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            began = time.perf_counter()
            calls[name](turn % len(feeds))
            if turn >= 0:  # the first turns warm up
                times[name].append(time.perf_counter() - began)
    return times


def _call_of(runtime: Runtime, feeds: Sequence[Arrays]) -> Callable[[int], object]:
    """Runs the step on one of the feeds, with the state in the runtime's own memory."""
    spec = runtime.spec.function(FUNCTION)
    zeros = {tensor.name: np.zeros(tensor.concrete(1)[1:], tensor.dtype) for tensor in runtime.spec.state}
    prepared: list[tuple[Arrays, State]] = []
    for feed in feeds:
        store = runtime.allocate(1)
        store.load_row(0, {**zeros, **{key: feed[past_name(key)][0] for key in spec.reads_state}})
        prepared.append(({tensor.name: feed[tensor.name] for tensor in spec.inputs}, store.read([0])))

    def call(index: int) -> object:
        inputs, state = prepared[index]
        return runtime.call(FUNCTION, inputs, state)

    return call
