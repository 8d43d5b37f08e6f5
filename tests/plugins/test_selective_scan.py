"""The Mamba-1 scan: every PyTorch form against the equation, whatever the cuts and the steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from framestate.plugins.selective_scan import (
    chunked,
    selective_scan_chunked,
    selective_scan_portable,
    selective_scan_reference,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

Scan = Callable[..., tuple[Tensor, Tensor]]
REFERENCE: Scan = selective_scan_reference
CHUNKED: Scan = selective_scan_chunked
PORTABLE: Scan = selective_scan_portable
FORMS = [CHUNKED, PORTABLE]
EXACT = 1e-12


def inputs(time: int, *, seed: int = 0, batch: int = 2, channels: int = 5, states: int = 4) -> list[Tensor]:
    """x, dt, a, b, c and a state, float64."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    return [
        normal(batch, time, channels),
        uniform(batch, time, channels) * 2,
        -0.1 - 8 * uniform(channels, states),
        normal(batch, time, states),
        normal(batch, time, states),
        normal(batch, channels, states),
    ]


def error(found: Tensor, wanted: Tensor) -> float:
    """The largest difference over the largest magnitude."""
    return ((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-300)).item()


def test_the_reference_is_the_equation() -> None:
    x, dt, a, b, c, state = inputs(3, batch=1, channels=1, states=2)
    h = state[0, 0].clone()
    ys = []
    for t in range(3):
        for n in range(2):
            h[n] = torch.exp(dt[0, t, 0] * a[0, n]) * h[n] + dt[0, t, 0] * x[0, t, 0] * b[0, t, n]
        ys.append(sum(c[0, t, n] * h[n] for n in range(2)))
    y, final = REFERENCE(x, dt, a, b, c, state)
    assert error(y[0, :, 0], torch.stack([torch.as_tensor(value) for value in ys])) < 1e-15
    assert error(final[0, 0], h) < 1e-15


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("time", [1, 2, 3, 16, 50, 300])
@pytest.mark.parametrize("carried", [False, True])
def test_the_forms_agree_with_the_reference(form: Scan, time: int, carried: bool) -> None:
    *rest, state = inputs(time)
    start = state if carried else None
    y, final = form(*rest, start)
    wanted, wanted_final = REFERENCE(*rest, start)
    assert error(y, wanted) <= EXACT
    assert error(final, wanted_final) <= EXACT


@pytest.mark.parametrize("form", FORMS)
@given(cuts=st.lists(st.integers(0, 30), max_size=5), seed=st.integers(0, 1000))
def test_cuts_anywhere_change_nothing(form: Scan, cuts: list[int], seed: int) -> None:
    x, dt, a, b, c, state = inputs(30, seed=seed)
    wanted, wanted_final = REFERENCE(x, dt, a, b, c, state)
    ends = [0, *sorted(cuts), 30]
    ys = []
    for start, end in itertools.pairwise(ends):
        part = slice(start, end)
        y, state = form(x[:, part], dt[:, part], a, b[:, part], c[:, part], state)
        ys.append(y)
    assert error(torch.cat(ys, dim=1), wanted) <= EXACT
    assert error(state, wanted_final) <= EXACT


def test_any_chunk_length_gives_the_same() -> None:
    arguments = inputs(23)
    wanted, _ = REFERENCE(*arguments)
    for chunk in (1, 2, 7, 23, 100):
        assert error(CHUNKED(*arguments, chunk=chunk)[0], wanted) <= EXACT


@pytest.mark.parametrize("form", [REFERENCE, *FORMS])
def test_no_steps_change_no_state(form: Scan) -> None:
    *rest, state = inputs(0)
    y, final = form(*rest, state)
    assert y.shape == (2, 0, 5)
    assert torch.equal(final, state)


@pytest.mark.parametrize("form", FORMS)
def test_gradients(form: Scan) -> None:
    arguments = [tensor.requires_grad_() for tensor in inputs(5, batch=1, channels=2, states=2)]
    assert torch.autograd.gradcheck(form, arguments)


