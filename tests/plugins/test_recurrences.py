"""Published recurrences by the two general operators, each against its own paper's equation in float64."""

from __future__ import annotations

import torch
from framestate.plugins import eager_operators
from framestate.plugins.recurrences import gla, lru, min_gru, rwkv7, s5
from torch import Tensor
from torch.nn import functional

EXACT = 1e-12
OPERATORS = eager_operators()


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(found: Tensor, wanted: Tensor) -> None:
    assert float((found - wanted).abs().max() / wanted.abs().max()) <= EXACT


def test_lru() -> None:
    u, nu, theta = normal(2, 30, 5, 2, seed=0), normal(5, seed=1) - 2, normal(5, seed=2)
    h, last = OPERATORS.diagonal_scan(**lru(u, nu, theta))
    eigenvalue = torch.exp(torch.complex(-torch.exp(nu), torch.exp(theta)))
    gamma = torch.sqrt(1 - eigenvalue.abs() ** 2)
    state = torch.zeros(2, 5, dtype=torch.complex128)
    for t in range(30):
        state = eigenvalue * state + gamma * torch.view_as_complex(u[:, t])
        close(h[:, t], torch.view_as_real(state))
    close(last, torch.view_as_real(state))


def test_s5_with_steps_of_every_length() -> None:
    """Zero-order hold; tiny steps too, where e^z - 1 cancels."""
    u, rates = normal(2, 20, 5, 2, seed=0), torch.stack([-normal(5, seed=1).abs(), normal(5, seed=2)], dim=-1)
    for delta in (normal(5, seed=3).abs(), normal(2, 20, 5, seed=4).abs(), torch.full((5,), 1e-3).double()):
        h, _ = OPERATORS.diagonal_scan(**s5(u, rates, delta))
        poles, steps = torch.view_as_complex(rates), delta.expand(2, 20, 5)
        state = torch.zeros(2, 5, dtype=torch.complex128)
        for t in range(20):
            kept = torch.exp(poles * steps[:, t])
            state = kept * state + (kept - 1) / poles * torch.view_as_complex(u[:, t])
            close(h[:, t], torch.view_as_real(state))


def test_min_gru_by_either_operator() -> None:
    gate, candidate, state = normal(2, 30, 5, seed=0), normal(2, 30, 5, seed=1), normal(2, 5, seed=2)
    arguments = min_gru(gate, candidate)
    h, last = OPERATORS.diagonal_scan(**arguments, state=state)
    expected = state
    for t in range(30):
        z = torch.sigmoid(gate[:, t])
        expected = (1 - z) * expected + z * candidate[:, t]
        close(h[:, t], expected)
    ones = torch.ones(2, 30, 5, 1, dtype=torch.float64)  # a head a channel, of one key and one value
    y, memory = OPERATORS.gated_scan(
        ones, ones, arguments["x"][..., None], arguments["log_decay"][..., None], state[..., None, None]
    )
    close(y.squeeze(-1), h)
    close(memory.flatten(1), last)


def test_gla() -> None:
    q, k, gate = (normal(2, 30, 3, 4, seed=seed) for seed in range(3))
    v = normal(2, 30, 3, 5, seed=3)
    y, _ = OPERATORS.gated_scan(**gla(q, k, v, gate))
    memory = torch.zeros(2, 3, 4, 5, dtype=torch.float64)
    for t in range(30):
        alpha = torch.sigmoid(gate[:, t]) ** (1 / 16)
        memory = alpha[..., None] * memory + k[:, t, :, :, None] * v[:, t, :, None, :]
        close(y[:, t], torch.einsum("bhk,bhkv->bhv", q[:, t] / 2, memory))


def test_rwkv7() -> None:
    r, w, k, kappa = (normal(2, 40, 3, 4, seed=seed) for seed in range(4))
    v, rate = normal(2, 40, 3, 4, seed=4), torch.sigmoid(normal(2, 40, 3, 4, seed=5))
    y, last = OPERATORS.gated_scan(**rwkv7(r, w, k, v, kappa, rate))
    state = torch.zeros(2, 3, 4, 4, dtype=torch.float64)  # the paper's: values before keys
    unit = functional.normalize(kappa, dim=-1)
    for t in range(40):
        decay = torch.exp(-torch.exp(torch.tensor(-0.5, dtype=torch.float64)) * torch.sigmoid(w[:, t]))
        turn = torch.diag_embed(decay) - unit[:, t, :, :, None] * (rate[:, t] * unit[:, t])[:, :, None, :]
        state = state @ turn + v[:, t, :, :, None] * k[:, t, :, None, :]
        close(y[:, t], (state @ r[:, t, :, :, None]).squeeze(-1))
    close(last, state.transpose(-1, -2))
