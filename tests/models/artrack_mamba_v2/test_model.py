"""The stateful tracker is the stateless one, computed once, in every form; and orders are what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from framestate.errors import OptionError
from framestate.models import build_model, dump_weights, load_weights
from framestate.models.artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config, base, small, tiny
from framestate.models.artrack_mamba_v2.config import Order
from framestate.models.artrack_mamba_v2.order import inverse, scan_order, turn
from framestate.models.artrack_mamba_v2.rotary import grid_angles, rotate
from framestate.plugins import eager_operators, reference_operators
from torch import Tensor

EXACT = 1e-12
BuildModel = Callable[..., ArtrackMambaV2]
FORMS: list[dict[str, Any]] = [
    {"mixer": mixer, "directions": directions, "causal": causal, **more}
    for mixer in ("mamba1", "mamba2")
    for directions, causal, more in (
        ("both", False, {}),
        ("both", True, {"positions": "rotary", "order": "zigzag"}),
        ("alternate", False, {"positions": "both", "order": "hilbert", "templates": 3}),
        ("alternate", True, {"attention_layers": (-2,), "conv_taps": 3}),
        ("both", False, {"attention_layers": (1,), "positions": "rotary", "templates": 2}),
        ("both", False, {"dynamic": False, "history": 20, "span": 1}),
    )
]


def named(form: dict[str, Any]) -> str:
    return "-".join(f"{value}" for value in form.values())


def inputs(model: ArtrackMambaV2, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    c, generator = model.config, torch.Generator().manual_seed(seed)
    crop = (3, c.template_size, c.template_size)
    z = torch.randn(batch, *(c.templates, *crop) if c.templates > 1 else crop, generator=generator).double()
    x = torch.randn(batch, 3, c.search_size, c.search_size, generator=generator).double()
    return z, x, torch.randint(0, c.places, (batch, 4 * c.history), generator=generator)


def worst(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    assert found.keys() == expected.keys()
    return max(float((found[name] - expected[name]).abs().max()) for name in expected)


@pytest.mark.parametrize("form", FORMS, ids=named)
@torch.no_grad()
def test_the_step_equals_the_stateless_form(build: BuildModel, form: dict[str, Any]) -> None:
    """One scan over all tokens at once, against templates scanned once and their state kept; two frames."""
    model = build(**form).double()
    z, x, history = inputs(model)
    sure = torch.ones(2, dtype=torch.float64)
    outputs: dict[str, Tensor] = {}
    state, dynamic = model.init(z), None
    for picture in (x, x.flip(3)):
        outputs, written = model.step(picture, history, sure, state)
        expected, dynamic = model.stateless(z, picture, history, dynamic)
        assert worst(outputs, expected) <= EXACT
        if dynamic is not None:
            assert float((written["dynamic.tokens"] - dynamic).abs().max()) <= EXACT
        state = {**state, **written}
    others, _ = model.step(x.flip(3), history, sure, {**state, **model.init(z.flip(0))})
    assert worst(outputs, others) > 1e-4  # the template does matter


@pytest.mark.parametrize("form", FORMS[:5], ids=named)
@torch.no_grad()
def test_without_confidence_a_carrying_frame_is_a_restarted_one(
    build: BuildModel, form: dict[str, Any]
) -> None:
    """``carry`` 0 forgets the drawn template and the last frame's state."""
    model = build(temporal="carry", **form).double()
    z, x, history = inputs(model)
    state = model.init(z)
    for _ in range(2):
        state |= model.step(x, history, torch.ones(2).double(), state)[1]
    mixed = torch.tensor([0.0, 1.0], dtype=torch.float64)
    outputs, _ = model.step(x.flip(3), history, mixed, state)
    expected, _ = model.stateless(z, x.flip(3), history)
    assert float((outputs["logits"] - expected["logits"])[0].abs().max()) <= EXACT
    assert float((outputs["logits"] - expected["logits"])[1].abs().max()) > 1e-7


@pytest.mark.parametrize("mixer", ["mamba1", "mamba2"])
@torch.no_grad()
def test_every_operator_form_gives_the_same_model(build: BuildModel, mixer: str) -> None:
    chunked, stepwise = build(mixer=mixer).double(), build(reference_operators(), mixer=mixer).double()
    z, x, history = inputs(chunked)
    found, expected = (
        model.step(x, history, torch.ones(2).double(), model.init(z)) for model in (chunked, stepwise)
    )
    assert worst(found[0], expected[0]) <= EXACT
    assert worst(found[1], expected[1]) <= EXACT


@torch.no_grad()
def test_a_causal_model_sees_no_later_token_of_a_frame(build: BuildModel) -> None:
    """The commands are last: what they are changes nothing before them, unless a reverse scan comes first."""
    for causal in (True, False):
        model = build(causal=causal, attention_layers=(1,)).double()
        z, x, history = inputs(model)
        sure = torch.ones(2, dtype=torch.float64)
        state = model.init(z)
        before, _ = model.step_trunk(model.tokens.crop(x), history, sure, state)
        model.get_parameter("tokens.command_position").add_(1.0)
        after, _ = model.step_trunk(model.tokens.crop(x), history, sure, state)
        changed = (before - after).abs().amax((0, 2)) > 1e-9
        assert changed[-5:].all()
        assert bool(changed[:-5].any()) is not causal


