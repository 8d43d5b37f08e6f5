"""The stateful tracker is the plain one, computed once; its sizes are those of its plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from framestate.bundles import ModelSpec
from framestate.errors import OptionError
from framestate.models import build_model, dump_weights, load_weights
from framestate.models.vil_tracker import VilTracker, VilTrackerConfig, mini, small
from framestate.models.vil_tracker.experts import ExpertMixture
from framestate.models.vil_tracker.film import TemporalFilm, modulate, pooled
from framestate.models.vil_tracker.mlstm import MlstmBlock
from framestate.plugins import eager_operators, reference_operators
from torch import Tensor, nn
from torch.nn import functional

EXACT = 1e-12
BuildVil = Callable[..., VilTracker]


def crops(model: VilTracker, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = model.config.template_size, model.config.search_size
    z, x = (torch.randn(batch, 3, s, s, generator=generator, dtype=torch.float64) for s in sizes)
    return z, x


def worst(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    assert found.keys() == expected.keys()
    return max(float((found[name] - expected[name]).abs().max()) for name in expected)


def some(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("block", ["gelu", "silu"])
def test_the_full_tracker_has_the_size_of_its_plan(block: Any) -> None:
    config = VilTrackerConfig(**{**small().to_dict(), "block": block})
    with torch.device("meta"):
        model = VilTracker(config, eager_operators())
    assert abs(count(model) / 36.33e6 - 1) < 0.01
    assert {count(part) for part in model.blocks} == {918_152}
    assert len(model.blocks) == 24
    assert hasattr(model, "layer_scale") == (block == "gelu")
    assert 13.7 < model.spec("full").state_bytes / 2**20 < 13.9


@pytest.mark.parametrize("block", ["gelu", "silu"])
@pytest.mark.parametrize("sizes", [{}, {"layers": 2, "expert_layers": 2}, {"layers": 1, "expert_layers": 0}])
@torch.no_grad()
def test_the_step_equals_the_plain_form(build_vil: BuildVil, block: str, sizes: dict[str, int]) -> None:
    """One scan over [template, search] against a template scanned once and its state kept."""
    model = build_vil(block=block, **sizes).double()
    z, x = crops(model)
    maps, _ = model.step(x, some(0, 0), model.init(z))
    assert worst(maps, model.stateless(z, x)) <= EXACT
    others, _ = model.step(x, some(0, 0), model.init(z.flip(0)))
    assert worst(maps, others) > 1e-3  # the template does matter


@pytest.mark.parametrize("block", ["gelu", "silu"])
@torch.no_grad()
def test_every_operator_form_gives_the_same_model(build_vil: BuildVil, block: str) -> None:
    chunked, stepwise = (
        build_vil(block=block).double(),
        build_vil(reference_operators(), block=block).double(),
    )
    stepwise.load_state_dict(chunked.state_dict())
    z, x = crops(chunked)
    results = []
    for model in (chunked, stepwise):
        state = model.init(z)
        _, written = model.step(x, some(0.5, 1), state)
        results.append(model.step(x.flip(3), some(0.5, 1), {**state, **written}))
    assert worst(results[0][0], results[1][0]) <= EXACT
    assert worst(results[0][1], results[1][1]) <= EXACT


def by_hand(block: MlstmBlock, tokens: Tensor) -> Tensor:
    """The block over a whole sequence from its equations: every pair of steps, no state and no operator."""
    m, heads = block.mixer, 4
    x, z = m.proj_up(functional.layer_norm(tokens, tokens.shape[-1:], block.norm.weight)).chunk(2, -1)
    taps, channels = m.conv_weight.shape[1], x.shape[-1]
    padded = functional.pad(x.transpose(1, 2), (taps - 1, 0))
    conv = functional.conv1d(padded, m.conv_weight[:, None], m.conv_bias, groups=channels).transpose(1, 2)
    silu = m.config.block == "silu"
    seen = functional.silu(conv) if silu else functional.gelu(conv)
    q, k, v = (
        torch.einsum("blgi,goi->blgo", part.unflatten(-1, (-1, 4)), linear.weight).flatten(2)
        for part, linear in ((seen, m.q_proj), (seen, m.k_proj), (x, m.v_proj))
    )
    joined = torch.cat([q, k, v], -1)
    log_f = functional.logsigmoid(m.forget_gate(joined)).transpose(1, 2)  # (B, H, L)
    gate = m.input_gate(joined).transpose(1, 2)
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    total = log_f.cumsum(-1)
    span = total[..., :, None] - total[..., None, :] + gate[..., None, :]
    span = span.masked_fill(~torch.ones(span.shape[-2:]).tril().bool(), -torch.inf)
    top = span.amax(-1, keepdim=True)
    match = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5 * (span - top).exp()
    weight = torch.maximum(match.sum(-1, keepdim=True).abs(), (-top).exp()) + 1e-6
    h = functional.layer_norm((match / weight) @ v, v.shape[-1:]).transpose(1, 2).flatten(2)
    h = h * m.out_norm + m.skip * seen
    result: Tensor = m.proj_down(h * (functional.silu(z) if silu else z.sigmoid()))
    return result


@pytest.mark.parametrize("silu", [True, False])
@torch.no_grad()
def test_a_block_by_its_equations(build_vil: BuildVil, silu: bool) -> None:
    model = build_vil(block="silu" if silu else "gelu").double()
    tokens = torch.randn(2, 9, 16, dtype=torch.float64)
    for index, block in enumerate(model.blocks):
        assert isinstance(block, MlstmBlock)
        nn.init.uniform_(block.mixer.out_norm, 0.5, 1.5)
        nn.init.normal_(block.mixer.skip)
        backward = bool(index % 2)  # odd layers read from the last token to the first
        expected = by_hand(block, tokens.flip(1)).flip(1) if backward else by_hand(block, tokens)
        assert torch.allclose(block(tokens, None)[0], expected, rtol=0, atol=EXACT)


@torch.no_grad()
def test_without_carry_nothing_of_the_past_is_seen(build_vil: BuildVil) -> None:
    """carry = 0 is the tracker without temporal features, whatever the memory was."""
    film, none = build_vil().double(), build_vil(temporal="none").double()
    none.load_state_dict({k: v for k, v in film.state_dict().items() if not k.startswith("film.")})
    z, x = crops(film)
    state = film.init(z)
    _, written = film.step(x, some(1, 1), state)
    state |= written
    maps, again = film.step(x.flip(3), some(0, 1), state)
    expected, nothing = none.step(x.flip(3), None, none.init(z))
    assert nothing == {}
    assert all(torch.equal(maps[name][0], expected[name][0]) for name in expected)
    assert all(float((maps[name][1] - expected[name][1]).abs().max()) > 1e-6 for name in expected)
    # A frame that carries nothing starts its memory anew, too.
    fresh = film.step(x.flip(3), some(0, 0), film.init(z))[1]["temporal.memory"]
    assert torch.equal(again["temporal.memory"][0], fresh[0])
    assert not torch.allclose(again["temporal.memory"][1], fresh[1])


@torch.no_grad()
def test_the_memory_moves_towards_what_is_seen(build_vil: BuildVil) -> None:
    model = build_vil().double()
    model.film.rate.copy_(torch.linspace(-2, 2, 16))
    z, x = crops(model)
    state = model.init(z)
    assert torch.equal(state["temporal.start"], state["temporal.memory"])
    state["temporal.memory"] = torch.randn(2, 16, dtype=torch.float64)
    carry = some(0.25, 1)
    seen = model.look(x, carry, state)
    base = state["temporal.start"] + carry[:, None] * (state["temporal.memory"] - state["temporal.start"])
    score = seen.maps["score"].flatten(1)
    tokens = seen.features.flatten(2)
    look = (tokens * score[:, None]).sum(2) / (score.sum(1, keepdim=True) + 1e-6)
    share = model.film.rate.sigmoid() * score.amax(1, keepdim=True)
    assert torch.allclose(seen.look, look, rtol=0, atol=EXACT)
    assert torch.allclose(seen.written["temporal.memory"], base + share * (look - base), rtol=0, atol=EXACT)


@torch.no_grad()
def test_film_scales_and_shifts_each_channel(build_vil: BuildVil) -> None:
    film = build_vil().double().film
    assert isinstance(film, TemporalFilm)
    memory, tokens = torch.randn(2, 16, dtype=torch.float64), torch.randn(2, 5, 16, dtype=torch.float64)
    features = film.encode(functional.layer_norm(memory, (16,), film.norm.weight))
    modulation = film(memory, some(1, 0.5))
    for gap in range(2):
        scale, shift = (features @ film.affine[gap, part] for part in range(2))
        moved = modulate(tokens, modulation[:, gap])
        assert torch.allclose(moved[0], tokens[0] * (1 + scale[0]) + shift[0], rtol=0, atol=EXACT)
        half = tokens[1] * (1 + scale[1] / 2) + shift[1] / 2
        assert torch.allclose(moved[1], half, rtol=0, atol=EXACT)
    nothing = film(memory, some(0, 0))
    assert torch.equal(modulate(tokens, nothing[:, 0]), tokens)


def test_a_fresh_film_changes_nothing() -> None:
    torch.manual_seed(0)
    film = TemporalFilm(mini())
    assert not film(torch.randn(2, 96), torch.ones(2)).any()


def test_pooling_by_hand() -> None:
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]]])
    assert torch.allclose(
        pooled(tokens, torch.tensor([[1.0, 3.0, 0.0]])), torch.tensor([[2.5, 5.0]]), atol=1e-4
    )


@torch.no_grad()
def test_experts_are_mixed_by_the_router(build_vil: BuildVil) -> None:
    """Each expert on its own, weighted by hand; the shared one beside them."""
    mixture = build_vil().double().mixtures[0]
    assert isinstance(mixture, ExpertMixture)
    tokens = torch.randn(2, 5, 16, dtype=torch.float64)
    x = functional.layer_norm(tokens, (16,), mixture.norm.weight)
    shares = torch.softmax(x @ mixture.router.weight.T, -1)
    expected = mixture.shared(x)
    for expert in range(3):
        rows = slice(8 * expert, 8 * expert + 8)
        enter, leave = mixture.enter.weight[rows], mixture.leave.weight[:, rows]
        expected = expected + shares[..., expert, None] * (functional.gelu(x @ enter.T) @ leave.T)
    assert torch.allclose(mixture(tokens), expected, rtol=0, atol=EXACT)
    assert float(shares.std()) > 1e-3


@torch.no_grad()
def test_the_spec_says_what_the_functions_do(build_vil: BuildVil) -> None:
    for temporal in ("film", "none"):
        model = build_vil(temporal=temporal)
        spec = model.spec("small")
        shapes = {tensor.name: tensor.concrete(3) for tensor in spec.state}
        z, x = (crop.float() for crop in crops(model, batch=3))
        functions = model.functions()
        _, state = functions["init"]({"template": z}, {})
        assert {name: tuple(value.shape) for name, value in state.items()} == shapes
        given = {"search": x, "carry": torch.ones(3)}
        step = spec.function("step")
        given = {tensor.name: given[tensor.name] for tensor in step.inputs}
        maps, written = functions["step"](given, state)
        expected = {tensor.name: tensor.concrete(3) for tensor in step.outputs}
        assert {name: tuple(value.shape) for name, value in maps.items()} == expected
        assert (
            set(written) == set(step.writes_state) == ({"temporal.memory"} if temporal == "film" else set())
        )
        assert ModelSpec.from_json(spec.to_json()) == spec


@torch.no_grad()
def test_a_model_comes_back_from_its_spec_and_weights(build_vil: BuildVil) -> None:
    model = build_vil()
    again = build_model(model.spec("small"), eager_operators())
    assert isinstance(again, VilTracker)
    load_weights(again, dump_weights(model))
    z, x = (crop.float() for crop in crops(model))
    expected, found = (each.step(x, torch.ones(2), each.init(z))[0] for each in (model, again))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"search_size": 250}, "search_size is 250, which is no multiple of the stride 16"),
        ({"dim": 20}, "dim \\* expand is 40"),
        ({"block": "relu"}, "block is 'relu'"),
        ({"temporal": "carry"}, "temporal is 'carry'"),
        ({"layers": 1, "expert_layers": 2}, "layers is 1 and expert_layers 2"),
        ({"head_dims": (8, 8)}, "head_dims is \\(8, 8\\)"),
        ({"width": 3}, "unknown model option width"),
    ],
)
def test_what_cannot_be_built(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        VilTrackerConfig.from_dict({**mini().to_dict(), **options})
