"""One graph into one TensorRT plan: network, profiles, timing cache, progress, and a report of its layers.

NOT RUN on TensorRT: written to its documented interface.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bundles import FunctionSpec, ModelSpec, Size, TensorSpec, past_name
from ..errors import ExportError
from ..runtimes.tensorrt_plan import PlanKey

WORKSPACE = 1 << 30
"""Bytes of scratch memory that a layer may use; Orin Nano has 8 GB for everything."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """A built plan, and its layers counted by kind."""

    content: bytes
    layers: Mapping[str, int]


Profile = dict[str, tuple[tuple[int, ...], ...]]
"""The least, usual and largest shape of every input and past state."""


def profiles_of(spec: ModelSpec, function: FunctionSpec, key: PlanKey) -> list[Profile]:
    """A profile for every range of sizes of frames, in the order of the key; one where it has none."""
    states = {tensor.name: tensor for tensor in spec.state}
    tensors: dict[str, TensorSpec] = {tensor.name: tensor for tensor in function.inputs}
    tensors |= {past_name(name): states[name] for name in function.reads_state}
    rows = (key.smallest, key.usual, key.largest)
    sizes: list[tuple[Size | None, ...]] = [(one.least, one.usual, one.most) for one in key.frames]
    return [
        {
            name: tuple(tensor.concrete(count, size) for count, size in zip(rows, frames, strict=True))
            for name, tensor in tensors.items()
        }
        for frames in sizes or [(None, None, None)]
    ]


def build_plan(
    trt: Any, graph: Path, spec: ModelSpec, function: str, key: PlanKey, timing: Path, say: Say
) -> Plan:
    """Builds a graph into a plan.

    Types are those of the graph (a strongly typed network), so states stay float32 in every precision. TF32
    is off: it would cost three digits.

    Args:
        trt: the module ``tensorrt``, with the plugins registered.
        graph: as ``tensorrt_graph.prepare_graph`` leaves it.
        timing: the file of the timing cache: read where it is, and written where it can be.
        say: told of the builder's phases.

    Raises ExportError with TensorRT's reason.
    """
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        reasons = "; ".join(str(parser.get_error(place)) for place in range(parser.num_errors))
        raise ExportError(f"TensorRT cannot read {graph.name} ({reasons})", "update TensorRT, or --to onnx")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.progress_monitor = monitor(trt, function, say)
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)
    use_timing(config, timing, say)
    for shapes in profiles_of(spec, spec.function(function), key):
        add_profile(builder, config, function, shapes)
    content = builder.build_serialized_network(network, config)
    if content is None:
        raise ExportError(f"TensorRT cannot build {function}; the lines above say why", "see docs/gpu.md")
    keep_timing(config, timing, say)
    plan = bytes(content)
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        raise ExportError(f"TensorRT cannot read the plan of {function} back", "report this")
    told = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    return Plan(plan, count_layers(told))


def timing_name(key: PlanKey) -> str:
    """The file of the timing cache: measurements hold for one version of TensorRT on one kind of GPU."""
    place = hashlib.sha256(f"{key.tensorrt}\0{key.gpu}".encode()).hexdigest()[:16]
    return f"timing-{key.tensorrt}-{place}.cache"


def use_timing(config: Any, path: Path, say: Say) -> None:
    """Hands earlier measurements to a build; without those that TensorRT does not take, it measures anew."""
    kept = [path.read_bytes()] if path.is_file() else []
    for content in [*kept, b""]:
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return
        say("TensorRT does not take the timing cache and measures anew")


def keep_timing(config: Any, path: Path, say: Say) -> None:
    """Writes the measurements of a build. That this fails costs time later, and never the build."""
    try:
        cache = config.get_timing_cache()
        content = None if cache is None else cache.serialize()
        if content is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(bytes(content))
        os.replace(file.name, path)
    except OSError as error:
        say(f"the timing cache cannot be kept ({error})")


def add_profile(builder: Any, config: Any, function: str, shapes: Profile) -> None:
    """Adds one profile to a build. Raises ExportError where TensorRT does not take it."""
    profile = builder.create_optimization_profile()
    for name, three in shapes.items():
        profile.set_shape(name, *three)
    if config.add_optimization_profile(profile) < 0:
        raise ExportError(f"TensorRT refuses the shapes of {function} ({shapes})", "give other sizes")


def network_flags(trt: Any) -> int:
    """Strongly typed; and kernels of plugins in the engine, where this TensorRT can."""
    flags = trt.NetworkDefinitionCreationFlag
    chosen = 1 << int(flags.STRONGLY_TYPED)
    if hasattr(flags, "PREFER_AOT_PYTHON_PLUGINS"):
        chosen |= 1 << int(flags.PREFER_AOT_PYTHON_PLUGINS)
    return chosen


def monitor(trt: Any, function: str, say: Say) -> Any:
    """TensorRT's progress, said in words: a phase, and each tenth of its steps."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # TensorRT has no types
        """Told by TensorRT; any of its threads may call."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            if parent_phase is None:
                say(f"building {function}: {phase_name}")

        def step_complete(self, phase_name: str, step: int) -> bool:
            total = self.steps.get(phase_name, 0)
            if total >= 10 and step and step % (total // 10) == 0:
                say(f"building {function}: {phase_name} {100 * step // total} %")
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


def count_layers(told: str) -> dict[str, int]:
    """Layers by kind, from what the engine inspector says; empty where it says nothing of use."""
    try:
        layers = json.loads(told)["Layers"]
    except (ValueError, KeyError, TypeError):
        return {}
    if not isinstance(layers, list):
        return {}
    kinds = [layer.get("LayerType", "unknown") if isinstance(layer, dict) else "unknown" for layer in layers]
    return dict(sorted(Counter(str(kind) for kind in kinds).items()))