@pytest.mark.parametrize("form", FORMS, ids=named)
@torch.no_grad()
def test_the_spec_says_what_the_functions_do(build: BuildModel, form: dict[str, Any]) -> None:
    model = build(temporal="carry", **form)
    spec, functions = model.spec("small"), model.functions()
    shapes = {tensor.name: tensor.concrete(3) for tensor in spec.state}
    z, x, history = inputs(model, batch=3)
    _, state = functions["init"]({"template": z.float()}, {})
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes
    given = {"search": x.float(), "history": history, "carry": torch.ones(3)}
    assert {tensor.name for tensor in spec.function("step").inputs} == set(given)
    outputs, written = functions["step"](given, state)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        tensor.name: tensor.concrete(3) for tensor in spec.function("step").outputs
    }
    assert {name: tuple(value.shape) for name, value in written.items()} == {
        name: shapes[name] for name in spec.function("step").writes_state
    }
    other = build_model(spec, eager_operators())
    assert isinstance(other, ArtrackMambaV2)
    load_weights(other, dump_weights(model))
    again, _ = other.functions()["step"](given, state)
    assert all(torch.equal(outputs[name], again[name]) for name in outputs)


@torch.no_grad()
def test_a_drawn_template_is_embedded_as_its_picture_would_be(build: BuildModel) -> None:
    model = build(order="hilbert")
    crops = torch.randn(2, 3, 32, 32)
    drawn = model.tokens.drawn(model.tokens.pixels(crops))
    assert torch.allclose(drawn, model.tokens.crop(crops), atol=1e-5)


@pytest.mark.parametrize("order", ["raster", "zigzag", "hilbert"])
@pytest.mark.parametrize("grid", [1, 2, 8, 16])
def test_an_order_visits_every_patch_once(order: Order, grid: int) -> None:
    places = scan_order(grid, order)
    assert sorted(places) == list(range(grid**2))
    assert [places[place] for place in inverse(places)] == list(range(grid**2))
    if order != "raster":  # without jumps
        rows, columns = zip(*(divmod(place, grid) for place in places), strict=True)
        steps = [
            abs(rows[t] - rows[t + 1]) + abs(columns[t] - columns[t + 1]) for t in range(len(places) - 1)
        ]
        assert set(steps) <= {1}


def test_parts_are_turned_within_themselves() -> None:
    tokens = torch.arange(6.0).reshape(1, 6, 1)
    parts = [(2, True), (3, False), (1, True)]
    assert turn(tokens, parts).flatten().tolist() == [1, 0, 2, 3, 4, 5]
    assert torch.equal(turn(turn(tokens, parts), parts), tokens)


def test_rotary_matches_depend_on_relative_places_only() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(8, generator=generator).double() for _ in range(2))
    angles = grid_angles(4, 8).double()
    queries, keys = rotate(query.expand(1, 16, 8), angles)[0], rotate(key.expand(1, 16, 8), angles)[0]
    match = (queries @ keys.t()).reshape(4, 4, 4, 4)
    assert torch.allclose(match[:3, :3, :3, :3], match[1:, 1:, 1:, 1:])
    assert torch.allclose(rotate(query.expand(1, 16, 8), angles).norm(dim=-1), query.norm())
    apart = match[0, 0]
    assert (apart - apart[0, 0]).abs().flatten()[1:].min() > 1e-6


def test_the_named_sizes_are_what_they_are_called() -> None:
    """Their parameters, tokens and vocabulary."""
    for make, dim, millions in ((tiny, 192, 8.3), (small, 384, 33.5), (base, 768, 124.3)):
        config = make()
        assert ArtrackMambaV2Config.from_dict(config.to_dict()) == config
        assert (config.dim, config.layers, config.frame_tokens) == (dim, 24, 353)
        assert (config.words, config.places) == (806, 800)
        if make is not base:  # half a gigabyte of weights is not drawn in a test
            model = ArtrackMambaV2(config, eager_operators())
            assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(
    ("options", "named_in_message"),
    [
        ({"template_size": 100}, "template_size is 100"),
        ({"search_size": 8}, "search_size is 8"),
        ({"mixer": "mamba3"}, "mixer is 'mamba3'"),
        ({"directions": "up"}, "directions is 'up'"),
        ({"order": "spiral"}, "order is 'spiral'"),
        ({"order": "hilbert", "search_size": 96}, "no Hilbert curve"),
        ({"history": 21}, "history is 21"),
        ({"history": 0}, "history is 0"),
        ({"templates": 21}, "templates is 21"),
        ({"attention_layers": [24]}, "attention_layers names layer 24"),
        ({"attention_heads": 5}, "no multiple of attention_heads 5"),
        ({"mixer": "mamba2", "head_channels": 50}, "no multiple of head_channels 50"),
        ({"positions": "rotary", "states": 6}, "states is 6"),
        ({"redraw_hidden": 1.0}, "redraw_hidden is 1.0"),
        ({"colour": 3}, "unknown model option colour"),
    ],
)
def test_a_configuration_that_cannot_be(options: dict[str, Any], named_in_message: str) -> None:
    with pytest.raises(OptionError, match=named_in_message):
        ArtrackMambaV2Config.from_dict(options)
