"""The mLSTM: every PyTorch form against the equations, whatever the cuts, the gates and the extremes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from framestate.plugins.mlstm_scan import (
    EMPTY,
    MlstmState,
    empty_state,
    mlstm_scan_chunked,
    mlstm_scan_portable,
    mlstm_scan_reference,
)
from framestate.plugins.mlstm_scan.onnx_lowering import stabilisers
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

Scan = Callable[..., tuple[Tensor, MlstmState]]
REFERENCE: Scan = mlstm_scan_reference
CHUNKED: Scan = mlstm_scan_chunked
PORTABLE: Scan = mlstm_scan_portable
FORMS = [CHUNKED, PORTABLE]
CLOSE = 1e-9


def inputs(
    time: int, *, seed: int = 0, batch: int = 2, heads: int = 3, keys: int = 4, values: int = 5
) -> tuple[list[Tensor], MlstmState]:
    """q, k, v, i, f and a state as some steps leave it, float64."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    rows = [
        normal(batch, time, heads, keys),
        normal(batch, time, heads, keys),
        normal(batch, time, heads, values),
        3 * normal(batch, time, heads),
        3 * normal(batch, time, heads) + 2,
    ]
    state = (normal(batch, heads, keys, values), normal(batch, heads, keys), normal(batch, heads))
    return rows, state


def error(found: Tensor, wanted: Tensor) -> float:
    """The largest difference over the largest magnitude."""
    return ((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-300)).item()


def worst(found: tuple[Tensor, MlstmState], wanted: tuple[Tensor, MlstmState]) -> float:
    """The largest error of h and the three states."""
    pairs = zip((found[0], *found[1]), (wanted[0], *wanted[1]), strict=True)
    return max(error(one, other) for one, other in pairs)


def test_the_reference_is_the_equations() -> None:
    (q, k, v, i, f), _ = inputs(4, batch=1, heads=1, keys=2, values=3)
    memory, norm, m = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64), EMPTY
    wanted = []
    for t in range(4):
        forget = math.log(1 / (1 + math.exp(-f[0, t, 0].item())))
        new = max(forget + m, i[0, t, 0].item())
        keep, write = math.exp(forget + m - new), math.exp(i[0, t, 0].item() - new)
        key = k[0, t, 0] / math.sqrt(2)
        memory = keep * memory + write * torch.outer(key, v[0, t, 0])
        norm = keep * norm + write * key
        m = new
        below = max(abs(float(q[0, t, 0] @ norm)), math.exp(-m)) + 1e-6
        wanted.append(q[0, t, 0] @ memory / below)
    h, final = REFERENCE(q, k, v, i, f)
    assert error(h[0, :, 0], torch.stack(wanted)) < 1e-14
    assert error(final[0][0, 0], memory) < 1e-14
    assert final[2].item() == pytest.approx(m, rel=1e-14)


