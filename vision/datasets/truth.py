"""Ground truth of the tracking data sets: files of boxes, and of labels that say where a target is hidden."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import DataError

Boxes = npt.NDArray[np.float64]

_FORM = "Get an undamaged copy: each line is x,y,w,h in pixels."


def read_text(path: Path) -> str:
    """A text file. Raises DataError where it is missing or holds something else."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error})", "Get a complete copy of the data set.") from error


def read_boxes(path: Path) -> Boxes:
    """The boxes of a truth file, (frames, 4) as x, y, w, h in pixels; NaN where there is none.

    Commas, tabs or blanks part the numbers. Benchmarks write a target that is not there as a box without
    area or as NaN; both become a row of NaN.

    Raises:
        DataError: the file is missing or empty, or a line (named with the file) is not four numbers.
    """
    lines = read_text(path).rstrip().splitlines()
    if not lines:
        raise DataError(f"{path} is empty", _FORM)
    boxes = _all_rows(lines)
    if boxes is None:
        boxes = np.array([_row(line, path, number) for number, line in enumerate(lines, start=1)])
    boxes[~(np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1))] = np.nan
    return boxes


def read_labels(path: Path) -> npt.NDArray[np.int64]:
    """Whole numbers, one a frame: a line each (GOT-10k) or all in one line with commas (LaSOT). (frames,).

    Raises DataError where the file is missing, or a line (named with the file) holds something else.
    """
    text = read_text(path)
    try:
        return np.fromiter(map(int, text.replace(",", " ").split()), np.int64)
    except (ValueError, OverflowError):
        pass  # which line it is
    found: list[int] = []
    for number, line in enumerate(text.rstrip().splitlines(), start=1):
        try:
            found += [int(part) for part in line.replace(",", " ").split()]
        except ValueError:
            raise DataError(
                f"{path}, line {number}: {line[:60]!r} is not a list of whole numbers",
                "Get an undamaged copy of the data set.",
            ) from None
    return np.array(found, np.int64)


def _all_rows(lines: list[str]) -> Boxes | None:
    """All lines at once, which is quick; None where one of them is not four numbers with commas between."""
    if any(line.count(",") != 3 for line in lines):
        return None
    try:
        boxes = np.fromiter(map(float, ",".join(lines).split(",")), np.float64, 4 * len(lines)).reshape(-1, 4)
    except ValueError:
        return None
    return None if np.isinf(boxes).any() else boxes


def _row(line: str, path: Path, number: int) -> list[float]:
    try:
        values = [float(part) for part in re.split(r"\s*,\s*|\s+", line.strip())]
    except ValueError:
        values = []
    if len(values) != 4 or np.isinf(values).any():
        raise DataError(f"{path}, line {number}: {line[:60]!r} is not four numbers", _FORM)
    return values
