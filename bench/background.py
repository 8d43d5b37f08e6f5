"""When others take this machine's cores: processes that want every one of them note when they do not run"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from statistics import median

from ..errors import RunError
from .simulate import Gaps

SHORTEST_S = 3e-5
"""A loop that takes longer than this was interrupted."""
SLICE_S = 5e-4
"""An interruption of this and more is another process that wants the core as well."""
START_S = 60.0


def others(seconds: float) -> tuple[Gaps, ...]:
    """For each core, when in these seconds somebody else had it, and for how long.

    Raises:
        RunError: a process that watches did not start or died.
    """
    return watched(range(os.cpu_count() or 1), seconds)


def time_slice(seconds: float = 1.0) -> float:
    """Seconds that a process keeps a core which another one wants as much. Raises as ``others``."""
    gaps = [gap for one in watched([0, 0], seconds) for _, gap in one if gap > SLICE_S]
    return median(gaps) if gaps else SLICE_S


def watched(cores: Sequence[int], seconds: float) -> tuple[Gaps, ...]:
    """One process a core, all at once; what each of them noted. Raises as ``others``."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(len(cores))
    pipes, processes = [], []
    for core in cores:
        near, far = context.Pipe()
        process = context.Process(target=watch, args=(far, gate, core, seconds), daemon=True)
        process.start()
        far.close()
        pipes.append(near)
        processes.append(process)
    try:
        found: tuple[Gaps, ...] = tuple(heard(pipe, START_S + seconds) for pipe in pipes)
    finally:
        for process in processes:
            process.kill()
            process.join()
    return found


def heard(pipe: Connection, seconds: float) -> Gaps:
    """What a process sends. Raises RunError."""
    try:
        if pipe.poll(seconds):
            gaps: Gaps = pipe.recv()
            return gaps
    except (EOFError, OSError):
        pass
    raise RunError("a process that watches the cores did not answer", "try again with less else to do")


def watch(pipe: Connection, gate: Barrier, core: int, seconds: float) -> None:
    """Worker: wants a core for so many seconds, and notes when it did not have it."""
    os.sched_setaffinity(0, {core})
    gaps = []
    gate.wait(START_S)
    began = last = time.perf_counter()
    while last < began + seconds:
        now = time.perf_counter()
        if now - last > SHORTEST_S:
            gaps.append((last - began, now - last))
        last = now
    pipe.send(tuple(gaps))