@pytest.mark.parametrize("chunk", [1, 2, 5])
@pytest.mark.parametrize("cached", [1, 10**6])
def test_gradients_across_chunks_and_pieces(monkeypatch: pytest.MonkeyPatch, chunk: int, cached: int) -> None:
    """States within a chunk are computed again on the way back; cuts and pieces change no gradient."""
    monkeypatch.setattr(chunked, "CACHED", cached)
    arguments = [tensor.requires_grad_() for tensor in inputs(5, batch=3, channels=2, states=2)]
    assert torch.autograd.gradcheck(lambda *given: CHUNKED(*given, chunk=chunk), arguments)


def test_mixed_precision_is_computed_in_the_widest_and_given_back_as_x() -> None:
    x, dt, a, b, c, state = (tensor.float() for tensor in inputs(20))
    halves = [tensor.bfloat16() for tensor in (x, b, c)]
    x, b, c = (half.float() for half in halves)
    wanted, wanted_final = CHUNKED(x, dt, a, b, c, state)
    with torch.autocast("cpu", torch.bfloat16):
        y, final = CHUNKED(halves[0], dt, a, halves[1], halves[2], state)
    assert torch.equal(y, wanted.bfloat16())
    assert torch.equal(final, wanted_final)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [0.0, 1e-8, 1e3, 1e8])
def test_extreme_steps_stay_finite_and_right(form: Scan, step: float) -> None:
    x, dt, a, b, c, state = inputs(40)
    dt = torch.full_like(dt, step)
    y, final = form(x, dt, a, b, c, state)
    wanted, wanted_final = REFERENCE(x, dt, a, b, c, state)
    assert torch.isfinite(y).all()
    assert error(y, wanted) <= EXACT
    assert error(final, wanted_final) <= EXACT


def test_ten_thousand_single_steps_do_not_drift() -> None:
    """float32 steps against one float64 run over them all: the error stays what a few roundings give."""
    x, dt, a, b, c, state = inputs(10_000, batch=1, channels=3)
    dt = dt * 0.01  # a memory of hundreds of steps
    wanted, _ = REFERENCE(x, dt, a, b, c, state)
    single = [tensor.float() for tensor in (x, dt, a, b, c, state)]
    h = single[5]
    worst = torch.zeros(())
    with torch.inference_mode():
        for t in range(10_000):
            now = slice(t, t + 1)
            y, h = CHUNKED(
                single[0][:, now], single[1][:, now], single[2], single[3][:, now], single[4][:, now], h
            )
            worst = torch.maximum(worst, (y - wanted[:, now]).abs().max())
    assert worst / wanted.abs().max() <= 1e-5


@pytest.mark.parametrize(
    ("place", "shape", "named"),
    [
        (0, (2, 5), "x has shape (2, 5); it must be (batch, time, channels)"),
        (1, (2, 3, 4), "dt has shape (2, 3, 4); with x (2, 3, 5) it must be (2, 3, 5)"),
        (2, (5,), "a has shape (5,); it must be (channels, states)"),
        (2, (4, 4), "a has shape (4, 4)"),
        (3, (2, 3, 5), "b has shape (2, 3, 5)"),
        (4, (1, 3, 4), "c has shape (1, 3, 4)"),
        (5, (2, 4, 5), "state has shape (2, 4, 5); with x (2, 3, 5) it must be (2, 5, 4)"),
    ],
)
@pytest.mark.parametrize("form", [REFERENCE, *FORMS])
def test_a_wrong_shape_is_named(form: Scan, place: int, shape: tuple[int, ...], named: str) -> None:
    arguments = inputs(3)
    arguments[place] = torch.zeros(shape, dtype=torch.float64)
    with pytest.raises(ValueError, match="it must be") as caught:
        form(*arguments)
    assert named in str(caught.value)


def test_a_chunk_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="chunk is 0"):
        CHUNKED(*inputs(3), chunk=0)
