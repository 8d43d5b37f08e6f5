"""Published recurrences as arguments of ``diagonal_scan`` and ``gated_scan``: ``scan(**lru(...), state=h)``.

Each function takes what the paper's layer computes for every step, by the paper's names, and gives the
operator's arguments. Read-outs that mix channels (LRU's and S5's C and D) stay with the model.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .diagonal_scan.reference import times

Arguments = dict[str, Tensor]


def lru(u: Tensor, nu_log: Tensor, theta_log: Tensor) -> Arguments:
    """LRU (Orvieto et al. 2023, section 3.4) for ``diagonal_scan``: ``λ = exp(-exp(ν) + i exp(θ))``.

    Args: u (B, T, D, 2), complex inputs ``B u_t`` as pairs; nu_log and theta_log (D,). The factor
        ``γ = √(1 - |λ|²)`` of the inputs is applied here.
    """
    rate = -torch.exp(nu_log)
    gamma = torch.sqrt(-torch.expm1(2 * rate))
    return {"x": gamma.unsqueeze(-1) * u, "log_decay": rate, "phase": torch.exp(theta_log)}


def s5(u: Tensor, rates: Tensor, delta: Tensor) -> Arguments:
    """S5 (Smith et al. 2023, section 2.1; zero-order hold) for ``diagonal_scan``.

    Args: u (B, T, D, 2), complex inputs ``B u_t`` as pairs; rates (D, 2), the diagonal Λ as pairs, real parts
        negative; delta (D,) or (B, T, D), step sizes.
    """
    real, turn = rates.unbind(-1)
    log_decay, phase = real * delta, turn * delta
    size = torch.expm1(log_decay)
    # e^z - 1 = (e^r - 1) + e^r (cos p - 1) + i e^r sin p, without the cancellation of small steps
    half = torch.sin(phase / 2)
    upper = torch.stack([size - 2 * (size + 1) * half * half, (size + 1) * torch.sin(phase)], dim=-1)
    held = divided(upper, rates)
    return {"x": times(held, u, True), "log_decay": log_decay, "phase": phase}


def min_gru(gate: Tensor, candidate: Tensor) -> Arguments:
    """minGRU (Feng et al. 2024, section 3.1) for ``diagonal_scan``: ``h_t = (1 - z_t) h_{t-1} + z_t h̃_t``.

    Args: gate (B, T, D), z before its sigmoid; candidate (B, T, D), h̃.
    """
    return {"x": torch.sigmoid(gate) * candidate, "log_decay": -functional.softplus(gate)}


def gla(q: Tensor, k: Tensor, v: Tensor, gate: Tensor, *, temperature: float = 16.0) -> Arguments:
    """Gated linear attention (Yang et al. 2024, section 4.4) for ``gated_scan``: ``α = σ(gate)^(1 / τ)``.

    Args: q, k and gate (B, T, H, K), v (B, T, H, V). Queries are scaled by 1 / √K here.
    """
    log_decay = -functional.softplus(-gate) / temperature
    return {"q": q * q.shape[-1] ** -0.5, "k": k, "v": v, "log_decay": log_decay}


def rwkv7(r: Tensor, w: Tensor, k: Tensor, v: Tensor, kappa: Tensor, a: Tensor) -> Arguments:
    """RWKV-7 (Peng et al. 2025, equation 17) for ``gated_scan``.

    ``S_t = (diag(w_t) - (a_t ∘ κ̂_t) ⊗ κ̂_t) S_{t-1} + k̃_t ⊗ v_t``, which is the paper's, transposed.

    Args: r (receptance), k (k̃), kappa (κ, normalised here) and a (in-context rate, after its sigmoid)
        (B, T, H, K); v (B, T, H, V); w (B, T, H, K), before ``exp(-e^-½ σ(w))``.
    """
    unit = functional.normalize(kappa, dim=-1)
    log_decay = -(torch.e**-0.5) * torch.sigmoid(w)
    return {"q": r, "k": k, "v": v, "log_decay": log_decay, "a": -unit, "b": a * unit}


def divided(one: Tensor, other: Tensor) -> Tensor:
    """The quotient of complex numbers as pairs."""
    conjugate = other * other.new_tensor([1.0, -1.0])
    return times(one, conjugate, True) / other.square().sum(-1, keepdim=True)
