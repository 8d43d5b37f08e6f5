"""The kernel that blends rows of state: its source run on the host does what NumPy does, to the bit."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from framestate.runtimes.tensorrt_device import MIX

from .host_gpu import HostCuda, HostMix
from .host_kernels import on_host

LAUNCH = """
void launch(unsigned x, unsigned y, unsigned threads, const Row *t, float keep, float share)
{
    nb = x; nt = threads;
    for (by = 0; by < y; by++) for (bx = 0; bx < x; bx++)
        for (tx = 0; tx < threads; tx++) mix_rows(t, keep, share);
}
"""


@pytest.mark.parametrize("blocks", [1, 5])
def test_the_source_does_what_numpy_does(tmp_path_factory: pytest.TempPathFactory, blocks: int) -> None:
    launch = on_host(MIX.with_suffix(".cl"), LAUNCH, tmp_path_factory.mktemp("kernel"))
    rng, share = np.random.default_rng(0), 0.3
    pairs = [rng.normal(size=(2, size)).astype(np.float32) for size in (1, 7, 1000)]
    keeps = np.float32(1 - share), np.float32(share)
    for by_source in (True, False):
        found = [np.empty_like(pair[0]) for pair in pairs]
        told = [
            (*(row.ctypes.data for row in (*pair, out)), len(out))
            for pair, out in zip(pairs, found, strict=True)
        ]
        table = np.array(told, np.uint64)
        if by_source:
            launch(
                blocks,
                3,
                64,
                ctypes.c_void_p(table.ctypes.data),
                *(ctypes.c_float(float(one)) for one in keeps),
            )
        else:
            grid, block = (blocks, 3, 1), (64, 1, 1)
            HostMix(HostCuda()).prepared_async_call(grid, block, None, table.ctypes.data, *keeps)
        for pair, out in zip(pairs, found, strict=True):
            assert np.array_equal(out, (1 - share) * pair[0] + share * pair[1])
