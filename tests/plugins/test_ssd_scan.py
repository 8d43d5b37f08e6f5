"""The Mamba-2 scan: its forms agree, state may be cut anywhere, and nothing overflows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from framestate.plugins.ssd_scan import ssd_scan_chunked, ssd_scan_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

EXACT = 1e-12  # float64, relative to the largest magnitude


def case(
    time: int,
    *,
    batch: int = 2,
    heads: int = 4,
    groups: int = 1,
    channels: int = 3,
    states: int = 5,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> dict[str, Any]:
    """Arguments of a scan that starts from a random state, with decays from gentle to brisk."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    return {
        "x": draw(batch, time, heads, channels),
        "dt": torch.nn.functional.softplus(draw(batch, time, heads) - 1),
        "a": -torch.exp(draw(heads)),
        "b": draw(batch, time, groups, states),
        "c": draw(batch, time, groups, states),
        "state": draw(batch, heads, states, channels),
    }


def worst(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> float:
    """The largest difference over the largest magnitude, for outputs and states alike."""
    return max(
        float((f - e).abs().max() / e.abs().max().clamp(min=1)) if e.numel() else 0.0
        for f, e in zip(found, expected, strict=True)
    )


def test_the_reference_is_the_equation_worked_by_hand() -> None:
    half = float(torch.log(torch.tensor(2.0, dtype=torch.float64)))
    one = torch.ones(1, 2, 1, 1, dtype=torch.float64)
    y, h = ssd_scan_reference(
        x=one * torch.tensor([3.0, 5.0]).reshape(1, 2, 1, 1),
        dt=one[..., 0],
        a=torch.tensor([-half], dtype=torch.float64),  # the state halves a step
        b=one * 2,
        c=one * 7,
        state=torch.full((1, 1, 1, 1), 8.0, dtype=torch.float64),
    )
    # h1 = 8 / 2 + 2 · 3 = 10, h2 = 10 / 2 + 2 · 5 = 15
    assert torch.allclose(y.flatten(), torch.tensor([70.0, 105.0], dtype=torch.float64), rtol=1e-12)
    assert torch.allclose(h.flatten(), torch.tensor([15.0], dtype=torch.float64), rtol=1e-12)


@settings(max_examples=60)
@given(
    time=st.integers(0, 40),
    chunk=st.integers(1, 41),
    share=st.integers(1, 3),
    groups=st.integers(1, 3),
    batch=st.integers(1, 3),
    states=st.integers(1, 6),
    channels=st.integers(1, 6),
    seed=st.integers(0, 2**31),
)
def test_chunked_equals_reference(
    time: int, chunk: int, share: int, groups: int, batch: int, states: int, channels: int, seed: int
) -> None:
    given_ = case(
        time, batch=batch, heads=share * groups, groups=groups, channels=channels, states=states, seed=seed
    )
    assert worst(ssd_scan_chunked(**given_, chunk=chunk), ssd_scan_reference(**given_)) <= EXACT


@pytest.mark.parametrize("time", [1, 255, 256, 257, 513])
def test_the_default_chunk_has_no_seam(time: int) -> None:
    given_ = case(time, batch=1, heads=2)
    assert worst(ssd_scan_chunked(**given_), ssd_scan_reference(**given_)) <= EXACT


@pytest.mark.parametrize("scan", [ssd_scan_chunked, ssd_scan_reference])
def test_no_state_is_a_state_of_zeros(scan: object) -> None:
    assert callable(scan)
    given_ = case(7)
    zeros = scan(**{**given_, "state": torch.zeros_like(given_["state"])})
    del given_["state"]
    assert worst(scan(**given_), zeros) == 0


@pytest.mark.parametrize("scan", [ssd_scan_chunked, ssd_scan_reference])
def test_no_steps_hand_the_state_on(scan: object) -> None:
    assert callable(scan)
    given_ = case(0)
    y, h = scan(**given_)
    assert y.shape == given_["x"].shape
    assert torch.equal(h, given_["state"])


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, 48), max_size=5), chunk=st.integers(1, 20), seed=st.integers(0, 2**31))
def test_a_sequence_in_pieces_is_the_whole(cuts: list[int], chunk: int, seed: int) -> None:
    whole = case(48, groups=2, seed=seed)
    expected = ssd_scan_reference(**whole)
    bounds = [0, *sorted(cuts), 48]
    ys, h = [], whole["state"]
    for start, end in pairwise(bounds):
        piece = {name: whole[name][:, start:end] for name in ("x", "dt", "b", "c")}
        y, h = ssd_scan_chunked(**piece, a=whole["a"], state=h, chunk=chunk)
        ys.append(y)
    assert worst((torch.cat(ys, 1), h), expected) <= EXACT


