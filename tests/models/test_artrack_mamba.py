"""The stateful tracker is the plain one, computed once; and its configuration refuses what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from framestate.errors import BundleError, OptionError
from framestate.models import build_model, dump_weights, load_weights
from framestate.models.artrack_mamba import ArtrackMamba, ArtrackMambaConfig, nano, tiny
from framestate.plugins import eager_operators, reference_operators
from torch import Tensor

EXACT = 1e-12
BuildModel = Callable[..., ArtrackMamba]
FORMS: list[dict[str, Any]] = [
    {"stem": "conv", "directions": "alternate"},
    {"stem": "conv", "directions": "both"},
    {"stem": "patch", "directions": "alternate"},
    {"stem": "patch", "directions": "both"},
]


def named(form: dict[str, Any]) -> str:
    return "-".join(form.values())


def crops(model: ArtrackMamba, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = model.config.template_size, model.config.search_size
    z, x = (torch.randn(batch, 3, s, s, generator=generator, dtype=torch.float64) for s in sizes)
    return z, x


def worst(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    assert found.keys() == expected.keys()
    return max(float((found[name] - expected[name]).abs().max()) for name in expected)


@pytest.mark.parametrize("form", FORMS, ids=named)
@pytest.mark.parametrize("temporal", ["restart", "carry"])
@torch.no_grad()
def test_the_step_equals_the_plain_form(build: BuildModel, form: dict[str, Any], temporal: str) -> None:
    """One scan over [template, search] against a template scanned once and its state kept."""
    model = build(temporal=temporal, **form).double()
    z, x = crops(model)
    none = torch.zeros(2, dtype=torch.float64)
    maps, _ = model.step(x, none, model.init(z))
    assert worst(maps, model.stateless(z, x)) <= EXACT
    others, _ = model.step(x, none, model.init(z.flip(0)))
    assert worst(maps, others) > 0.1  # the template does matter


@pytest.mark.parametrize("form", FORMS, ids=named)
@torch.no_grad()
def test_every_operator_form_gives_the_same_model(build: BuildModel, form: dict[str, Any]) -> None:
    chunked, stepwise = build(**form).double(), build(reference_operators(), **form).double()
    stepwise.load_state_dict(chunked.state_dict())
    z, x = crops(chunked)
    half = torch.full((2,), 0.5, dtype=torch.float64)
    results = []
    for model in (chunked, stepwise):
        state = model.init(z)
        _, written = model.step(x, half, state)
        results.append(model.step(x.flip(3), half, {**state, **written}))
    assert worst(results[0][0], results[1][0]) <= EXACT
    assert worst(results[0][1], results[1][1]) <= EXACT


@torch.no_grad()
def test_without_carry_a_frame_starts_anew(build: BuildModel) -> None:
    """carry = 0 is the restart mode exactly, whatever the state was."""
    carrying, restarting = build(temporal="carry").double(), build(temporal="restart").double()
    restarting.load_state_dict({k: v for k, v in carrying.state_dict().items() if k != "carry_logit"})
    z, x = crops(carrying)
    state = carrying.init(z)
    _, written = carrying.step(x, torch.ones(2, dtype=torch.float64), state)
    assert worst(written, {k: state[k] for k in written}) > 1e-3
    maps, _ = carrying.step(x.flip(3), torch.zeros(2, dtype=torch.float64), {**state, **written})
    expected, nothing = restarting.step(x.flip(3), torch.zeros(2, dtype=torch.float64), restarting.init(z))
    assert nothing == {}
    assert all(torch.equal(maps[name], expected[name]) for name in expected)


@torch.no_grad()
def test_a_carrying_frame_starts_between_template_and_last_state(build: BuildModel) -> None:
    """``State_0 + carry · α · (State_{t-1} - State_0)``, with an α of its own for every head."""
    model = build(temporal="carry", directions="both").double()
    model.carry_logit.copy_(torch.linspace(-3, 50, model.carry_logit.numel()).view_as(model.carry_logit))
    z, x = crops(model)
    carry = torch.tensor([0.4, 1.0], dtype=torch.float64)
    state = model.init(z)
    state |= model.step(x, carry, state)[1]
    found = model.step(x.flip(3), carry, state)
    moved = dict(state)
    for layer in range(2):
        for direction in range(2):
            name = f"layers.{layer}.{direction}"
            alpha = model.carry_logit[layer].sigmoid()[None, :, None, None]
            start, last = state[f"{name}.start"], state[f"{name}.ssm"]
            moved[f"{name}.start"] = start + carry[:, None, None, None] * alpha * (last - start)
    expected = model.step(x.flip(3), torch.zeros(2, dtype=torch.float64), moved)
    assert worst(found[0], expected[0]) <= EXACT
    assert worst(found[1], expected[1]) <= EXACT


@torch.no_grad()
def test_what_is_carried_changes_the_answer_row_by_row(build: BuildModel) -> None:
    model = build(temporal="carry").double()
    z, x = crops(model)
    state = model.init(z)
    state |= model.step(x, torch.ones(2, dtype=torch.float64), state)[1]
    one_carries = torch.tensor([0.0, 1.0], dtype=torch.float64)
    mixed, _ = model.step(x.flip(3), one_carries, state)
    none, _ = model.step(x.flip(3), torch.zeros(2, dtype=torch.float64), state)
    assert torch.equal(mixed["score"][0], none["score"][0])
    assert float((mixed["score"][1] - none["score"][1]).abs().max()) > 1e-6


@torch.no_grad()
def test_the_template_state_does_not_depend_on_the_search(build: BuildModel) -> None:
    """What ``step`` may not write stays as ``init`` made it, so that a template never fades."""
    model = build(temporal="carry")
    spec = model.spec("small")
    assert set(spec.function("step").writes_state) == {
        name for name in (tensor.name for tensor in spec.state) if name.endswith(".ssm")
    }


@pytest.mark.parametrize("form", FORMS, ids=named)
@torch.no_grad()
def test_the_spec_says_what_the_functions_do(build: BuildModel, form: dict[str, Any]) -> None:
    model = build(**form)
    spec = model.spec("small")
    shapes = {tensor.name: tensor.concrete(3) for tensor in spec.state}
    z, x = (crop.float() for crop in crops(model, batch=3))
    functions = model.functions()
    _, state = functions["init"]({"template": z}, {})
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes
    maps, written = functions["step"]({"search": x, "carry": torch.ones(3)}, state)
    assert {name: tuple(value.shape) for name, value in maps.items()} == {
        tensor.name: tensor.concrete(3) for tensor in spec.function("step").outputs
    }
    assert {name: tuple(value.shape) for name, value in written.items()} == {
        name: shapes[name] for name in spec.function("step").writes_state
    }
    assert set(spec.functions) == set(functions)


@torch.no_grad()
def test_maps_stay_within_their_ranges(build: BuildModel) -> None:
    model = build()
    z, x = (100 * crop.float() for crop in crops(model))
    maps, _ = model.step(x, torch.ones(2), model.init(z))
    for name, low, high in (("score", 0, 1), ("offset", -1.5, 1.5), ("size", 0, 1), ("log_variance", -8, 2)):
        assert maps[name].isfinite().all()
        assert maps[name].min() >= low
        assert maps[name].max() <= high


def test_a_fresh_model_starts_as_meant() -> None:
    """Blocks are the identity, few cells hold a target, and a target has the size that the crop implies."""
    torch.manual_seed(0)
    model = ArtrackMamba(ArtrackMambaConfig(layers=1), eager_operators()).eval()
    projections = [p for name, p in model.named_parameters() if name.endswith("out_proj.weight")]
    assert len(projections) == 1
    assert not projections[0].any()
    with torch.no_grad():
        maps = model.stateless(torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 192, 192))
    assert float(maps["score"].max()) < 0.05
    assert abs(float(maps["size"].mean()) - 1 / 3) < 0.05


@pytest.mark.parametrize("config", [nano(), tiny()], ids=["nano", "tiny"])
def test_the_named_sizes_survive_json(config: ArtrackMambaConfig) -> None:
    assert ArtrackMambaConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("options", "named_in_message"),
    [
        ({"template_size": 100}, "template_size is 100"),
        ({"search_size": 200}, "search_size is 200"),
        ({"dim": 100}, "dim . expand is 200"),
        ({"stem": "deep"}, "stem is 'deep'"),
        ({"directions": "up"}, "directions is 'up'"),
        ({"temporal": "never"}, "temporal is 'never'"),
        ({"colour": 3}, "unknown model option colour"),
    ],
)
def test_a_configuration_that_cannot_be(options: dict[str, Any], named_in_message: str) -> None:
    with pytest.raises(OptionError, match=named_in_message):
        ArtrackMambaConfig.from_dict(options)


def test_weights_travel_without_loss(build: BuildModel) -> None:
    model = build(seed=1)
    other = build_model(model.spec("small"), eager_operators())
    load_weights(other, dump_weights(model))
    ours, theirs = model.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_weights_that_do_not_fit_are_named(build: BuildModel) -> None:
    model = build()
    weights = dump_weights(model)
    weights["extra"] = weights.pop("head.out.bias")
    weights["carry_logit"] = weights["carry_logit"][:1]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(BundleError) as caught:
        load_weights(model, weights)
    message = str(caught.value)
    assert "missing: head.out.bias" in message
    assert "not in the model: extra" in message
    assert "of another shape: carry_logit" in message
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_an_unknown_architecture(build: BuildModel) -> None:
    from dataclasses import replace

    spec = replace(build().spec("small"), architecture="perceptron")
    with pytest.raises(BundleError, match=r"'perceptron'.*known architectures: artrack_mamba"):
        build_model(spec, eager_operators())
