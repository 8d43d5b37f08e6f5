"""Parts of the interpolator: a second look, patches, windows, mixed streams, starts from attention."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from framestate.models.interpolation import HybridInterpolator, InterpolatorConfig
from framestate.models.interpolation.hyper import HyperConnection, sinkhorn
from framestate.models.interpolation.layers import enlarge, enlarge_in_patches
from framestate.models.interpolation.lgs import GatedWindowAttention, LgsBlock
from framestate.models.interpolation.matvlm import start_mamba_from_attention
from framestate.models.interpolation.refine import PatchRefine
from torch.nn import functional

Build = Callable[..., HybridInterpolator]
MODES = ("hybrid", "mamba2_only", "gated_attn_only")


def test_a_second_look_starts_by_adding_nothing() -> None:
    config = InterpolatorConfig(refine="patch")
    refine = PatchRefine(config)
    one, other = torch.rand(2, 1, 3, 32, 64)
    _, added = refine(torch.rand(1, 32, 8, 16), one, other)
    assert added.shape == (1, 4 * 4 * 4, 8, 16)
    assert not added.any()


@pytest.mark.parametrize("depth", [1, 3])
def test_a_folded_second_look_is_the_same(depth: int) -> None:
    refine = PatchRefine(InterpolatorConfig(refine="patch", refine_depth=depth))
    torch.nn.init.normal_(refine.fine.weight)
    given = torch.rand(2, 32, 8, 16), *torch.rand(2, 2, 3, 32, 64)
    near, residual, mask = refine.in_parts(*given)
    torch.testing.assert_close((near, torch.cat([residual, mask], dim=1)), refine(*given))
    for plain, folded in zip(refine(*given), refine(*given, folded=True), strict=True):
        torch.testing.assert_close(folded, plain)


@pytest.mark.parametrize(("channels", "times"), [(1, 2), (4, 4), (3, 5)])
def test_enlarging_in_patches_is_enlarging(channels: int, times: int) -> None:
    small = torch.rand(2, channels, 5, 7)
    patches = enlarge_in_patches(small, times)
    assert patches.shape == (2, channels * times**2, 5, 7)
    torch.testing.assert_close(functional.pixel_shuffle(patches, times), enlarge(small, times))


@pytest.mark.parametrize("both", ["both", "each"])
def test_windows_come_home(both: str) -> None:
    config = InterpolatorConfig(channels=(4, 4, 8, 8), head_channels=4, window=4, window_frames=both)  # type: ignore[arg-type]
    attention = GatedWindowAttention(config, 8)
    pair = torch.rand(4, 8, 12, 8)
    assert torch.equal(attention.join(attention.split(pair, 2, 3), 4, 2, 3), pair)


def test_padding_of_windows_is_not_seen(build: Build) -> None:
    """Places behind the border of an odd-sized map change nothing: a larger window gives the same answer."""
    config = InterpolatorConfig(channels=(4, 4, 8, 8), head_channels=4, window=4)
    attention = GatedWindowAttention(config, 8)
    torch.nn.init.normal_(attention.project.weight)
    pair = torch.rand(2, 3, 4, 8)
    wide = GatedWindowAttention(InterpolatorConfig(channels=(4, 4, 8, 8), head_channels=4, window=8), 8)
    weights = {k: v for k, v in attention.state_dict().items() if k != "position"}
    wide.load_state_dict({**weights, "position": wide.position.detach()})
    torch.testing.assert_close(attention(pair), wide(pair), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("streams", [2, 3, 5])
def test_streams_are_mixed_by_a_doubly_stochastic_matrix(streams: int) -> None:
    matrix = sinkhorn(torch.randn(streams, streams, generator=torch.Generator().manual_seed(1)), 20)
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(0), torch.ones(streams))
    torch.testing.assert_close(matrix.sum(1), torch.ones(streams), rtol=0, atol=1e-3)
    connection = HyperConnection(streams, 20, annealing=False)
    ones = torch.ones(streams, 1, 2, 2, 3)
    torch.testing.assert_close(connection.give(ones, torch.zeros(1, 2, 2, 3)), ones)
    torch.testing.assert_close(connection.take(ones), ones[0])


def test_attention_is_a_start_for_mamba(build: Build) -> None:
    model = build(lgs_layers=(1, 1), expand=2)
    copied = start_mamba_from_attention(model)
    assert [(c.values, c.keys, c.queries) for c in copied] == [(8, 4, 4), (8, 4, 4)]
    block = model.lgs32.blocks[0]
    assert isinstance(block, LgsBlock)
    assert block.mamba is not None
    assert block.attention is not None
    query, key, value = block.attention.query_key_value.weight.chunk(3)
    rows = block.mamba.mixer.in_proj.weight
    inner, states = 16, 4
    assert torch.equal(rows[inner : inner + 8], value)
    assert torch.equal(rows[2 * inner : 2 * inner + states], key[:states])
    assert torch.equal(rows[2 * inner + states : 2 * inner + 2 * states], query[:states])
    assert start_mamba_from_attention(build(backbone_mode="mamba2_only")) == []
