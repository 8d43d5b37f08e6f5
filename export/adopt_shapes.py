"""What the tensors of somebody else's recurrent graph are: asked of ONNX Runtime, frame by frame.

Many files leave axes open, call them what they like, or start a state as (1, 1, 1, 1) and let it grow. So
nothing is believed that can be tried: the graph runs on frames of a size (or of two, where it takes any), and
what comes out tells which axes are the batch's, which follow the frames' sides, and which are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bundles import BATCH, Dim, Size
from ..bundles.tensor import MAX_DIVISOR
from ..errors import ExportError, OptionError, ParityError
from .adopt_plain import Array, Feeds, Plain, Value, Wanted, frame_axes, sides_of

UNIT = 64  # pixels: sides of the sizes that are tried are multiples of it
MAX_TRIED = 2**27
"""Numbers of a tensor: half a gigabyte of float32, eleven frames of 4K as RGB."""
GIVE_SIZE = "give --size HxW, to which frames are resized"


@dataclass(frozen=True)
class Shapes:
    """What was found.

    Attributes:
        values: axes of all inputs and outputs, by the names of the file.
        batch: which axis is the batch's; a tensor that is not named has none.
        start: what each state begins as, as the file has it, for frames of the first size that was tried.
        size: that frames are resized to; None where they are left as they are.
        multiple: what sides of frames have to be a multiple of.
    """

    values: Mapping[str, tuple[Dim, ...]]
    batch: Mapping[str, int]
    start: Feeds
    size: Size | None
    multiple: int


def learn(plain: Plain, wanted: Wanted) -> Shapes:
    """Runs the graph and sees. Raises OptionError, ExportError or ParityError: it cannot be made to fit."""
    check_sizes(plain)
    size = fixed_size(plain, wanted)
    unit = -(-UNIT // wanted.multiple) * wanted.multiple
    sizes = [size] if size else [(2 * unit, 3 * unit), (3 * unit, 5 * unit)]
    runs = [Trial(plain, wanted, one) for one in sizes]
    values: dict[str, tuple[Dim, ...]] = {}
    batch: dict[str, int] = {}
    outputs = {name: one for name, one in plain.outputs.items() if name not in wanted.states.values()}
    for name, value in {**outputs, **plain.inputs}.items():
        shapes = [run.shapes[name] for run in runs]
        place = runs[0].batch_axis(value, shapes[0])
        if place is not None:
            batch[name] = place
        values[name] = tuple(
            BATCH if axis == place else _dim(value, axis, [shape[axis] for shape in shapes], sizes)
            for axis in range(len(shapes[0]))
        )
    for name, out in wanted.states.items():
        values[out] = values[name]
        batch |= {out: batch[name]} if name in batch else {}
    divisors = [int(str(dim).split("/")[1]) for dims in values.values() for dim in dims if "/" in str(dim)]
    multiple = int(np.lcm.reduce([wanted.multiple, *divisors]))
    return Shapes(values, batch, runs[0].start, size, multiple)


def fixed_size(plain: Plain, wanted: Wanted) -> Size | None:
    """Height and width of the frames; None where the graph takes any. Raises OptionError."""
    sides = [sides_of(plain.inputs[name]) for name in wanted.frames]
    found = {side for side in sides if all(isinstance(one, int) for one in side)}
    size = wanted.size or next(iter(found), None)
    if size and math.prod(size) > MAX_TRIED // 3:  # type: ignore[operator]
        raise OptionError(f"frames of {size[0]}x{size[1]} are larger than any that is tried", "give less")
    if len(found) > 1 or (size and found - {size}):
        shown = " and ".join(f"{height}x{width}" for height, width in sorted(found))
        raise OptionError(
            f"the file takes frames of {shown}",
            "leave --size out, or give that"
            if len(found) == 1
            else "all frames of a model have one size; export the file so, or have it resize them itself",
        )
    for name, side in zip(wanted.frames, sides, strict=True):
        if size is None and any(isinstance(one, int) for one in side):
            place = frame_axes(plain.inputs[name])[0 if isinstance(side[1], int) else 1]
            raise OptionError(f"{plain.inputs[name].axis(place)} is open, the other side is not", GIVE_SIZE)
    return size  # type: ignore[return-value]  # numbers both, as was asked


def check_sizes(plain: Plain) -> None:
    """Raises ExportError: a tensor is declared larger than any that is worth an attempt."""
    for value in (*plain.inputs.values(), *plain.outputs.values()):
        items = math.prod(dim for dim in value.dims if isinstance(dim, int))
        if items > MAX_TRIED:
            shown = ", ".join(str(one or "?") for one in value.dims)
            raise ExportError(
                f"{value.name!r} is declared as ({shown}): {items:,} numbers, of at most {MAX_TRIED:,}",
                "export the file with smaller tensors",
            )


class Trial:
    """The graph on frames of one size, until its states have the shape that they keep.

    Attributes:
        shapes: of all inputs and outputs, states under the name of their input.
        start: what each state begins as.
    """

    def __init__(self, plain: Plain, wanted: Wanted, size: Size) -> None:
        self._plain, self._wanted, self._size = plain, wanted, size
        self._batches = {
            plain.inputs[name].dims[0]
            for name in wanted.frames
            if isinstance(plain.inputs[name].dims[0], str)
        } - {""} | {"batch", "batch_size"}
        rng = np.random.default_rng(0)
        given = {
            name: self._input(plain.inputs[name], rng) for name in plain.inputs if name not in wanted.states
        }
        first, zeros = self._first(given)
        state = {name: first[out] for name, out in wanted.states.items()}
        for name, value in state.items():
            _check_form(plain.inputs[name], value)
            _check_kept(plain.inputs[name], value)
        self.start = {
            name: begin(plain.inputs[name], state[name].shape, wanted.initial.get(name)) for name in state
        }
        later = plain.step({**given, **state})
        for name, out in wanted.states.items():
            _check_kept(plain.inputs[name], state[name], later[out])
        for name in set(plain.outputs) - set(wanted.states.values()):
            if first[name].shape != later[name].shape:
                one, other = first[name].shape, later[name].shape
                raise ExportError(
                    f"output {name!r} is {one} in one frame and {other} in the next",
                    "an output has one shape; export the file so",
                )
        self._check_same(given, zeros, first)
        self.shapes = {name: value.shape for name, value in {**given, **later, **state}.items()}

    def batch_axis(self, value: Value, shape: tuple[int, ...]) -> int | None:
        """The axis that a batch of frames goes along; None where there is none."""
        named = [place for place, dim in enumerate(value.dims) if dim in self._batches and shape[place] == 1]
        is_frame = value.name in self._wanted.frames
        if named or (
            value.name in self._plain.inputs and not is_frame and value.name not in self._wanted.states
        ):
            return named[0] if named else None
        return 0 if shape and shape[0] == 1 else None

    def _first(self, given: Feeds) -> tuple[Feeds, Feeds]:
        """What a first frame gives, and the zeros that it began with."""
        tried: ExportError | None = None
        states = [self._plain.inputs[name] for name in self._wanted.states]
        for follows in (True, False):  # an axis that is called as the frames' may be theirs, or just 1
            zeros = {one.name: np.zeros(self._guess(one, follows), one.dtype) for one in states}
            try:
                return self._plain.step({**given, **zeros}), zeros
            except ExportError as error:
                tried = tried or error
        assert tried is not None
        raise tried

    def _guess(self, value: Value, follows: bool) -> tuple[int, ...]:
        sides: dict[int | str, int] = {}
        for name in self._wanted.frames:
            sides |= dict(zip(sides_of(self._plain.inputs[name]), self._size, strict=True))
        known = sides if follows else {}
        return tuple(dim if isinstance(dim, int) else known.get(dim, 1) if dim else 1 for dim in value.dims)

    def _input(self, value: Value, rng: np.random.Generator) -> Array:
        wanted = self._wanted
        if value.name in wanted.frames:
            shape = [1 if isinstance(dim, str) else dim for dim in value.dims]
            for axis, side in zip(frame_axes(value), self._size, strict=True):
                shape[axis] = side
            levels = rng.random(shape) if np.dtype(value.dtype).kind == "f" else rng.integers(0, 255, shape)
            return levels.astype(value.dtype)
        numbers = []
        for axis, dim in enumerate(value.dims):
            if isinstance(dim, str) and dim not in self._batches:
                raise OptionError(f"{value.axis(axis)} is open", "export the file with that axis fixed")
            numbers.append(1 if isinstance(dim, str) else dim)
        number = wanted.values.get(value.name, 0.04 if np.dtype(value.dtype).kind == "f" else 0.0)
        return filled(f"input {value.name!r} is", number, numbers, value.dtype)

    def _check_same(self, given: Feeds, zeros: Feeds, first: Feeds) -> None:
        """Zeros of the shape that comes out must give what those of the first call gave."""
        grown = [name for name, value in zeros.items() if value.shape != self.start[name].shape]
        if not grown:
            return
        whole = {name: np.zeros_like(value) for name, value in self.start.items()}
        again = self._plain.step({**given, **whole})
        for name, value in first.items():
            if not np.array_equal(again[name], value):
                raise ParityError(
                    f"{name!r} differs when state {grown[0]!r} begins as zeros of "
                    f"{self.start[grown[0]].shape} and not of {zeros[grown[0]].shape}",
                    "no bundle was written; export the file with states of one shape",
                )


def _check_form(value: Value, out: Array) -> None:
    if out.dtype != np.dtype(value.dtype) or len(out.shape) != len(value.dims):
        raise ExportError(
            f"state {value.name!r} is {value.dtype} of {len(value.dims)} axes, "
            f"and comes out as {out.dtype} of {out.ndim}",
            "pair it with the output that it goes on in",
        )


def _check_kept(value: Value, one: Array, later: Array | None = None) -> None:
    """Raises ExportError unless a state comes out as it goes in: as declared, and as it came out before."""
    inside = value.dims if later is None else one.shape
    for axis, (went, came) in enumerate(zip(inside, (one if later is None else later).shape, strict=True)):
        if isinstance(went, int) and went != came:
            raise ExportError(
                f"{value.axis(axis)} comes out as {came}, and goes in as {went}",
                "a state has one shape; export the file so, or pair it with another output",
            )


def begin(value: Value, shape: tuple[int, ...], given: float | Path | None) -> Array:
    """What a state begins as. Raises OptionError: it does not fit."""
    if isinstance(given, Path):
        try:
            found = np.load(given, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise OptionError(
                f"{given} cannot be read as .npy ({error})", "write it with numpy.save"
            ) from error
        if not isinstance(found, np.ndarray) or found.size != np.prod(shape, dtype=int):
            raise OptionError(
                f"{given} is {getattr(found, 'shape', 'no array')}, state {value.name!r} is {shape}",
                "give an array of that shape",
            )
        if found.dtype.kind not in "biuf" or (made := held(found.reshape(shape), value.dtype)) is None:
            raise OptionError(f"{given} is {found.dtype}, which {value.dtype} cannot hold", "convert it")
    else:
        made = filled(f"state {value.name!r} begins as", given or 0.0, shape, value.dtype)
    if made.dtype.kind == "f" and not np.isfinite(made).all():
        raise OptionError(f"state {value.name!r} would begin with a number that is not finite", "give others")
    return made


def filled(what: str, number: float, shape: Sequence[int], dtype: str) -> Array:
    """An array of one number. Raises OptionError: its type cannot hold that, to rounding."""
    with np.errstate(over="ignore", invalid="ignore"):
        made = np.full(shape, number, np.float64).astype(dtype)
    fits = np.isfinite(made) if made.dtype.kind == "f" else made.astype(np.float64) == number
    if not fits.all():
        raise OptionError(f"{what} {number:g}, which {dtype} cannot hold", "give a number of its type")
    return made


def held(found: Array, dtype: str) -> Array | None:
    """The same numbers in a type; None where it cannot hold one of them."""
    with np.errstate(over="ignore", invalid="ignore"):
        made = found.astype(dtype)
        return (
            made
            if np.array_equal(made.astype(found.dtype), found, equal_nan=found.dtype.kind == "f")
            else None
        )


def _dim(value: Value, axis: int, found: list[int], sizes: list[Size]) -> Dim:
    """A number, or how an axis follows the sides of the frames."""
    if len(set(found)) == 1 and not (len(found) == 1 and found[0] < 1):
        return found[0]
    for side, word in enumerate(("height", "width")):
        for power in range(MAX_DIVISOR.bit_length()):
            if all(length * 2**power == size[side] for length, size in zip(found, sizes, strict=True)):
                return f"{word}/{2**power}" if power else word
    shown = ", ".join(f"{n} at {h}x{w}" for n, (h, w) in zip(found, sizes, strict=True))
    raise ExportError(f"{value.axis(axis)} follows no side of the frames ({shown})", GIVE_SIZE)
