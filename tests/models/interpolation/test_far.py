"""A second motion, found by the first blocks of a RIFE: when it is taken, and how that is learned."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framestate.errors import DataError, OptionError
from framestate.models.interpolation import HybridInterpolator, InterpolatorConfig
from framestate.models.interpolation.far import RARE
from framestate.models.interpolation.pick_task import regret
from framestate.models.interpolation.train import far_weights, grown
from framestate.models.registry import load_weights
from framestate.models.rife.config import RifeConfig
from framestate.models.rife.model import Rife
from framestate.plugins import eager_operators
from torch import Tensor
from torch.nn import functional

from .tiny_recipe import recipe

Build = Callable[..., HybridInterpolator]
LATE = {"refine": "patch", "start_flow": "dis", "bend": True, "rest": True}
SIDE = 128


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    """Two smooth frames, two rows each."""
    coarse = torch.rand(2, 2, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    first, second = (functional.interpolate(one, (SIDE, SIDE), mode="bilinear") for one in coarse)
    return first, second


@torch.no_grad()
def made(model: HybridInterpolator, pair: tuple[Tensor, Tensor], t: float) -> Tensor:
    frames: Tensor = model(*pair, torch.full((len(pair[0]), 1), t))
    return frames


@pytest.fixture
def model(build: Build) -> HybridInterpolator:
    return build(**LATE, far_blocks=2)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.75])
def test_any_time_and_each_row_alone(
    model: HybridInterpolator, pair: tuple[Tensor, Tensor], t: float
) -> None:
    both = made(model, pair, t)
    assert both.shape == pair[0].shape
    assert torch.isfinite(both).all()
    alone = made(model, (pair[0][1:], pair[1][1:]), t)
    torch.testing.assert_close(both[1:], alone, rtol=0, atol=1e-4)


def test_times_differ_and_motion_is_found_once(
    model: HybridInterpolator, pair: tuple[Tensor, Tensor]
) -> None:
    with torch.no_grad():
        ones, others = model.encode(pair[0]), model.encode(pair[1])
        motion, _ = model.motion(ones, others, {})
        shown = [model.interpolate(ones, others, motion, torch.full((2, 1), t))[0] for t in (0.25, 0.75)]
    assert motion["far"].shape == (2, 4, SIDE // 4, SIDE // 4)
    assert (shown[0] - shown[1]).abs().max() > 1e-3
    torch.testing.assert_close(shown[0].clamp(0, 1), made(model, pair, 0.25))


def test_what_is_not_picked_changes_nothing(build: Build, pair: tuple[Tensor, Tensor]) -> None:
    """Weights without a second motion make the same frames in a model that never takes it."""
    before = build(**LATE)
    after = build(**LATE, far_blocks=2)
    weights = {name: tensor.numpy() for name, tensor in before.state_dict().items()}
    fresh = HybridInterpolator(after.config, eager_operators())
    own = {name: one.numpy() for name, one in fresh.state_dict().items() if name.startswith("far.")}
    load_weights(after, grown(weights, fresh) | own)
    assert after.pick is not None
    taken = made(after, pair, 0.5)
    torch.nn.init.constant_(after.pick.fits.weight, 0.0)
    torch.nn.init.constant_(after.pick.fits.bias, -60.0)  # type: ignore[arg-type]
    assert not torch.allclose(taken, made(before, pair, 0.5), atol=1e-4)
    torch.testing.assert_close(made(after, pair, 0.5), made(before, pair, 0.5), rtol=0, atol=1e-6)


def test_before_anything_is_learned_the_better_fit_is_taken() -> None:
    model = HybridInterpolator(InterpolatorConfig(far_blocks=1, **LATE), eager_operators())  # type: ignore[arg-type]
    assert model.pick is not None
    features = torch.rand(1, 16, 32, 32, generator=torch.Generator().manual_seed(1))
    first, second = features, features.roll(4, dims=3)
    still, moved = torch.zeros(1, 5, 32, 32), torch.zeros(1, 5, 32, 32)
    moved[:, 0], moved[:, 2] = -2.0, 2.0
    trunk = torch.zeros(1, 32, 32, 32)
    with torch.no_grad():
        right, wrong = (model.pick(trunk, *pair, first, second) for pair in ((still, moved), (moved, still)))
    inside = (slice(None), slice(None), slice(8, 24), slice(8, 24))
    assert (right.choice[inside] > 0).all()
    assert (wrong.choice[inside] < RARE).all()


def test_a_wider_second_look_starts_as_the_narrow_one(build: Build, pair: tuple[Tensor, Tensor]) -> None:
    before = build(**LATE)
    wider = HybridInterpolator(dataclasses.replace(before.config, refine_width=9), eager_operators()).eval()
    weights = {name: tensor.numpy() for name, tensor in before.state_dict().items()}
    load_weights(wider, grown(weights, wider))
    torch.testing.assert_close(made(wider, pair, 0.5), made(before, pair, 0.5), rtol=0, atol=1e-5)


def test_regret_counts_what_is_at_stake() -> None:
    cost = torch.tensor([-1.0, 0.0, 2.0])
    right, wrong = torch.tensor([9.0, 9.0, -9.0]), torch.tensor([-9.0, -9.0, 9.0])
    assert regret(right, cost) < 1e-2 < 1 < regret(wrong, cost)
    choice = torch.zeros(3, requires_grad=True)
    regret(choice, cost).backward()
    assert choice.grad is not None
    assert choice.grad[0] < 0
    assert choice.grad[1] == 0
    assert choice.grad[2] > -2 * choice.grad[0] - 1e-6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({**LATE, "far_blocks": 6}, "far_blocks is 6"),
        ({**LATE, "far_blocks": -1}, "far_blocks is -1"),
        ({"far_blocks": 4}, "give rest = true"),
        ({"refine_depth": 2}, "refine_depth is 2, and refine 'quarter'"),
        ({"refine": "patch", "refine_depth": 0}, "refine_depth is 0"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        InterpolatorConfig(**options)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('far = "a.pkl"\nfar_sha256 = "0"', "start is not set"),
        ('start = "a"\nfar = "a.pkl"', "far_sha256 ''.*give all of them"),
        ('start = "a"\nfar = "a.pkl"\nfar_sha256 = "0"', "far_blocks 0"),
    ],
)
def test_recipes_that_lack_a_half(tmp_path: Path, lines: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        recipe(tmp_path, **{"": lines})


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a whole RIFE 4.25, random ones, as its authors hand them out."""
    path = tmp_path_factory.mktemp("rife") / "flownet.pkl"
    torch.save(Rife(RifeConfig(), eager_operators()).state_dict(), path)
    return path


def test_weights_of_rife_become_halves(published: Path, model: HybridInterpolator) -> None:
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    found = far_weights(published, digest, model)
    assert model.far is not None
    assert {name.removeprefix("far.") for name in found} == set(model.far.state_dict())
    for value in found.values():
        assert np.array_equal(value, value.astype(np.float16).astype(np.float32))
    with pytest.raises(DataError, match="not 0000"):
        far_weights(published, "0000", model)
