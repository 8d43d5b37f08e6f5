"""The Mamba-2 scan for an open number of steps, without a loop: the same numbers as the recurrence."""

from __future__ import annotations

import torch
from framestate.plugins.ssd_scan import ssd_scan_reference
from framestate.plugins.ssd_scan.onnx_portable import open_time
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 33), st.integers(0, 1000), st.booleans())
def test_it_is_the_recurrence(time: int, chunk: int, seed: int, started: bool) -> None:
    batch, heads, channels, states = 2, 2, 3, 4
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x = noise(batch, time, heads, channels)
    b, c = noise(batch, time, 1, states), noise(batch, time, 1, states)
    dt = torch.rand(batch, time, heads, generator=generator, dtype=torch.float64)
    a = -torch.arange(1, heads + 1, dtype=torch.float64)
    state = noise(batch, heads, states, channels) if started else None
    expected, final = ssd_scan_reference(x, dt, a, b, c, state)
    start = torch.zeros(batch, heads, states, channels, dtype=torch.float64) if state is None else state
    spread = (tensor.transpose(1, 2).expand(-1, heads, -1, -1) for tensor in (b, c))
    k, q = spread
    v = (dt.unsqueeze(-1) * x).transpose(1, 2)
    y, last = open_time(v, k, q, (a * dt).transpose(1, 2), start, chunk=chunk)
    torch.testing.assert_close(y.transpose(1, 2), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last, final, rtol=1e-12, atol=1e-12)
