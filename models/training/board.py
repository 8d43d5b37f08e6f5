"""The log as TensorBoard's event files, where the package ``tensorboard`` is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

NEITHER = ("step", "seconds")
"""Entries of a line of the log that say when, not what."""


def has_board() -> bool:
    """Whether event files can be written here."""
    return importlib.util.find_spec("tensorboard") is not None


def open_board(folder: Path, step: int) -> SummaryWriter | None:
    """A writer of event files that begins after ``step``; None where tensorboard is not installed."""
    if not has_board():
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)  # what was logged after a checkpoint is done again


def write_line(board: SummaryWriter, line: Mapping[str, float]) -> None:
    """Every entry of a line of the log, at its step."""
    for name, value in line.items():
        if name not in NEITHER:
            board.add_scalar(name, value, int(line["step"]))
    board.flush()
