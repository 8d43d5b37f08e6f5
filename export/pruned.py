"""What pruning brought: parameters, state, operations, and a frame's time on every runtime, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from statistics import median
from time import process_time

from ..bundles import Bundle, ModelSpec, Size
from ..models import build_model
from ..models.systems import architecture
from ..runtimes import open_runtime
from .flops import count_flops
from .model_measures import given

RUNTIMES = ("eager", "onnx")
FRAMES: Size = (256, 256)
"""Height and width of frames, where a model leaves them open."""


@dataclass(frozen=True)
class Cost:
    """What a frame of one model costs.

    Attributes:
        state_bytes: of a session.
        flops: of a frame, scans as their recurrences.
        ms: by runtime, median milliseconds of processor time on one thread.
    """

    parameters: int
    state_bytes: int
    flops: int
    ms: Mapping[str, float] = field(default_factory=dict)


def frame_functions(bundle: Bundle) -> tuple[str, ...]:
    """The functions that a frame calls."""
    return architecture(bundle.spec.architecture).frame


def sized(spec: ModelSpec) -> ModelSpec:
    """The spec for some size of frames."""
    return spec if spec.is_sized else spec.sized(*FRAMES)


def costs(bundles: Mapping[str, Bundle], repetitions: int = 30) -> dict[str, Cost]:
    """The costs of models by any names; all of them and all runtimes take turns, so that times compare."""
    with ExitStack() as stack:
        calls = {
            (name, runtime): frame_call(bundle, runtime, stack)
            for name, bundle in bundles.items()
            for runtime in RUNTIMES
            if runtime == "eager" or any(file.endswith(".onnx") for file in bundle.files)
        }
        times = medians(calls, repetitions)
    found = {}
    for name, bundle in bundles.items():
        spec = sized(bundle.spec)
        flops = count_flops(
            lambda operators, spec=spec: build_model(spec, operators),  # type: ignore[misc]
            spec,
            frame_functions(bundle),
        )
        ms = {runtime: value for (whose, runtime), value in times.items() if whose == name}
        found[name] = Cost(bundle.parameters or 0, spec.state_bytes, flops[0], ms)
    return found


def frame_call(bundle: Bundle, runtime: str, stack: ExitStack) -> Callable[[], object]:
    """One frame of a bundle on a runtime, on one thread."""
    opened = stack.enter_context(closing(open_runtime(bundle, runtime, device="cpu", threads=1)))
    spec = sized(bundle.spec)
    store = opened.allocate(1, None if bundle.spec.is_sized else FRAMES)
    store.load_row(0, {tensor.name: given(tensor)[0] for tensor in spec.state})
    names = frame_functions(bundle)
    inputs = {name: {one.name: given(one) for one in spec.function(name).inputs} for name in names}

    def call() -> None:
        for name in names:
            opened.call(name, inputs[name], store.read([0]))

    return call


def medians(
    calls: Mapping[tuple[str, str], Callable[[], object]], repetitions: int
) -> dict[tuple[str, str], float]:
    """Median milliseconds of processor time of each call, every one in turn, after three to warm up."""
    seconds: dict[tuple[str, str], list[float]] = {name: [] for name in calls}
    for turn in range(-3, repetitions):
        for name, call in calls.items():
            began = process_time()
            call()
            if turn >= 0:
                seconds[name].append(process_time() - began)
    return {name: 1e3 * median(taken) for name, taken in seconds.items()}


def faster(costs: Mapping[str, Cost], name: str, than: str, runtime: str) -> float | None:
    """How many times as fast a model is as another on a runtime; None where one was not run on it."""
    ours, theirs = costs[name].ms.get(runtime), costs[than].ms.get(runtime)
    return None if ours is None or theirs is None else theirs / ours
