"""A figure to draw on, for all plots of benchmarks: matplotlib is an extra, imported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import RuntimeUnavailableError


def new_figure(path: Path, size: tuple[float, float] = (6.0, 4.0)) -> Any:
    """A matplotlib ``Figure`` of ``size`` in inches, for a file whose suffix says which kind of image.

    Raises:
        RuntimeUnavailableError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"{path.name} cannot be drawn, because matplotlib is not installed",
            "Install it: pip install 'framestate[bench]'.",
        ) from error
    return Figure(figsize=size, layout="constrained")
