"""The kernel that moves rows: its source run on the host."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from framestate.runtimes.tensorrt_device import KERNEL

from .host_gpu import HostCuda, HostKernel
from .host_kernels import on_host

SOURCE = KERNEL.with_suffix(".cl")
LAUNCH = """
void launch(unsigned x, unsigned y, unsigned z, unsigned threads, const u64 *t, const int *r, unsigned s)
{
    nb = x; nt = threads;
    for (bz = 0; bz < z; bz++) for (by = 0; by < y; by++) for (bx = 0; bx < x; bx++)
        for (tx = 0; tx < threads; tx++) move_rows(t, r, s);
}
"""


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return on_host(SOURCE, LAUNCH, tmp_path_factory.mktemp("kernel"))


@pytest.mark.parametrize("scatter", [0, 1])
@pytest.mark.parametrize(("blocks", "threads"), [(1, 1), (3, 7), (64, 256)])
def test_the_source_does_what_the_stand_in_does(launch: Any, scatter: int, blocks: int, threads: int) -> None:
    """Rows of 16 bytes and of odd ones, in any order, with places that have no row."""
    rng, rows = np.random.default_rng(0), np.array([4, -1, 0, 2], np.int32)
    sizes = [48, 13, 4096, 4]
    made = [[rng.integers(0, 256, (count, size), np.uint8) for size in sizes] for count in (6, 4)]
    copies = [[array.copy() for array in side] for side in made]

    def table(pools: list[Any], batches: list[Any]) -> Any:
        parts = zip(pools, batches, sizes, strict=True)
        return np.array([(a.ctypes.data, b.ctypes.data, size) for a, b, size in parts], np.uint64)

    ours, theirs = table(*made), table(*copies)
    at = [one.ctypes.data_as(ctypes.c_void_p) for one in (ours, rows)]
    launch(blocks, 4, 4, threads, *at, scatter)
    grid = (blocks, 4, 4)
    HostKernel(HostCuda()).prepared_async_call(
        grid, (threads, 1, 1), None, theirs.ctypes.data, rows.ctypes.data, scatter
    )
    for side, other in zip(made, copies, strict=True):
        for array, expected in zip(side, other, strict=True):
            assert np.array_equal(array, expected)
    places = made[1 - scatter]
    assert any(not np.array_equal(one, before) for one, before in zip(places, made[scatter], strict=True))
