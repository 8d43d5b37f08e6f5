"""The experiments of the research plan at tiny shapes: each runs, learns, and differs in what it says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from framestate.export.ablation_table import measure, table
from framestate.models.interpolation import HybridInterpolator
from framestate.models.interpolation.ablations import ABLATIONS, Ablation
from framestate.models.interpolation.hyper import HyperConnection
from framestate.models.interpolation.lgs import LgsBlock
from framestate.models.interpolation.matvlm import start_from_attention, start_mamba_from_attention
from framestate.models.interpolation.mixers import CrossFrameMamba
from framestate.models.interpolation.scan import bring_home, put_in_order
from framestate.models.interpolation.task import annealed
from framestate.plugins import eager_operators, reference_operators
from torch import Tensor, nn

TINY: dict[str, Any] = {
    "channels": (4, 4, 8, 8), "encoder_depth": (0, 0, 1, 0), "stem_kernel": 5, "lgs_layers": (1, 1),
    "expand": 1, "head_channels": 4, "states": 4, "attention_heads": 2, "correlation_channels": 4,
    "correlation_radius": 1, "flow_width": (8, 8, 8), "flow_depth": (1, 1, 1), "hidden": 3, "refine_width": 4,
}  # fmt: skip
BY_NAME = {one.name: one for one in ABLATIONS}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def built(one: Ablation, **more: Any) -> HybridInterpolator:
    """A tiny model of an experiment; weights that start at zero are given values."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = HybridInterpolator(one.config(**TINY, **more), eager_operators())
        for parameter in model.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    return model


def frames() -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return list(torch.rand(2, 1, 3, 64, 96, generator=generator))


@pytest.mark.parametrize("one", ABLATIONS, ids=[one.name for one in ABLATIONS])
def test_an_experiment_runs_and_learns(one: Ablation) -> None:
    model = built(one)
    if one.recipe.get("mamba_from_attention"):
        assert start_mamba_from_attention(model)
    made = model(*frames(), torch.full((1, 1), 0.4))
    assert made.shape == (1, 3, 64, 96)
    made.square().mean().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert all("head" in name or "scale" in name or name.startswith("down") for name in without), without
    again = HybridInterpolator(type(model.config).from_dict(model.config.to_dict()), eager_operators())
    again.load_state_dict(model.state_dict())


def test_experiments_of_a_phase_differ() -> None:
    for phase, main in (("1", "1c"), ("2", "2c")):
        plain = built(BY_NAME[main])(*frames(), torch.full((1, 1), 0.4))
        for one in ABLATIONS:
            if one.name[0] != phase or one.config() == BY_NAME[main].config():
                continue
            made = built(one)(*frames(), torch.full((1, 1), 0.4))
            lite = one.name in ("1h lite", "1h annealed")  # told from 1h alone, by more iterations
            assert lite or not torch.equal(made, plain), one.name


def test_what_options_say_is_in_the_model() -> None:
    def block(name: str) -> LgsBlock:
        found = built(BY_NAME[name]).lgs32.blocks[0]
        assert isinstance(found, LgsBlock)
        return found

    assert block("1a").attention is None
    assert block("1b").mamba is None
    assert type(block("1f").fuse).__name__ == "Cab"
    gated, plain = block("1c").attention, block("1g").attention
    assert gated is not None
    assert plain is not None
    assert gated.gate is not None
    assert plain.gate is None
    sides = []
    for side in (7, 8, 14):
        attention = block(f"1i {side}").attention
        assert attention is not None
        sides.append(attention.window)
    assert sides == [7, 8, 14]
    assert not len(built(BY_NAME["2d"]).lgs32.blocks)


@pytest.mark.parametrize("apart", [False, True])
def test_every_token_comes_home(apart: bool) -> None:
    pair = torch.rand(4, 3, 5, 2)
    tokens = put_in_order(pair, apart=apart)
    assert tokens.shape == ((4, 4, 15, 2) if apart else (2, 4, 30, 2))
    home = bring_home(tokens, 3, 5, apart=apart)
    assert torch.equal(home, pair.unsqueeze(1).expand(-1, 4, -1, -1, -1))


