"""The stateless baseline of a tracker, of the same weights, beside the stateful step: ready to be timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save
from torch import nn

from ..bundles import Bundle, ModelSpec, write_bundle
from ..errors import OptionError
from ..models import load_weights
from ..models.systems import architecture
from ..plugins import Operators, eager_operators
from ..plugins.operators import Dialect, onnx_operators
from ..runtimes import Arrays, Runtime, open_runtime
from ..runtimes.eager import EagerRuntime
from ..vision import around, cut, normalise
from ..vision.synthetic import demo_clip
from .bundle import Say
from .graphs import export_function

STATELESS = ("stateless", "cached")
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class HistoryCase:
    """One number of templates.

    Attributes:
        history: templates.
        calls: "stateless", "cached" and "stateful", each one frame: no arguments, outputs by name.
        reference: the outputs of eager PyTorch, everything recomputed.
    """

    history: int
    calls: dict[str, Callable[[], Arrays]]
    reference: Arrays


@contextmanager
def history_cases(
    bundle: Bundle, histories: Sequence[int], folder: Path, *, runtime: str, ops: Dialect, say: Say
) -> Iterator[list[HistoryCase]]:
    """The forms of a tracker for some numbers of templates, on one thread, fed with a rendered clip.

    Args:
        bundle: a tracker whose architecture has a stateless form, with weights.
        histories: numbers of templates, each at least 1.
        folder: an empty one for what is made.
        runtime: "onnx", where both sides are graphs in the dialect ``ops``, or "eager".
        ops: the dialect; unused by eager.
        say: told of each stage.

    Raises:
        OptionError: another architecture or runtime, or a number below 1.
        BundleError: the bundle has no weights. ExportError: a graph cannot be made.
    """
    if runtime not in ("onnx", "eager"):
        raise OptionError(f"there is no stateless form on runtime {runtime!r}", "choose onnx or eager")
    architecture(bundle.spec.architecture).load("history")
    if not histories or min(histories) < 1:
        raise OptionError(f"the numbers of templates are {list(histories)}", "give 1 or more")
    with ExitStack() as stack:
        stateful = None
        if runtime == "onnx":
            stateful = stack.enter_context(closing(_step(bundle, folder / "step", ops, say)))
        yield [
            _case(bundle, history, folder / str(history), ops, say, stateful, stack) for history in histories
        ]


def _case(
    bundle: Bundle,
    history: int,
    folder: Path,
    ops: Dialect,
    say: Say,
    stateful: Runtime | None,
    stack: ExitStack,
) -> HistoryCase:
    def build(spec: ModelSpec, operators: Operators) -> Any:
        return _with_templates(bundle.spec, operators, history)

    spec = build(bundle.spec, eager_operators()).spec(bundle.spec.name)
    folder.mkdir()
    weights = {WEIGHTS: save(bundle.weights())}
    whole = write_bundle(folder / "eager", spec, weights, provenance={}, metrics={}, parity={})
    eager: Runtime = stack.enter_context(closing(EagerRuntime(whole, device="cpu", build=build)))
    templates, search = _crops(spec, history)
    state = eager.call("init", {"templates": templates}, None)[1]
    assert state is not None
    features = np.stack(
        [
            eager.call("encode", {"template": templates[:, place]}, None)[0]["features"]
            for place in range(history)
        ],
        axis=1,
    )
    step_inputs = spec.function("step").inputs
    told = {one.name: np.zeros(one.concrete(1), one.dtype) for one in step_inputs if one.name == "history"}
    inputs = {"stateless": {"templates": templates, **told}, "cached": {"features": features, **told}}
    baseline = eager
    if stateful is not None:
        functions = {name: spec.function(name) for name in STATELESS}
        made = _exported(bundle, replace(spec, functions=functions), build, folder, ops, say)
        baseline = stack.enter_context(closing(open_runtime(made, "onnx", device="cpu", threads=1)))
        if stateful.spec.state != spec.state:  # layers that attend keep every template, so a step has its own
            (folder / "step").mkdir()
            mine = replace(spec, functions={"step": spec.function("step")})
            made = _exported(bundle, mine, build, folder / "step", ops, say)
            stateful = stack.enter_context(closing(open_runtime(made, "onnx", device="cpu", threads=1)))
    stepping = stateful or eager
    store = stepping.allocate(1)
    store.load_row(0, {name: np.asarray(rows)[0].copy() for name, rows in state.items()})
    if any(one.name == "carry" for one in step_inputs):
        told["carry"] = np.zeros(1, np.float32)  # the stateless tracker carries nothing from frame to frame

    def called(runtime: Runtime, function: str, given: Arrays) -> Callable[[], Arrays]:
        return lambda: runtime.call(function, given, None)[0]

    def step() -> Arrays:
        return stepping.call("step", {"search": search, **told}, store.read([0]))[0]

    calls = {name: called(baseline, name, {**inputs[name], "search": search}) for name in STATELESS}
    reference = eager.call("stateless", {**inputs["stateless"], "search": search}, None)[0]
    return HistoryCase(history, {**calls, "stateful": step}, reference)


def _with_templates(spec: ModelSpec, operators: Operators, history: int) -> Any:
    """A tracker over so many templates, without its weights."""
    row = architecture(spec.architecture)
    return row.load("history")(row.options(spec.config), operators, history).eval()


def _step(bundle: Bundle, folder: Path, ops: Dialect, say: Say) -> Runtime:
    """The stateful tracker's step in a dialect: the bundle's own graph, where it is in that one."""
    graphs: Any = bundle.parity.get("onnx") or {}
    if graphs.get("dialect") == ops and graphs.get("precision") == "fp32":
        return open_runtime(bundle, "onnx", device="cpu", threads=1)
    from ..models import build_model

    folder.mkdir()
    spec = replace(bundle.spec, functions={"step": bundle.spec.function("step")})
    return open_runtime(
        _exported(bundle, spec, build_model, folder, ops, say), "onnx", device="cpu", threads=1
    )


def _exported(
    bundle: Bundle,
    spec: ModelSpec,
    build: Callable[[ModelSpec, Operators], nn.Module],
    folder: Path,
    ops: Dialect,
    say: Say,
) -> Bundle:
    """A bundle of graphs of every function of ``spec``."""
    model = build(bundle.spec, onnx_operators(ops)).eval()
    load_weights(model, bundle.weights())
    files: dict[str, Path | bytes] = {}
    for function in spec.functions:
        say(f"exporting {function} for {folder.name} ({ops})")
        path = folder / f"{function}.onnx"
        export_function(model, spec, function, path)
        files[path.name] = path
    return write_bundle(folder / "graphs", spec, files, provenance={}, metrics={}, parity={})


def _crops(spec: ModelSpec, history: int) -> tuple[Any, Any]:
    """Templates (1, T, 3, S_z, S_z) and a search crop (1, 3, S_x, S_x) of a rendered clip, in time order."""
    pre: Any = spec.preprocess
    clip = [(image, box) for image, box, _ in demo_clip(5, history + 1, (320, 240))]
    views = [
        cut(image, around(box, pre["template_factor"], pre["template_size"])) for image, box in clip[:history]
    ]
    seen, last = clip[history][0], clip[history - 1][1]
    search = cut(seen, around(last, pre["search_factor"], pre["search_size"]))
    return normalise(np.stack(views))[None], normalise(search[None])