def test_without_the_stabiliser_it_is_the_plain_recurrence() -> None:
    """From an empty memory and with gates that float64 can hold, m changes nothing but eps."""
    (q, k, v, i, f), _ = inputs(6, batch=1, heads=1)
    h, _ = REFERENCE(q, k, v, i, f, eps=0.0)
    memory, norm = torch.zeros(4, 5, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    for t in range(6):
        key = k[0, t, 0] / 2 * torch.exp(i[0, t, 0])
        memory = torch.sigmoid(f[0, t, 0]) * memory + torch.outer(key, v[0, t, 0])
        norm = torch.sigmoid(f[0, t, 0]) * norm + key
        below = torch.clamp((q[0, t, 0] @ norm).abs(), min=1.0)
        assert error(h[0, t, 0], q[0, t, 0] @ memory / below) < 1e-13


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("time", [1, 2, 16, 64, 65, 200])
@pytest.mark.parametrize("carried", [False, True])
def test_the_forms_agree_with_the_reference(form: Scan, time: int, carried: bool) -> None:
    rows, state = inputs(time)
    start = state if carried else None
    assert worst(form(*rows, start), REFERENCE(*rows, start)) <= CLOSE


@pytest.mark.parametrize("form", FORMS)
@given(cuts=st.lists(st.integers(0, 30), max_size=5), seed=st.integers(0, 1000))
def test_cuts_anywhere_change_nothing(form: Scan, cuts: list[int], seed: int) -> None:
    rows, state = inputs(30, seed=seed)
    wanted = REFERENCE(*rows, state)
    ends = [0, *sorted(cuts), 30]
    hs = []
    for start, end in itertools.pairwise(ends):
        h, state = form(*(row[:, start:end] for row in rows), state)
        hs.append(h)
    assert worst((torch.cat(hs, dim=1), state), wanted) <= CLOSE


def test_any_chunk_length_gives_the_same() -> None:
    rows, state = inputs(23)
    wanted = REFERENCE(*rows, state)
    for chunk in (1, 2, 7, 23, 100):
        assert worst(CHUNKED(*rows, state, chunk=chunk), wanted) <= CLOSE


@pytest.mark.parametrize("form", [REFERENCE, *FORMS])
def test_no_steps_change_no_state(form: Scan) -> None:
    rows, state = inputs(0)
    h, final = form(*rows, state)
    assert h.shape == (2, 0, 3, 5)
    assert all(torch.equal(one, other) for one, other in zip(final, state, strict=True))


def test_the_running_maximum_is_that_of_the_steps() -> None:
    (_, _, _, i, f), (_, _, m) = inputs(37)
    log_f = functional.logsigmoid(f)
    found = stabilisers(log_f, i, m)
    for t in range(37):
        m = torch.maximum(log_f[:, t] + m, i[:, t])
        assert error(found[:, t], m) < 1e-14


def test_gradients() -> None:
    rows, state = inputs(5, batch=1, heads=1, keys=2, values=2)
    leaves = [tensor.requires_grad_() for tensor in (*rows, *state)]

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        h, final = CHUNKED(*tensors[:5], (tensors[5], tensors[6], tensors[7]), chunk=3)
        return (h, *final)

    assert torch.autograd.gradcheck(flat, leaves)


def test_gradients_from_an_empty_memory_are_finite() -> None:
    rows, _ = inputs(9)
    leaves = [tensor.requires_grad_() for tensor in rows]
    h, _ = CHUNKED(*leaves, chunk=4)
    h.square().sum().backward()
    assert all(leaf.grad is not None and torch.isfinite(leaf.grad).all() for leaf in leaves)


@pytest.mark.parametrize("form", [REFERENCE, *FORMS])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("i", [-1e4, -50.0, 0.0, 50.0, 1e4])
@pytest.mark.parametrize("f", [-1e4, -50.0, 0.0, 50.0, 1e4])
def test_extreme_gates_stay_finite(form: Scan, dtype: torch.dtype, i: float, f: float) -> None:
    (q, k, v, gate, forget), _ = inputs(20)
    rows = [tensor.to(dtype) for tensor in (q, k, v, torch.full_like(gate, i), torch.full_like(forget, f))]
    h, final = form(*rows)
    h, final = form(*rows, final)
    assert all(torch.isfinite(tensor).all() for tensor in (h, *final))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("i", [-50.0, 1e4])
@pytest.mark.parametrize("f", [-1e4, 1e4])
def test_extreme_gates_are_right(form: Scan, i: float, f: float) -> None:
    (q, k, v, gate, forget), _ = inputs(40)
    rows = [q, k, v, gate + i, torch.where(forget > 0, f, -forget)]
    assert worst(form(*rows), REFERENCE(*rows)) <= CLOSE


def test_ten_thousand_single_steps_do_not_drift() -> None:
    """float32 steps against one float64 run over them all: the error stays what a few roundings give."""
    (q, k, v, i, f), _ = inputs(10_000, batch=1, heads=2)
    rows = [q, k, v, i / 3, f / 3 + 5]  # a memory of hundreds of steps
    wanted, _ = CHUNKED(*rows)
    single = [row.float() for row in rows]
    state = empty_state(single[0], single[2])
    found = []
    with torch.inference_mode():
        for t in range(10_000):
            h, state = CHUNKED(*(row[:, t : t + 1] for row in single), state)
            found.append(h)
    difference = (torch.cat(found, dim=1) - wanted).abs().amax(dim=(0, 2, 3))
    scale = wanted.abs().max()
    assert difference.max() / scale <= 1e-4
    assert difference[-1000:].mean() <= 10 * difference[:1000].mean()


def test_the_empty_memory_weighs_nothing() -> None:
    (q, k, v, i, f), _ = inputs(1)
    h, (_, _, m) = REFERENCE(q, k, v, i, f)
    assert empty_state(q, v)[2].unique().item() == EMPTY
    assert torch.equal(m, i[:, 0])
    again, _ = REFERENCE(q, k, v, i, f - 100)  # nothing is there to be forgotten
    assert torch.equal(h, again)


@pytest.mark.parametrize(
    ("place", "shape", "named"),
    [
        (0, (2, 3, 4), "q has shape (2, 3, 4)"),
        (1, (2, 3, 3, 5), "k has shape (2, 3, 3, 5); with q (2, 3, 3, 4) it must be (2, 3, 3, 4)"),
        (2, (2, 3, 15), "v (2, 3, 15)"),
        (3, (2, 3, 4), "i has shape (2, 3, 4)"),
        (4, (2, 3), "f has shape (2, 3)"),
        (5, (2, 3, 5, 4), "state[0] has shape (2, 3, 5, 4)"),
        (6, (2, 3, 5), "state[1] has shape (2, 3, 5)"),
        (7, (2, 3, 1), "state[2] has shape (2, 3, 1)"),
    ],
)
@pytest.mark.parametrize("form", [REFERENCE, *FORMS])
def test_a_wrong_shape_is_named(form: Scan, place: int, shape: tuple[int, ...], named: str) -> None:
    rows, state = inputs(3)
    tensors = [*rows, *state]
    tensors[place] = torch.zeros(shape, dtype=torch.float64)
    with pytest.raises(ValueError, match="must be") as caught:
        form(*tensors[:5], (tensors[5], tensors[6], tensors[7]))
    assert named in str(caught.value)


def test_a_chunk_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="chunk is 0"):
        CHUNKED(*inputs(3)[0], chunk=0)