def test_a_flip_based_scan_keeps_frames_apart() -> None:
    """What is in one frame reaches the other by the interleaved scan alone."""
    for name, reaches in (("1c", True), ("1e", False)):
        branch = built(BY_NAME[name]).lgs32.blocks[0].mamba
        assert isinstance(branch, CrossFrameMamba)
        pair = torch.rand(2, 2, 3, 8)
        other = pair.clone()
        other[0] += 1.0
        seen = branch(pair, None)[0][1], branch(other, None)[0][1]
        assert torch.equal(*seen) is not reaches


def test_mamba_1_goes_on_from_its_state_and_agrees_with_the_equation() -> None:
    one = BY_NAME["1d"]
    config = one.config(**TINY)
    fast, exact = (
        CrossFrameMamba(config, 8, ops).double() for ops in (eager_operators(), reference_operators())
    )
    exact.load_state_dict(fast.state_dict())
    nn.init.normal_(fast.mixer.out_proj.weight)
    exact.load_state_dict(fast.state_dict())
    pair = torch.rand(2, 3, 4, 8, dtype=torch.float64)
    ours, theirs = fast(pair, None), exact(pair, None)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-11)
    assert not torch.equal(fast(pair, ours[1])[0], ours[0])
    carried = HybridInterpolator(one.config(**TINY, carry=("ssm",)), eager_operators()).spec("t")
    shapes = {tensor.name: tensor.shape for tensor in carried.state}
    assert shapes["motion.lgs.0.ssm"] == ("batch", 4 * 8, 4)


@pytest.mark.parametrize("name", ["MaTVLM B", "MaTVLM C"])
def test_matched_mixers_take_all_of_the_attention(name: str) -> None:
    block = built(BY_NAME[name]).lgs16.blocks[0]
    assert isinstance(block, LgsBlock)
    assert block.mamba is not None
    assert block.attention is not None
    copied = start_from_attention(block.mamba.mixer, block.attention)  # type: ignore[arg-type]
    assert (copied.values, copied.keys, copied.queries) == (8, 8, 8)
    assert (copied.inner, copied.states) == (8, 8)
    rows = block.mamba.mixer.in_proj.weight
    query, key, value = block.attention.query_key_value.weight.chunk(3)
    assert torch.equal(rows[8:32], torch.cat([value, key, query]))


def test_mixing_ends_where_it_is_annealed() -> None:
    connection = HyperConnection(2, 20, annealing=True)
    nn.init.normal_(connection.mix)
    streams = torch.rand(2, 1, 2, 2, 3)
    nothing = torch.zeros(1, 2, 2, 3)
    assert not torch.allclose(connection.give(streams, nothing), streams)
    connection.get_buffer("annealed").fill_(1.0)
    torch.testing.assert_close(connection.give(streams, nothing), streams)
    assert [annealed(done) for done in (0.0, 0.5, 0.75, 1.0)] == [0.0, 0.0, 0.5, 1.0]


def test_few_iterations_are_nearly_as_good() -> None:
    mix = torch.randn(2, 2, generator=torch.Generator().manual_seed(0))
    made = []
    for name in ("1h", "1h lite"):
        model = built(BY_NAME[name])
        for module in model.modules():
            if isinstance(module, HyperConnection):
                module.mix.data.copy_(mix)
        made.append(model(*frames(), torch.full((1, 1), 0.4)))
    assert not torch.equal(made[0], made[1])
    torch.testing.assert_close(made[0], made[1], atol=1e-2, rtol=0)


def test_the_table_is_measured() -> None:
    some = [BY_NAME[name] for name in ("1b", "2c", "2e")]
    lines = measure(some, (64, 96), 1, **TINY)
    assert lines[1].parameters == lines[2].parameters == sum(p.numel() for p in built(some[1]).parameters())
    assert all(line.gflops > 0 and line.ms >= 0 for line in lines)
    text = table(lines)
    assert text.count("\n") == 4
    assert (
        '| 1b | gated window attention alone | `flow = false, streams = 1, backbone_mode = "gated_attn_only"`'
        in text
    )
