"""What the benchmarks share: their options, the check against eager PyTorch, and plots that come whole."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import BundleError, OptionError, RuntimeUnavailableError
from . import options
from .output import note, replacing, warn

if TYPE_CHECKING:
    from ..bundles import Bundle
    from ..runtimes import Runtime

PLOT_SUFFIXES = (".png", ".pdf", ".svg", ".jpg")
CHECKED_FRAMES = 30
IMAGES = 12
"""Rendered and sent forwards and backwards: few, since large ones take long to draw."""

Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw what was measured.")]
Size = Annotated[str, typer.Option("--size", metavar="WxH", help="Size of the frames, in pixels.")]
Workers = Annotated[
    int, typer.Option("--workers", min=0, help="Model calls side by side on a CPU; 0 is one a core.")
]


def check_plot(plot: Path | None) -> None:
    """What would go wrong with the plot goes wrong now, not after an hour."""
    if plot is None:
        return
    options.check_output("--plot", plot, PLOT_SUFFIXES)
    if importlib.util.find_spec("matplotlib") is None:
        raise RuntimeUnavailableError(
            "--plot needs matplotlib, which is not installed", "Install it: pip install 'framestate[bench]'."
        )


def draw(plot: Path | None, make: Callable[[Path], object]) -> list[Path]:
    """Writes the plot, whole or not at all, and returns the files written."""
    if plot is None:
        return []
    with replacing(plot) as temporary:
        make(temporary)
    return [plot]


def sizes(text: str) -> tuple[int, int]:
    """Width and height of ``WxH``. Raises OptionError."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and 32 <= int(part) <= 4096 for part in parts):
        raise OptionError(f"--size {text} is no size", "Give WIDTHxHEIGHT, each from 32 to 4096.")
    return int(parts[0]), int(parts[1])


def numbers(option: str, text: str) -> list[int]:
    """Whole numbers above 0 of a list with commas. Raises OptionError."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and 0 < int(part) <= 10_000 for part in parts):
        raise OptionError(f"{option} {text} is no list of numbers", "Give numbers such as 1,2,4.")
    return list(dict.fromkeys(int(part) for part in parts))


def verified(bundle: Bundle, runtime: Runtime) -> float | None:
    """Largest difference of any output or state from eager PyTorch's over a closed loop; None if not run.

    Raises:
        ParityError: the runtime and eager do not agree, so its speed would mean nothing.
    """
    from ..errors import ParityError

    missing = [name for name in ("torch", "onnx") if importlib.util.find_spec(name) is None]
    if missing or "weights.safetensors" not in bundle.files:
        why = f"{', '.join(missing)} not installed" if missing else "the bundle has no weights"
        warn(f"{runtime.name} was not verified against eager PyTorch ({why})")
        return None
    if runtime.name == "eager" and runtime.device == "cpu" and runtime.precision == "fp32":
        return 0.0
    from ..export.proof import prove
    from ..export.trials import tolerance_of
    from ..runtimes import open_runtime

    try:
        reference = open_runtime(bundle, "eager", device="cpu", threads=1)
    except BundleError as error:
        warn(f"{runtime.name} was not verified: {error.problem}")
        return None
    try:
        allowed = tolerance_of(bundle.spec.task, runtime.precision)
        found = prove(reference, runtime, frames=CHECKED_FRAMES, tolerance=allowed)
    finally:
        reference.close()
    if not found.passed:
        raise ParityError(f"{runtime.name} differs from eager by {found.summary}", "export the model again")
    note(f"{runtime.name} agrees with eager PyTorch over {CHECKED_FRAMES} frames to {found.max_abs:.1e}")
    return found.max_abs
