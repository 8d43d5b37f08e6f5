"""Adopts a file of these tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
from framestate.bundles import Bundle
from framestate.export.adopt import adopt_stream
from framestate.export.adopt_graphs import StreamOptions

Array = npt.NDArray[Any]


def adopted(path: Path, **options: Any) -> Bundle:
    return adopt_stream(
        path, path.with_suffix(""), StreamOptions(**options), name=path.stem, provenance={}, frames=4
    )
