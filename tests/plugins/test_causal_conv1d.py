"""The causal convolution: its forms agree, and state may be cut anywhere."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from framestate.plugins.causal_conv1d import causal_conv1d_chunked, causal_conv1d_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

EXACT = 1e-12


def case(time: int, *, batch: int = 2, channels: int = 3, taps: int = 4, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return {
        "x": draw(batch, time, channels),
        "weight": draw(channels, taps),
        "bias": draw(channels),
        "state": draw(batch, channels, taps - 1),
    }


def worst(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> float:
    for f, e in zip(found, expected, strict=True):
        assert f.shape == e.shape
    return max(float((f - e).abs().max()) if e.numel() else 0.0 for f, e in zip(found, expected, strict=True))


@settings(max_examples=60)
@given(
    time=st.integers(0, 20),
    taps=st.integers(1, 6),
    batch=st.integers(1, 3),
    channels=st.integers(1, 5),
    silu=st.booleans(),
    biased=st.booleans(),
    started=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_chunked_equals_reference(
    time: int, taps: int, batch: int, channels: int, silu: bool, biased: bool, started: bool, seed: int
) -> None:
    given_ = case(time, batch=batch, channels=channels, taps=taps, seed=seed)
    bias, state = given_["bias"] if biased else None, given_["state"] if started else None
    found = causal_conv1d_chunked(given_["x"], given_["weight"], bias, state, silu=silu)
    expected = causal_conv1d_reference(given_["x"], given_["weight"], bias, state, silu=silu)
    assert worst(found, expected) <= EXACT


def test_the_reference_is_the_convolution_of_pytorch() -> None:
    given_ = case(9)
    y, state = causal_conv1d_reference(**given_)
    padded = torch.cat([given_["state"], given_["x"].transpose(1, 2)], dim=-1)
    expected = functional.conv1d(padded, given_["weight"].unsqueeze(1), given_["bias"], groups=3)
    assert worst((y, state), (functional.silu(expected).transpose(1, 2), padded[..., -3:])) <= EXACT


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, 24), max_size=6), taps=st.integers(1, 5), seed=st.integers(0, 2**31))
def test_a_sequence_in_pieces_is_the_whole(cuts: list[int], taps: int, seed: int) -> None:
    """Pieces may be shorter than the window, and empty."""
    whole = case(24, taps=taps, seed=seed)
    bounds = [0, *sorted(cuts), 24]
    ys, state = [], whole["state"]
    for start, end in pairwise(bounds):
        y, state = causal_conv1d_chunked(whole["x"][:, start:end], whole["weight"], whole["bias"], state)
        ys.append(y)
    assert worst((torch.cat(ys, 1), state), causal_conv1d_reference(**whole)) <= EXACT


@pytest.mark.parametrize("silu", [True, False])
def test_gradients(silu: bool) -> None:
    arguments = tuple(tensor.requires_grad_() for tensor in case(5, channels=2).values())

    def convolve(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return causal_conv1d_chunked(*tensors, silu=silu)

    assert torch.autograd.gradcheck(convolve, arguments)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("x", (2, 7)),
        ("weight", (4, 4)),
        ("weight", (3, 1, 4)),
        ("bias", (4,)),
        ("state", (2, 3, 4)),
        ("state", (2, 4, 3)),
    ],
)
@pytest.mark.parametrize("convolve", [causal_conv1d_chunked, causal_conv1d_reference])
def test_a_wrong_shape_is_named(convolve: object, name: str, shape: tuple[int, ...]) -> None:
    assert callable(convolve)
    with pytest.raises(ValueError, match=rf"^{name} has "):
        convolve(**{**case(7), name: torch.zeros(shape, dtype=torch.float64)})
