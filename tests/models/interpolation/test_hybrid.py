"""The interpolator: shapes, gradients, streaming, and what its options change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from framestate.errors import OptionError
from framestate.models import build_model
from framestate.models.interpolation import HybridInterpolator, InterpolatorConfig, base, nano
from framestate.models.interpolation.flow import retime
from framestate.models.interpolation.start import Choice
from framestate.models.warp import warp_grid
from framestate.plugins import eager_operators
from torch import Tensor, nn

Build = Callable[..., HybridInterpolator]
MODES = ("hybrid", "mamba2_only", "gated_attn_only")


def at(t: float, rows: int = 2) -> Tensor:
    return torch.full((rows, 1), t)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("t", [0.25, 0.5, 0.9])
def test_any_time_in_any_mode(build: Build, frames: list[Tensor], mode: str, t: float) -> None:
    model = build(backbone_mode=mode, lgs_layers=(1, 1))
    with torch.no_grad():
        made = model(frames[0], frames[1], at(t))
    assert made.shape == frames[0].shape
    assert torch.isfinite(made).all()
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize(
    "options",
    [
        {"backbone_mode": "hybrid", "channel_attention": "cab", "streams": 3, "lgs_layers": (1, 2)},
        {"backbone_mode": "mamba2_only", "carry": ("flow", "ssm")},
        {"backbone_mode": "gated_attn_only", "window_frames": "each", "carry": ("flow",)},
        {"refine": "full", "flow_layers": ("full", "full", "full"), "correlation_radius": 0},
        {"refine": "patch", "start_flow": "dis"},
        {"refine": "patch", "start_flow": "dis", "bend": True, "rest": True},
    ],
)
def test_every_parameter_learns(build: Build, frames: list[Tensor], options: dict[str, Any]) -> None:
    model = build(**options).train()
    first, second, third = (model.encode(frame) for frame in frames)
    last, _ = model.motion(first, second, {})
    start = torch.randn(2, 4, 8, 12) if model.choice is not None else None
    bend = torch.randn(2, 4, 8, 12) if model.config.bend else None
    motion, found = model.motion(second, third, last, start, bend)
    made, _ = model.interpolate(second, third, motion, at(0.4))
    (made.square().mean() + found.square().mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        # before a level's first block all streams are alike, so it is all the same how they are mixed
        assert parameter.grad.any() or name.endswith(("connections.0.read", "connections.0.mix")), name


def test_encoding_once_is_encoding_twice(build: Build, frames: list[Tensor]) -> None:
    model = build()
    with torch.no_grad():
        kept = model.encode(frames[1])
        again = model.encode(frames[1].clone())
    assert all(torch.equal(kept[name], again[name]) for name in kept)


@pytest.mark.parametrize("carry", [(), ("flow",), ("ssm",), ("flow", "ssm")])
def test_streaming_is_pair_by_pair(build: Build, frames: list[Tensor], carry: tuple[str, ...]) -> None:
    """By its functions and states as a runtime calls them, each frame encoded once, or all anew a pair."""
    model = build(carry=carry)
    functions, spec = model.functions(), model.spec("tiny")
    state = {t.name: torch.zeros(t.concrete(2, (64, 96))) for t in spec.state}
    plain: dict[str, Tensor] = {}
    with torch.no_grad():
        for index, frame in enumerate(frames):
            _, written = functions["encode"]({"image": frame}, {})
            for name, value in list(state.items()):
                if name.startswith("second."):
                    state["first" + name.removeprefix("second")] = value
            state.update(written)
            if not index:
                continue
            read = {name: state[name] for name in spec.function("motion").reads_state}
            _, written = functions["motion"]({}, read)
            state.update(written)
            read = {name: state[name] for name in spec.function("interpolate").reads_state}
            made, _ = functions["interpolate"]({"t": at(0.3)}, read)
            ones, others = model.encode(frames[index - 1]), model.encode(frame)
            plain = plain or {"flow": torch.zeros_like(state["motion.flow"])}
            plain, _ = model.motion(ones, others, plain)
            expected, _ = model.interpolate(ones, others, plain, at(0.3))
            torch.testing.assert_close(made["image"], expected.clamp(0, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kept", ["flow", "ssm"])
def test_what_is_carried_matters(build: Build, frames: list[Tensor], kept: str) -> None:
    model = build(carry=(kept,))
    with torch.no_grad():
        first, second, third = (model.encode(frame) for frame in frames)
        last, _ = model.motion(first, second, {})
        fresh, _ = model.motion(second, third, {})
        carried, _ = model.motion(second, third, last)
    assert (fresh["flow"] - carried["flow"]).abs().max() > 1e-5


def trust(choice: Choice, share: float, side: float = 0.0) -> None:
    """Sets, as logits, how much of a flow to start from is taken, and which half of it."""
    bias = choice.head.bias
    assert bias is not None
    with torch.no_grad():
        bias[4:] = torch.tensor([share, side])


def test_a_flow_to_start_from_is_believed_where_it_is_trusted(build: Build, frames: list[Tensor]) -> None:
    """With a share of 1 and nothing mended, both halves come through as one straight motion."""
    model = build(start_flow="dis")
    assert model.choice is not None
    start = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in model.choice.head.parameters():
            parameter.zero_()
        one, other = model.encode(frames[0]), model.encode(frames[1])
        own, _ = model.motion(one, other, {}, start)
        trust(model.choice, 50.0)
        found, _ = model.motion(one, other, {}, start)
    straight = (start[:, :2] - start[:, 2:]) / 2
    torch.testing.assert_close(found["flow"], torch.cat([straight, -straight], dim=1))
    assert (own["flow"] - found["flow"]).abs().max() > 0.1


@pytest.mark.parametrize(("side", "half"), [(50.0, 0), (-50.0, 1)])
def test_either_half_of_a_flow_can_be_chosen(side: float, half: int) -> None:
    choice = Choice(InterpolatorConfig(start_flow="dis"))
    with torch.no_grad():
        trust(choice, 50.0, side)
        start = torch.randn(1, 4, 3, 5)
        found = choice(torch.zeros(1, 48, 3, 5), torch.zeros(1, 4, 3, 5), start)
    chosen = start[:, 2 * half : 2 * half + 2]
    torch.testing.assert_close(found[:, 2 * half : 2 * half + 2], chosen)
    torch.testing.assert_close(found[:, 2 - 2 * half : 4 - 2 * half], -chosen)


def test_the_middle_needs_no_retiming(build: Build, frames: list[Tensor]) -> None:
    """Two frames that are alike stay as they are at every time, where nothing else is learned yet."""
    model = build()
    for head in (model.scale16.head, model.head8, model.head4, model.refine.head):
        for parameter in head.parameters():
            torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        for t in (0.1, 0.5):
            torch.testing.assert_close(model(frames[0], frames[0], at(t)), frames[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.8])
def test_flows_of_other_times_lie_on_the_parabola(share: float) -> None:
    """Everything is at v s + a s (s - 1) / 2 at the time s: from s = t it is that far to both ends."""
    speed, turn = torch.tensor([3.0, -2.0]), torch.tensor([-1.0, 2.4])

    def place(time: float) -> Tensor:
        return speed * time + turn * time * (time - 1) / 2

    def flows(time: float) -> Tensor:
        both = torch.cat([place(0) - place(time), place(1) - place(time)])
        return both.view(1, 4, 1, 1).expand(1, 4, 6, 8)

    found = torch.cat([flows(0.5), torch.ones(1, 3, 6, 8)], dim=1)
    there = retime(found, torch.full((1, 1), share), warp_grid)
    torch.testing.assert_close(there[:, :4], flows(share))
    torch.testing.assert_close(there[:, 4:], torch.ones(1, 3, 6, 8))


def test_a_bend_moves_both_halves_alike(build: Build, frames: list[Tensor]) -> None:
    """Each by as much as is believed of it."""
    model = build(start_flow="dis", bend=True)
    assert model.choice is not None
    follow = model.choice.follow
    assert follow is not None
    bend = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        follow.weight.zero_()
        assert follow.bias is not None
        follow.bias.copy_(torch.tensor([0.4, -0.2]))
        entry = model.scale8.entry[0]
        assert isinstance(entry, torch.nn.Conv2d)
        entry.weight[:, -4:] = 0  # it sees nothing of the bend
        one, other, start = model.encode(frames[0]), model.encode(frames[1]), torch.randn(2, 4, 8, 12)
        straight, _ = model.motion(one, other, {}, start)
        bent, _ = model.motion(one, other, {}, start, bend)
    share = torch.tensor([0.4, -0.2]).tanh()
    aside = share[0] * bend[:, :2] + share[1] * bend[:, 2:]
    torch.testing.assert_close(straight["flow"] - bent["flow"], torch.cat([aside, aside], dim=1))


@pytest.mark.parametrize("t", [0.2, 0.5])
def test_a_place_that_rests_is_a_mix_of_both_frames(build: Build, frames: list[Tensor], t: float) -> None:
    """Wholly at rest it is that, moving it is what a model without rest gives, and between it goes over."""
    told = {"start_flow": "dis", "bend": True, "refine": "patch"}
    model, without = build(**told, rest=True), build(**told)
    without.load_state_dict({name: x for name, x in model.state_dict().items() if "rest." not in name})
    start, bend = torch.randn(2, 2, 4, 8, 12, generator=torch.Generator().manual_seed(2))
    assert model.rest is not None
    last = model.rest.coarse[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    made = []
    with torch.no_grad():
        for logit in (-60.0, 0.0, 60.0):
            last.bias.fill_(logit)
            made.append(model(frames[0], frames[1], at(t), start, bend))
        moved = without(frames[0], frames[1], at(t), start, bend)
    plain = (1 - t) * frames[0] + t * frames[1]
    torch.testing.assert_close(made[0], moved, atol=1e-5, rtol=0)
    torch.testing.assert_close(made[2], plain, atol=1e-5, rtol=0)
    assert all((made[1] - other).abs().mean() > 1e-3 for other in (moved, plain))


def test_rest_wants_what_tells_it() -> None:
    with pytest.raises(OptionError, match="rest is on"):
        InterpolatorConfig(rest=True, start_flow="dis", bend=True)


def test_a_bend_wants_a_flow_to_start_from() -> None:
    with pytest.raises(OptionError, match="start_flow is 'none'"):
        InterpolatorConfig(bend=True)


def test_without_flow_nothing_moves(build: Build, frames: list[Tensor]) -> None:
    model = build(flow=False)
    with torch.no_grad():
        ones, others = model.encode(frames[0]), model.encode(frames[1])
        motion, _ = model.motion(ones, others, {})
        _, known = model.interpolate(ones, others, motion, at(0.5))
    assert not motion["flow"].any()
    assert not known[:, :4].any()


def test_a_batch_is_its_rows(build: Build, frames: list[Tensor]) -> None:
    model = build(lgs_layers=(1, 1), streams=2)
    with torch.no_grad():
        together = model(frames[0], frames[1], at(0.5))
        for row in range(2):
            alone = model(frames[0][row : row + 1], frames[1][row : row + 1], at(0.5, 1))
            torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [nano, base])
def test_a_spec_builds_the_model_again(make: Callable[[], InterpolatorConfig]) -> None:
    model = HybridInterpolator(make(), eager_operators())
    spec = model.spec("any")
    again = build_model(spec, eager_operators())
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }
    assert InterpolatorConfig.from_dict(dict(spec.config)) == make()
    shapes = {t.name: t.shape for t in spec.state}
    for name, shape in shapes.items():
        if name.startswith("first."):
            assert shapes["second" + name.removeprefix("first")] == shape


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": 3}, "unknown model option layers"),
        ({"channels": (4, 4)}, "give 4 values"),
        ({"backbone_mode": "mamba"}, "backbone_mode is 'mamba'"),
        ({"carry": ("image",)}, "carry names 'image'"),
        ({"carry": ("ssm",), "backbone_mode": "gated_attn_only"}, "no Mamba layer over both frames"),
        ({"carry": ("ssm",), "scan": "flip", "lgs_layers": (0, 1)}, "no Mamba layer over both frames"),
        ({"mixer": "mamba1", "mixer_shape": "heads"}, "mixer_shape is 'heads'"),
        ({"mix_annealing": True}, "there is one stream"),
        ({"head_channels": 7}, "head_channels is 7"),
        ({"window": 0}, "window is 0"),
        ({"start_flow": "raft"}, "start_flow is 'raft'"),
        ({"start_flow": "dis", "carry": ("flow",)}, "start from one of them"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        InterpolatorConfig.from_dict(options)
