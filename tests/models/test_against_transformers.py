"""Our Mamba-2 mixer against the one in `transformers`: written by others, run in plain PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from framestate.models.artrack_mamba import ArtrackMambaConfig
from framestate.models.artrack_mamba.mixer import Mamba2Mixer
from framestate.plugins import eager_operators, reference_operators
from torch import Tensor, nn

pytest.importorskip("transformers", reason="the oracle comes with the dev extra")

DIM, HEADS, CHANNELS, STATES, TAPS = 24, 6, 8, 5, 4


@pytest.fixture(scope="module")
def oracle_config() -> Any:
    from transformers import Mamba2Config

    return Mamba2Config(
        num_heads=HEADS, head_dim=CHANNELS, hidden_size=DIM, state_size=STATES, expand=2, n_groups=1,
        conv_kernel=TAPS, chunk_size=8, num_hidden_layers=1, use_bias=False, use_conv_bias=True,
        layer_norm_epsilon=1e-5, time_step_limit=(0.0, float("inf")),
    )  # fmt: skip


def both(config: Any, operators: Any) -> tuple[nn.Module, Mamba2Mixer]:
    """The oracle's mixer and ours with the same random weights."""
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer as Oracle

    torch.manual_seed(0)
    theirs = Oracle(config, layer_idx=0).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.5)
    sizes = ArtrackMambaConfig(dim=DIM, head_channels=CHANNELS, states=STATES, conv_taps=TAPS)
    ours = Mamba2Mixer(sizes, operators, reverse=False).eval()
    names = {"dt_bias": "dt_bias", "A_log": "a_log", "D": "d_skip", "norm.weight": "norm.weight"}
    names |= {"in_proj.weight": "in_proj.weight", "out_proj.weight": "out_proj.weight"}
    names |= {"conv1d.weight": "conv_weight", "conv1d.bias": "conv_bias"}
    weights = {names[name]: value for name, value in theirs.state_dict().items()}
    weights["conv_weight"] = weights["conv_weight"].squeeze(1)
    ours.load_state_dict(weights)
    return theirs, ours


def relative(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("operators", [eager_operators(), reference_operators()], ids=lambda o: o.name)
@torch.no_grad()
def test_a_whole_sequence(oracle_config: Any, operators: Any) -> None:
    theirs, ours = both(oracle_config, operators)
    tokens = torch.randn(2, 37, DIM)
    mixed, _, _ = ours(tokens, None, None)
    assert relative(mixed, theirs(tokens)) <= 1e-5


@torch.no_grad()
def test_a_prefix_then_single_steps(oracle_config: Any) -> None:
    """The oracle keeps its state in its cache, in its own layout; ours is handed from call to call."""
    from transformers import DynamicCache

    theirs, ours = both(oracle_config, eager_operators())
    tokens = torch.randn(2, 20, DIM)
    cache = DynamicCache(config=oracle_config)
    expected = [theirs(tokens[:, :13], cache_params=cache)]
    expected += [theirs(tokens[:, t : t + 1], cache_params=cache) for t in range(13, 20)]
    ssm = conv = None
    found = []
    for start, end in [(0, 13), *((t, t + 1) for t in range(13, 20))]:
        mixed, ssm, conv = ours(tokens[:, start:end], ssm, conv)
        found.append(mixed)
    assert relative(torch.cat(found, 1), torch.cat(expected, 1)) <= 1e-5
    assert ssm is not None
    layer: Any = cache.layers[0]
    assert relative(ssm.transpose(2, 3), layer.recurrent_states[0]) <= 1e-5
