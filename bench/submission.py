"""Boxes and times of an evaluation as the benchmarks' servers and toolkits take them.

* GOT-10k: ``<tracker>/<sequence>/<sequence>_001.txt`` and ``<sequence>_time.txt``, and all of it in
  ``<tracker>.zip``, which is what its server takes.
* All others: ``<tracker>/<sequence>.txt`` and ``<tracker>/times/<sequence>_time.txt``; for TrackingNet's
  server the boxes in ``<tracker>.zip`` too.

A line a frame: ``x,y,w,h`` in pixels with three decimals; the first is the given box. Where a tracker gave no
box, its last one is repeated, since the toolkits take nothing else. Times are seconds, the first that of the
start.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .evaluate_tracking import Runs
from .runs import SequenceRun

ZIPPED = ("got10k", "trackingnet")


def write_submission(folder: Path, layout: str, runs: Mapping[str, Runs]) -> list[Path]:
    """Write the files of all runs (by sequence, then tracker) and return what to hand in of each tracker.

    Files of the same name are replaced.
    """
    trackers = list(dict.fromkeys(name for made in runs.values() for name in made))
    handed = []
    for tracker in trackers:
        base = folder / tracker
        for sequence, made in runs.items():
            if layout == "got10k":
                boxes_file = base / sequence / f"{sequence}_001.txt"
                times_file = base / sequence / f"{sequence}_time.txt"
            else:
                boxes_file = base / f"{sequence}.txt"
                times_file = base / "times" / f"{sequence}_time.txt"
            _write(made[tracker], boxes_file, times_file)
        if layout in ZIPPED:
            handed.append(_zip(base, only_boxes=layout == "trackingnet"))
        else:
            handed.append(base)
    return handed


def without_gaps(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Boxes (n, 4), each that is not finite replaced by the last one that is."""
    finite = np.isfinite(boxes).all(axis=1)
    last = np.maximum.accumulate(np.where(finite, np.arange(len(boxes)), 0))
    return boxes[last]


def _write(run: SequenceRun, boxes_file: Path, times_file: Path) -> None:
    boxes_file.parent.mkdir(parents=True, exist_ok=True)
    times_file.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(boxes_file, without_gaps(run.boxes), fmt="%.3f", delimiter=",")
    np.savetxt(times_file, np.nan_to_num(run.seconds), fmt="%.8f")


def _zip(base: Path, *, only_boxes: bool) -> Path:
    if not only_boxes:
        shutil.make_archive(str(base), "zip", base)
        return base.with_name(f"{base.name}.zip")
    staged = base.with_name(f"{base.name}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    for file in base.glob("*.txt"):
        shutil.copy(file, staged)
    shutil.make_archive(str(base), "zip", staged)
    shutil.rmtree(staged)
    return base.with_name(f"{base.name}.zip")
