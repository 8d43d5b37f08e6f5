"""Twenty minutes of everything at once: what was promised is kept, and memory, files and threads are flat."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest

from .soak import run
from .soak_picture import draw
from .soak_server import Record

STARTS = ("killed", "restarted")
LIFE_S = 150.0
"""A process that lived so long is looked at, without its first third."""


def lives(record: Record) -> list[list[tuple[float, float, int, int, int]]]:
    """The samples of each process, without the time in which it fills."""
    ends = [at for at, what in record.events if what in STARTS]
    found = []
    for begin, end in zip([0.0, *ends], [*ends, record.seconds], strict=True):
        if end - begin >= LIFE_S:
            settled = begin + (end - begin) / 3
            found.append([one for one in record.samples if settled <= one[0] < end - 3])
    return found


@pytest.mark.alone
@pytest.mark.long
def test_a_soak(tmp_path: Path) -> None:
    record = run(tmp_path, float(os.environ.get("FRAMESTATE_SOAK_S", "1200")))
    draw(record, tmp_path / "soak.png")
    assert record.faults == []
    counts = record.counts
    assert counts["frames sent"] == counts["frames answered"] + counts.get("frames told of", 0)
    assert counts["frames answered"] > record.seconds
    assert counts["jobs: done"] > 0
    lived = lives(record)
    assert lived or record.seconds < 8 * LIFE_S
    for samples in lived:
        half = len(samples) // 2
        for place, allowed in ((1, 1.10), (2, 1.15), (3, 1.15)):  # memory, files, threads
            early = statistics.median(one[place] for one in samples[:half])
            late = statistics.median(one[place] for one in samples[half:])
            assert late <= allowed * early + 2, (place, early, late)
