"""What a TensorRT plan was built for, as a bundle's manifest says it: plain data, no TensorRT.

A plan runs with the TensorRT that built it, on the kind of GPU that it was tuned on, and nowhere else; so the
key says which, beside all else that decides what is in the plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ..bundles import JSON, Bundle
from ..errors import BundleError, OptionError

SOUND = "framestate.sound"
"""An output that export adds to every graph that writes state: (batch,), finite where all of a row's is."""

MOST_ROWS = 1024


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
    """

    bundle: str
    plugins: str
    precision: str
    smallest: int
    usual: int
    largest: int
    tensorrt: str
    gpu: str

    def __post_init__(self) -> None:
        if not 1 <= self.smallest <= self.usual <= self.largest <= MOST_ROWS:
            raise OptionError(
                f"batches of {self.smallest} to {self.largest} rows, tuned for {self.usual}, cannot be built",
                f"give 1 <= least <= usual <= most <= {MOST_ROWS}",
            )

    @property
    def digest(self) -> str:
        """sha256 (hexadecimal) of all of it: the name of a plan in the cache."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, JSON]:
        """As it stands in a manifest."""
        return dict(asdict(self))

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
    kinds = {
        name: int if name in ("smallest", "usual", "largest") else str for name in PlanKey.__annotations__
    }
    broken = [name for name, kind in kinds.items() if type(key.get(name)) is not kind]
    if broken or set(key) != set(kinds):
        raise BundleError(
            f"the key of the plans of {bundle.spec.name!r} is broken in "
            f"{', '.join(broken or sorted(set(key) - set(kinds)))}",
            remedy,
        )
    try:
        return PlanKey(**key)  # type: ignore[arg-type]  # checked above
    except OptionError as error:
        raise BundleError(f"the key of the plans is broken: {error.problem}", remedy) from error


def graph_sizes(smallest: int, largest: int) -> tuple[int, ...]:
    """The batch sizes that get a CUDA graph each: powers of two from the least on, and the most."""
    sizes = [size for size in (1 << power for power in range(11)) if smallest <= size < largest]
    return tuple(sorted({smallest, *sizes, largest}))


def padded_size(rows: int, sizes: tuple[int, ...]) -> int:
    """The size of the smallest graph that takes so many rows, of which the largest takes all."""
    assert rows <= sizes[-1], f"{rows} rows for graphs of {sizes}"
    return next(size for size in sizes if rows <= size)