@pytest.mark.parametrize("chunk", [2, 3, 100])
def test_gradients(chunk: int) -> None:
    given_ = case(5, batch=1, heads=2, groups=1, channels=2, states=2)
    names = list(given_)
    arguments = tuple(tensor.requires_grad_() for tensor in given_.values())

    def scan(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return ssd_scan_chunked(**dict(zip(names, tensors, strict=True)), chunk=chunk)

    assert torch.autograd.gradcheck(scan, arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dt", [1e-8, 5.0, 100.0, 1e4])
def test_extreme_steps_stay_finite(dtype: torch.dtype, dt: float) -> None:
    """Where a cumulative sum is exponentiated and divided by, a chunk of this length overflows."""
    given_ = case(300, batch=1, heads=2, dtype=dtype)
    given_["dt"] = torch.full_like(given_["dt"], dt)
    given_["a"] = torch.tensor([-16.0, -0.01], dtype=dtype)
    given_ = {name: tensor.requires_grad_() for name, tensor in given_.items()}
    y, h = ssd_scan_chunked(**given_)
    (y.sum() + h.sum()).backward()
    assert y.isfinite().all()
    assert h.isfinite().all()
    for name, tensor in given_.items():
        assert tensor.grad is not None, name
        assert tensor.grad.isfinite().all(), name
    if dtype == torch.float64:
        with torch.no_grad():
            assert worst((y.detach(), h.detach()), ssd_scan_reference(**given_)) <= 1e-11


def test_ten_thousand_steps_in_float32_do_not_drift() -> None:
    """The state forgets as it goes, so its rounding stays bounded however long a session runs."""
    steps, block = 10_000, 100
    exact = case(block, batch=1, heads=2, channels=4, states=4)
    low, high = exact["state"].float(), exact["state"]
    errors = []
    for start in range(0, steps, block):
        part = case(block, batch=1, heads=2, channels=4, states=4, seed=start)
        part["a"] = torch.tensor([-0.02, -1.0], dtype=torch.float64)  # one head remembers for long
        singles = {name: tensor.float() for name, tensor in part.items()}
        _, high = ssd_scan_reference(**{**part, "state": high})
        for t in range(block):  # as a session runs it: step by step
            step = {name: singles[name][:, t : t + 1] for name in ("x", "dt", "b", "c")}
            _, low = ssd_scan_chunked(**step, a=singles["a"], state=low)
        errors.append(float((low - high).abs().max() / high.abs().max()))
    assert max(errors) < 2e-6
    assert max(errors[50:]) < 3 * max(errors[:50])


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("x", (2, 7, 12)),
        ("dt", (2, 7, 3)),
        ("dt", (2, 6, 4)),
        ("a", (3,)),
        ("b", (2, 7, 5)),
        ("b", (2, 7, 3, 5)),
        ("b", (2, 7, 0, 5)),
        ("c", (2, 7, 1, 4)),
        ("state", (2, 4, 3, 5)),
        ("state", (1, 4, 5, 3)),
    ],
)
@pytest.mark.parametrize("scan", [ssd_scan_chunked, ssd_scan_reference])
def test_a_wrong_shape_is_named(scan: object, name: str, shape: tuple[int, ...]) -> None:
    assert callable(scan)
    with pytest.raises(ValueError, match=rf"^{name} has "):
        scan(**{**case(7), name: torch.zeros(shape, dtype=torch.float64)})


def test_a_chunk_has_at_least_one_step() -> None:
    with pytest.raises(ValueError, match="chunk is 0"):
        ssd_scan_chunked(**case(3), chunk=0)
