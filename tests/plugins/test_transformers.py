"""A second opinion: the Mamba and Mamba-2 mixers of ``transformers``, in their pure-PyTorch paths.

Their projections are taken and everything between is done by our operators; the outputs have to agree, for a
whole sequence and for single steps with the cache that either side carries. They compute in float32 only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import mean
from typing import Any

import pytest
import torch
from framestate.plugins import Operators, eager_operators, reference_operators
from torch import Tensor, nn
from torch.nn import functional

pytest.importorskip("transformers")

CLOSE = 1e-5  # float32, relative to the largest magnitude
BATCH, TIME, WIDTH = 2, 21, 16
Forward = Callable[[Any, Operators, Tensor, "State | None"], tuple[Tensor, "State"]]
State = tuple[Tensor, Tensor]


def randomised(mixer: nn.Module) -> nn.Module:
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g) * 0.5)
    return mixer.eval()


def mamba() -> tuple[Any, Any]:
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    config = MambaConfig(
        hidden_size=WIDTH, state_size=4, num_hidden_layers=1, conv_kernel=4, expand=2, time_step_rank=3
    )
    return randomised(MambaMixer(config, layer_idx=0)), config


def mamba2() -> tuple[Any, Any]:
    from transformers import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

    config = Mamba2Config(
        hidden_size=WIDTH, state_size=6, num_hidden_layers=1, conv_kernel=4, expand=2,
        num_heads=4, head_dim=8, n_groups=2, chunk_size=8,
    )  # fmt: skip
    return randomised(Mamba2Mixer(config, layer_idx=0)), config


def mamba_forward(mixer: Any, operators: Operators, u: Tensor, state: State | None) -> tuple[Tensor, State]:
    conv, ssm = (None, None) if state is None else state
    x, gate = mixer.in_proj(u).chunk(2, dim=-1)
    x, conv = operators.causal_conv1d(x, mixer.conv1d.weight.squeeze(1), mixer.conv1d.bias, conv)
    rank, states = mixer.time_step_rank, mixer.ssm_state_size
    dt, b, c = mixer.x_proj(x).split([rank, states, states], dim=-1)
    dt = functional.softplus(mixer.dt_proj(dt))
    y, ssm = operators.selective_scan(x, dt, -torch.exp(mixer.A_log), b, c, ssm)
    return mixer.out_proj((y + mixer.D * x) * functional.silu(gate)), (conv, ssm)


def mamba2_forward(mixer: Any, operators: Operators, u: Tensor, state: State | None) -> tuple[Tensor, State]:
    conv, ssm = (None, None) if state is None else state
    groups, states, heads = mixer.n_groups, mixer.ssm_state_size, mixer.num_heads
    gate, x, dt = mixer.in_proj(u).split([mixer.intermediate_size, mixer.conv_dim, heads], dim=-1)
    x, conv = operators.causal_conv1d(x, mixer.conv1d.weight.squeeze(1), mixer.conv1d.bias, conv)
    x, b, c = x.split([mixer.intermediate_size, groups * states, groups * states], dim=-1)
    x = x.unflatten(-1, (heads, -1))
    dt = functional.softplus(dt + mixer.dt_bias)
    b, c = b.unflatten(-1, (groups, states)), c.unflatten(-1, (groups, states))
    y, ssm = operators.ssd_scan(x, dt, -torch.exp(mixer.A_log), b, c, ssm)
    y = (y + mixer.D[:, None] * x).flatten(2)
    return mixer.out_proj(mixer.norm(y, gate)), (conv, ssm)


MIXERS = [pytest.param(mamba, mamba_forward, id="mamba"), pytest.param(mamba2, mamba2_forward, id="mamba2")]
SETS = [reference_operators(), eager_operators()]


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def error(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def sequence(time: int = TIME, seed: int = 1) -> Tensor:
    return torch.randn(BATCH, time, WIDTH, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("operators", SETS, ids=lambda operators: operators.name)
@pytest.mark.parametrize(("build", "forward"), MIXERS)
def test_a_whole_sequence(build: Callable[[], Any], forward: Forward, operators: Operators) -> None:
    mixer, _ = build()
    found, _ = forward(mixer, operators, sequence(), None)
    assert error(found, mixer(sequence())) <= CLOSE


@pytest.mark.parametrize("operators", SETS, ids=lambda operators: operators.name)
@pytest.mark.parametrize(("build", "forward"), MIXERS)
def test_single_steps_after_a_sequence(
    build: Callable[[], Any], forward: Forward, operators: Operators
) -> None:
    """Both sides read a prefix at once and go on step by step, each from its own cache."""
    from transformers import DynamicCache

    mixer, config = build()
    cache = DynamicCache(config=config)
    u = sequence()
    wanted = [mixer(u[:, :9], cache_params=cache)]
    found, state = forward(mixer, operators, u[:, :9], None)
    ours = [found]
    for t in range(9, TIME):
        wanted.append(mixer(u[:, t : t + 1], cache_params=cache))
        found, state = forward(mixer, operators, u[:, t : t + 1], state)
        ours.append(found)
    assert error(torch.cat(ours, dim=1), torch.cat(wanted, dim=1)) <= CLOSE
    assert error(torch.cat(ours, dim=1), forward(mixer, operators, u, None)[0]) <= CLOSE


def spread(found: Tensor, wanted: Tensor) -> float:
    """The root of the mean square of the difference, over that of what is wanted."""
    return ((found.float() - wanted).square().mean() / wanted.square().mean()).sqrt().item()


@pytest.mark.parametrize(("time", "draws"), [(300, 5), pytest.param(10_000, 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("build", "forward"), MIXERS)
def test_bf16_costs_no_more_than_transformers_own(
    build: Callable[[], Any], forward: Forward, time: int, draws: int
) -> None:
    """A whole mixer in bfloat16, both sides against the float32 mixer on the same rounded weights.

    What is left is the rounding of activations around the operators. Of one draw's largest difference
    either side has more than the other by chance, so it is the mean over all outputs and some draws.
    """
    mixer, _ = build()
    mixer = mixer.bfloat16()
    exact, _ = build()
    exact.load_state_dict({name: value.float() for name, value in mixer.state_dict().items()})
    ours, theirs = [], []
    for seed in range(1, 1 + draws):
        u = sequence(time, seed)[:1].bfloat16()
        wanted = forward(exact, eager_operators(), u.float(), None)[0]
        ours.append(spread(forward(mixer, eager_operators(), u, None)[0], wanted))
        if time <= 1000 or build is mamba2:  # transformers' Mamba runs one slow step after another
            theirs.append(spread(mixer(u), wanted))
    assert mean(ours) <= (1.2 * mean(theirs) if theirs else 0.02)
