"""``framestate export --to tensorrt``: plans for the GPU of this machine, with proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OptionError
from .output import show

if TYPE_CHECKING:
    from ..bundles import Bundle
    from ..export.proof import Proof


def build_plans(
    model: str,
    out: Path,
    frames: int,
    ops: str,
    precision: str,
    max_batch: int | None,
    sizes: Sequence[str] = (),
    *,
    decode: str = "",
) -> tuple[Bundle, Proof | None]:
    """A bundle at ``out`` with the weights of ``model`` and TensorRT plans for this machine's GPU.

    ``max_batch`` None is 64 rows for a tracker, and one for an interpolator, which works on a pair at a time.
    ``sizes`` are those of an interpolator's frames; ``decode`` is where the model ends: on the "host", in
    the "graph", or "" for the graph where the model can.

    Raises:
        BundleError: there is no such model, or it has no weights.
        OptionError: the options do not go together, or the model is none that plans are built for.
        RuntimeUnavailableError: TensorRT, a GPU or a plugin is missing.
        ExportError, ParityError: it cannot be built, or does not agree; nothing is written.
    """
    from ..bundles import load_bundle
    from ..export.tensorrt import PlanOptions, export_tensorrt
    from ..models import decoded
    from .progress import stages

    if ops not in ("ort", "plugin"):
        raise OptionError(f"--ops {ops} has no use with --to tensorrt", "Leave it out: plans use plugins.")
    source = load_bundle(model)
    source = replace(source, spec=decoded(source.spec, decode))
    most = max_batch or (64 if source.spec.is_sized else 1)
    chosen = PlanOptions(
        precision,  # type: ignore[arg-type]  # it checks the name
        usual=min(8, most),
        largest=most,
        sizes=tuple(sizes),
    )
    with stages(frames) as (say, tick):
        return export_tensorrt(source, out, chosen, frames=frames, replace=out.exists(), say=say, tick=tick)


def show_layers(layers: Mapping[str, Mapping[str, int]]) -> None:
    """How many layers of each kind the plans have; a plan from the cache does not say."""
    for function, kinds in layers.items():
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        show(f"layers of {function}: {listed or 'unknown, since the plan came from the cache'}")
