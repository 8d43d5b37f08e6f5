"""Any recurrent model of frames in ONNX, states as inputs and outputs, as a bundle of the task ``stream``.

The states become the session's, all else keeps its name. Before anything is written, a session of the engine
has to give, frame by frame and bit for bit, what the file gives on plain ONNX Runtime.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..bundles import JSON, Bundle, ModelSpec, TensorSpec, past_name, write_bundle
from ..engine import Engine
from ..errors import ExportError, FramestateError, OptionError, ParityError
from ..runtimes import Arrays, Runtime, RuntimeOver, State, open_runtime
from ..vision import Frame
from .adopt_graphs import STEP, StreamOptions, plain_name, write_graphs
from .adopt_plain import CHANNELS, Feeds, Plain, Wanted
from .adopt_shapes import Shapes, learn
from .onnx_surgery import read_graph
from .proof import Tick
from .trials import moving

KINDS = ("picture", "mask", "tensor")
ROWS_TOLERANCE = 1e-4  # relative, of a row in a batch


def adopt_stream(
    path: Path,
    out: Path,
    options: StreamOptions,
    *,
    name: str,
    provenance: Mapping[str, JSON],
    frames: int = 12,
    tick: Tick = lambda frame: None,
) -> Bundle:
    """Writes a bundle from one ONNX file.

    Args:
        path: the file; data that it keeps in others is taken in.
        out: the bundle's folder.
        options: what is not to be read off the file.
        name: of the model.
        provenance: where the file comes from and under what licence.
        frames: over which the bundle is compared with the file.
        tick: told of each of them.

    Raises:
        OptionError: an input or output that is named is not there, or cannot be what it is called.
        ExportError, BundleError, RuntimeUnavailableError: the file cannot be read or run, or a state changes
            its shape.
        ParityError: the bundle differs from the file; nothing is written.
    """
    model, plain = read_graph(path), Plain(path)
    wanted = wanted_of(plain, options)
    shapes = learn(plain, wanted)
    with tempfile.TemporaryDirectory() as temporary:
        for rows in (2, 1):
            folder = Path(temporary) / str(rows)
            spec, files = write_graphs(model, plain, wanted, shapes, options, name, folder, rows)
            if rows > 1 and not rows_agree(spec, folder):
                continue  # its rows mix, or it takes but one
            trial = write_bundle(folder / "trial", spec, files, provenance={}, metrics={}, parity={})
            runtime = open_runtime(trial, "onnx", device="cpu", threads=1)
            try:
                compare(runtime, plain, wanted, shapes, frames, tick)
            finally:
                runtime.close()
            said: dict[str, JSON] = {"against": "plain ONNX Runtime", "frames": frames, "max_abs": 0.0}
            said |= {"passed": True, "rows": rows}
            return write_bundle(out, spec, files, provenance=provenance, metrics={}, parity={"onnx": said})
    raise AssertionError("a batch of one row is not compared with its rows")


def wanted_of(plain: Plain, options: StreamOptions) -> Wanted:
    """What every input is. Raises OptionError: a name is not there, or nothing is known of an input."""
    for what, names, known in (
        ("input", (*options.states, *options.inputs), plain.inputs),
        ("output", (*options.states.values(), *options.outputs), plain.outputs),
        ("state", tuple(options.initial), options.states),
    ):
        for one in names:
            if one not in known:
                raise OptionError(f"there is no {what} {one!r}", f"choose among {', '.join(known) or 'none'}")
    twice = [one for one in options.states if one in options.inputs]
    twice += [one for one in set(options.states.values()) if [*options.states.values()].count(one) > 1]
    if twice:
        raise OptionError(f"{twice[0]!r} is named twice", "an input or output is one thing, a state one pair")
    for name, kind in options.outputs.items():
        dims = plain.outputs[name].dims
        if kind not in KINDS:
            raise OptionError(f"output {name!r} is no {kind}", f"choose one of {', '.join(KINDS)}")
        if kind != "tensor" and len(dims) not in (3, 4):
            raise OptionError(f"output {name!r} has {len(dims)} axes, which is no {kind}", "call it a tensor")
    frames, seconds, values = [], [], {}
    for name, value in plain.inputs.items():
        if name in options.states:
            continue
        looks = len(value.dims) == 4 and (value.dims[1] in CHANNELS or value.dims[3] in CHANNELS)
        said = options.inputs.get(name, "frame" if looks else "")
        if said == "frame":
            frames.append(name)
        elif said == "seconds":
            seconds.append(name)
        elif isinstance(said, float):
            values[name] = said
        else:
            raise OptionError(
                f"input {name!r} is neither a state nor a frame",
                f"say what it is: --input {name}=NUMBER, =seconds or =frame, or --state {name}=OUTPUT",
            )
    if not frames:
        raise OptionError("none of the inputs is a frame", "name it: --input NAME=frame")
    return Wanted(
        options.states, tuple(frames), tuple(seconds), values, options.initial, options.size, options.multiple
    )


class Recorded(RuntimeOver):
    """A runtime that keeps the last call of ``step``."""

    last: tuple[Arrays, Arrays, State]

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """See ``Runtime.call``."""
        outputs, written = super().call(function, inputs, state)
        if function == STEP:
            self.last = inputs, outputs, written or {}
        return outputs, written


def compare(
    runtime: Runtime,
    plain: Plain,
    wanted: Wanted,
    shapes: Shapes,
    frames: int,
    tick: Tick,
) -> None:
    """Runs a session of the engine, and beside it the file with states of its own, on what the engine feeds.

    Raises ParityError where one bit differs, ExportError: the engine cannot run it.
    """
    recorded = Recorded(runtime)
    state: Feeds = dict(shapes.start)
    session = Engine(recorded, capacity=1).open()
    for index, (image, _) in enumerate(moving(frames, (162, 98))):  # a size that no multiple divides
        try:
            session.push(Frame(image, index, Fraction(1, 25), index))
        except FramestateError as error:
            raise ExportError(f"the engine cannot run it ({error.problem})", error.remedy) from error
        inputs, outputs, written = recorded.last
        given = {key: inputs[plain_name(key)] for key in plain.inputs if key not in wanted.states}
        if index == 0 and shapes.size is None:  # its states follow the size of these frames
            spec = runtime.spec.sized(*_seen(runtime.spec, inputs))
            zeros = {one.name: np.zeros(one.concrete(1), one.dtype) for one in spec.state}
            following = [key for key in wanted.states if key not in wanted.initial]
            state |= {key: _as_file(zeros[plain_name(key)], shapes.batch.get(key)) for key in following}
        before = state
        expected = plain.step({**given, **before})
        state = {key: expected[out] for key, out in wanted.states.items()}
        found = {key: outputs[plain_name(key)] for key in plain.outputs if plain_name(key) in outputs}
        pairs = [(key, expected[key], one) for key, one in found.items()]
        pairs += [(key, state[key], runtime.to_host(written[plain_name(key)])) for key in wanted.states]
        for key, one, other in pairs:
            if one.dtype != other.dtype or not np.array_equal(one, _as_file(other, shapes.batch.get(key))):
                raise differs(key, index, expected, plain.step({**given, **before}))
        tick(index)


def differs(key: str, index: int, expected: Feeds, again: Feeds) -> ParityError:
    """The error for a bundle that gives other numbers than its file, which may give others every time."""
    for name, one in expected.items():
        if not np.array_equal(one, again[name], equal_nan=one.dtype.kind == "f"):
            return ParityError(
                f"{name!r} of the file differs from itself when the same frame is run twice",
                "no bundle was written; export it without what is random, such as a dropout left on",
            )
    return ParityError(
        f"{key!r} of the bundle differs from the file's at frame {index}", "no bundle was written"
    )


def rows_agree(spec: ModelSpec, folder: Path) -> bool:
    """Whether two sessions' frames in one batch get what each gets alone."""
    sized = spec if spec.is_sized else spec.sized(*(64 * _multiple(spec) for _ in range(2)))
    step, rng = sized.function(STEP), np.random.default_rng(1)
    tensors = {one.name: one for one in step.inputs} | {past_name(one.name): one for one in sized.state}
    if any(one.batch_axis != 0 for one in tensors.values()):
        return False

    def drawn(tensor: TensorSpec) -> Any:
        shape = tensor.concrete(2)
        found = rng.random(shape) if np.dtype(tensor.dtype).kind == "f" else np.ones(shape)
        return found.astype(tensor.dtype)

    feeds = {name: drawn(tensor) for name, tensor in tensors.items()}
    try:
        graph = Plain(folder / f"{STEP}.onnx")
        both = graph.step(feeds)
        alone = [graph.step({key: one[row : row + 1] for key, one in feeds.items()}) for row in range(2)]
    except ExportError:
        return False
    for name, found in both.items():
        expected = np.concatenate([one[name] for one in alone])
        if found.shape != expected.shape or not np.allclose(found, expected, ROWS_TOLERANCE, ROWS_TOLERANCE):
            return False
    return True


def _as_file(value: Any, place: int | None) -> Any:
    """A tensor of the bundle, the batch first, as the file has it."""
    return value[0] if place is None else np.moveaxis(value, 0, place)


def _seen(spec: ModelSpec, inputs: Arrays) -> tuple[int, int]:
    """Height and width of the frames that a call was given."""
    for tensor in spec.function(STEP).inputs:
        height, width = tensor.size_in(inputs[tensor.name].shape)
        if height and width:
            return height, width
    raise AssertionError("a model that is not sized has frames that are not")


def _multiple(spec: ModelSpec) -> int:
    """What sides of frames have to be a multiple of."""
    inputs: Any = spec.preprocess["inputs"]
    return max(int(one.get("multiple", 1)) for one in inputs.values())
