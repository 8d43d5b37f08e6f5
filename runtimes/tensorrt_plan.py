"""What a TensorRT plan was built for, as a bundle's manifest says it: plain data, no TensorRT.

A plan runs with the TensorRT that built it, on the kind of GPU that it was tuned on, and nowhere else; so the
key says which, beside all else that decides what is in the plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ..bundles import JSON, Bundle, Size
from ..errors import BundleError, DataError, OptionError

SOUND = "framestate.sound"
"""An output that export adds to every graph that writes state: (batch,), finite where all of a row's is."""

MOST_ROWS = 1024
MOST_SIDE = 16384
MOST_RANGES = 16


@dataclass(frozen=True)
class FrameRange:
    """Sizes of frames that a plan takes, each (height, width) in pixels; one size has all three alike.

    Attributes:
        least, usual, most: the smallest, that which the plan is tuned for, and the largest.

    Raises OptionError for sizes that are in no such order.
    """

    least: Size
    usual: Size
    most: Size

    def __post_init__(self) -> None:
        for sides in zip(self.least, self.usual, self.most, strict=True):
            if not 1 <= sides[0] <= sides[1] <= sides[2] <= MOST_SIDE:
                raise OptionError(
                    f"frames of {self} cannot be built for",
                    f"give 1 <= least <= usual <= most <= {MOST_SIDE} for width and height",
                )

    @classmethod
    def only(cls, size: Size) -> FrameRange:
        """One size."""
        return cls(size, size, size)

    def holds(self, size: Size) -> bool:
        """Whether frames of a size (height, width) are among them."""
        sides = zip(self.least, size, self.most, strict=True)
        return all(least <= side <= most for least, side, most in sides)

    @property
    def width_of(self) -> int:
        """How far apart the largest and the smallest are, in pixels of area."""
        return self.most[0] * self.most[1] - self.least[0] * self.least[1]

    def __str__(self) -> str:
        sizes = dict.fromkeys(f"{width}x{height}" for height, width in (self.least, self.usual, self.most))
        return " to ".join((next(iter(sizes)), *list(sizes)[-1:])) if len(sizes) > 1 else next(iter(sizes))


@dataclass(frozen=True)
class PlanKey:
    """Everything that decides what is in a plan. Raises OptionError for batches that make no sense.

    Attributes:
        bundle: hash of the bundle whose model it is.
        plugins: hash of what the plugins compute.
        precision: "fp32" or "fp16"; states are float32 in both.
        smallest, usual, largest: rows of a batch: least, tuned for, and most.
        tensorrt: its version.
        gpu: its name, as the driver gives it.
        frames: sizes of frames, a profile each; none for a model whose shapes do not depend on them.
    """

    bundle: str
    plugins: str
    precision: str
    smallest: int
    usual: int
    largest: int
    tensorrt: str
    gpu: str
    frames: tuple[FrameRange, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.smallest <= self.usual <= self.largest <= MOST_ROWS:
            raise OptionError(
                f"batches of {self.smallest} to {self.largest} rows, tuned for {self.usual}, cannot be built",
                f"give 1 <= least <= usual <= most <= {MOST_ROWS}",
            )
        if len(self.frames) > MOST_RANGES:
            raise OptionError(
                f"{len(self.frames)} sizes of frames are too many for one plan",
                f"give at most {MOST_RANGES}, or a range of sizes",
            )

    def profile(self, size: Size) -> int:
        """Which of ``frames`` is the closest around frames of a size (height, width).

        Raises DataError for a size outside all of them.
        """
        fitting = [place for place, one in enumerate(self.frames) if one.holds(size)]
        if not fitting:
            built = ", ".join(str(one) for one in self.frames)
            raise DataError(
                f"frames of {size[1]}x{size[0]} are outside what the plans were built for ({built})",
                "build them for this size too: 'framestate export MODEL --to tensorrt --size WIDTHxHEIGHT'",
            )
        return min(fitting, key=lambda place: self.frames[place].width_of)

    @property
    def digest(self) -> str:
        """sha256 (hexadecimal) of all of it: the name of a plan in the cache."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, JSON]:
        """As it stands in a manifest."""
        found: dict[str, JSON] = json.loads(json.dumps(asdict(self)))
        return found

    def why_not_here(self, tensorrt: str, gpu: str) -> str:
        """Why a plan of this key does not run with some TensorRT on some GPU; nothing where it does."""
        if self.tensorrt != tensorrt:
            return f"it was built by TensorRT {self.tensorrt}, and {tensorrt} is installed"
        if self.gpu != gpu:
            return f"it was tuned on {self.gpu}, and the GPU here is {gpu}"
        return ""


def plan_name(function: str) -> str:
    """The file of a function's plan in a bundle."""
    return f"{function}.plan"


def plan_key(bundle: Bundle) -> PlanKey:
    """The key of a bundle's plans. Raises BundleError where its manifest has none, or a broken one."""
    remedy = f"build its plans with 'framestate export {bundle.spec.name} --to tensorrt'"
    section = bundle.parity.get("tensorrt")
    key = section.get("key") if isinstance(section, Mapping) else None
    if not isinstance(key, Mapping):
        raise BundleError(f"the manifest of {bundle.spec.name!r} does not say what its plans are for", remedy)
    kinds: dict[str, type] = dict.fromkeys(PlanKey.__annotations__, str)
    kinds |= {**dict.fromkeys(("smallest", "usual", "largest"), int), "frames": list}
    broken = [name for name, kind in kinds.items() if type(key.get(name)) is not kind]
    if broken or set(key) != set(kinds):
        raise BundleError(
            f"the key of the plans of {bundle.spec.name!r} is broken in "
            f"{', '.join(broken or sorted(set(key) - set(kinds)))}",
            remedy,
        )
    try:
        return PlanKey(**{**key, "frames": frames_of(key["frames"])})  # type: ignore[arg-type]  # checked above
    except OptionError as error:
        raise BundleError(f"the key of the plans is broken: {error.problem}", remedy) from error


def frames_of(told: object) -> tuple[FrameRange, ...]:
    """Sizes of frames as a manifest has them. Raises OptionError where they are broken."""
    found = []
    for entry in told if isinstance(told, list) else [told]:
        fields = entry if isinstance(entry, Mapping) else {}
        sizes = [fields.get(name) for name in FrameRange.__annotations__]
        if len(fields) != len(sizes) or not all(map(is_size, sizes)):
            raise OptionError(f"frames {str(entry)[:100]!r} are not three sizes", "build the plans anew")
        found.append(FrameRange(*((size[0], size[1]) for size in sizes)))  # type: ignore[index]
    return tuple(found)


def is_size(value: object) -> bool:
    """Whether it is two whole numbers."""
    return isinstance(value, list) and len(value) == 2 and all(type(side) is int for side in value)


def graph_sizes(smallest: int, largest: int) -> tuple[int, ...]:
    """The batch sizes that get a CUDA graph each: powers of two from the least on, and the most."""
    sizes = [size for size in (1 << power for power in range(11)) if smallest <= size < largest]
    return tuple(sorted({smallest, *sizes, largest}))


def padded_size(rows: int, sizes: tuple[int, ...]) -> int:
    """The size of the smallest graph that takes so many rows, of which the largest takes all."""
    assert rows <= sizes[-1], f"{rows} rows for graphs of {sizes}"
    return next(size for size in sizes if rows <= size)
