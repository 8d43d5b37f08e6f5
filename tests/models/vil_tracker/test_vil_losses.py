"""The losses against values worked out by hand; the common four are tested in ``test_losses``."""

from __future__ import annotations

import math

import pytest
import torch
from framestate.errors import OptionError, TrainingError
from framestate.models.tracking.losses import focal, giou
from framestate.models.vil_tracker.losses import (
    AdaptiveWeights,
    LossConfig,
    feature_imitation,
    memory_contrast,
    total_loss,
)
from torch import Tensor, nn

ALL = torch.tensor([True, True])


def test_contrast_by_hand() -> None:
    """Two memories at right angles: a look like the first, one half-way between the two."""
    memory = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    looks = torch.tensor([[5.0, 0.0], [1.0, 1.0]])
    half = math.sqrt(0.5)
    likeness = [[1 / 0.5, half / 0.5], [0.0, half / 0.5]]  # cosines over the temperature
    by_memory = [math.log(sum(map(math.exp, row))) - row[i] for i, row in enumerate(likeness)]
    columns = list(zip(*likeness, strict=True))
    by_look = [math.log(sum(map(math.exp, column))) - column[i] for i, column in enumerate(columns)]
    expected = (sum(by_memory) / 2 + sum(by_look) / 2) / 2
    assert float(memory_contrast(memory, looks, ALL, 0.5)) == pytest.approx(expected, abs=1e-6)


def test_contrast_knows_no_scale_and_is_least_for_a_match() -> None:
    looks = torch.eye(4)
    match = memory_contrast(looks, looks, torch.ones(4).bool())
    assert float(match) == pytest.approx(math.log(1 + 3 * math.exp(-10)), abs=1e-6)
    assert torch.allclose(memory_contrast(7 * looks, looks, torch.ones(4).bool()), match)
    assert float(memory_contrast(looks.roll(1, 0), looks, torch.ones(4).bool())) > 9


def test_contrast_leaves_out_what_is_not_seen() -> None:
    memory, looks = torch.randn(3, 5, requires_grad=True), torch.randn(3, 5)
    seen = torch.tensor([True, False, True])
    expected = memory_contrast(memory[[0, 2]], looks[[0, 2]], ALL)
    assert torch.equal(memory_contrast(memory, looks, seen), expected)
    alone = memory_contrast(memory, looks, torch.tensor([False, True, False]))
    assert float(alone.detach()) == 0
    alone.backward()
    assert memory.grad is not None
    assert not memory.grad.any()


def test_imitation_by_hand() -> None:
    """On the target (one cell of four) the features are opposite, off it at right angles in one of three."""
    student = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])[None]
    teacher = torch.tensor([[[-3.0, 2.0], [0.0, 9.0]], [[0.0, 0.0], [4.0, 0.0]]])[None]
    box = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    assert float(feature_imitation(student, teacher, box)) == pytest.approx((2.0 + 1 / 3) / 2)
    assert float(feature_imitation(teacher, 5 * teacher, box)) == pytest.approx(0, abs=1e-6)


def test_imitation_of_another_grid_and_of_an_empty_box() -> None:
    student = torch.rand(2, 3, 4, 4)
    finer = nn.functional.interpolate(student, size=(8, 8), mode="nearest")
    everywhere = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(2, 4)
    assert float(feature_imitation(student, finer, everywhere)) < 0.01
    nowhere = torch.tensor([[2.0, 2.0, 0.1, 0.1]]).expand(2, 4)
    assert torch.isfinite(feature_imitation(student, -student, nowhere))


def test_adaptive_weights_by_hand() -> None:
    weights = AdaptiveWeights()
    with torch.no_grad():
        weights.log_variances.copy_(torch.tensor([0.0, 1.0, -1.0, 0.0, 9.0]))
    losses = {"heat": torch.tensor(2.0), "giou": torch.tensor(3.0), "teacher": torch.tensor(4.0)}
    bounded = 0.5 * (math.exp(-3) * 4 + 3)  # no weight is learned beyond e⁻³
    expected = 0.5 * 2 + 0.5 * (math.exp(-1) * 3 + 1) + bounded
    assert float(weights(losses).detach()) == pytest.approx(expected)


def test_adaptive_weights_go_where_the_losses_are() -> None:
    """The best log variance of a loss that stays is its logarithm."""
    weights = AdaptiveWeights()
    optimizer = torch.optim.SGD(weights.parameters(), lr=1.0)
    losses = {"heat": torch.tensor(4.0), "giou": torch.tensor(0.25)}
    for _ in range(60):
        optimizer.zero_grad()
        weights(losses).backward()
        optimizer.step()
    found = weights.log_variances.detach()
    assert torch.allclose(found[:2], torch.tensor([math.log(4.0), math.log(0.25)]), atol=1e-3)
    assert not found[2:].any()


def terms() -> dict[str, Tensor]:
    values = {"heat": 1.0, "giou": 0.5, "l1": 0.25, "uncertainty": -3.0, "contrast": 2.0, "teacher": 4.0}
    return {name: torch.tensor(value) for name, value in values.items()}


def test_the_total_by_hand() -> None:
    config = LossConfig(heat=1, giou=2, l1=4, uncertainty=0.1, contrast=0.5, teacher=0.25, adaptive=False)
    assert float(total_loss(terms(), config, None)) == pytest.approx(1 + 1 + 1 - 0.3 + 1 + 1)
    # The curriculum's ease is of all but the heat map.
    assert float(total_loss(terms(), config, None, 0.5)) == pytest.approx(1 + (1 + 1 - 0.3 + 1 + 1) / 2)
    # With log variances of 0, every loss but the likelihood, which may be negative, counts half.
    found = float(total_loss(terms(), config, AdaptiveWeights()).detach())
    assert found == pytest.approx(-0.3 + (1 + 1 + 1 + 1 + 1) / 2)


def test_a_weight_of_nothing_leaves_a_loss_out() -> None:
    config = LossConfig(contrast=0, teacher=0, uncertainty=0, adaptive=False)
    assert float(total_loss(terms(), config, None)) == pytest.approx(1 + 1 + 0.25)
    empty = LossConfig(heat=0, giou=0, l1=0, uncertainty=0, contrast=0, teacher=0)
    with pytest.raises(TrainingError, match="no loss to minimise"):
        total_loss(terms(), empty, None)


@pytest.mark.parametrize("name", ["heat", "contrast", "uncertainty"])
def test_a_loss_that_is_no_number_is_named(name: str) -> None:
    with pytest.raises(TrainingError, match=f"loss '{name}' is nan"):
        total_loss({**terms(), name: torch.tensor(math.nan)}, LossConfig(), None)


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"giou": -1.0}, "weight of giou is -1"), ({"temperature": 0.0}, "temperature is 0")],
)
def test_weights_that_cannot_be_meant(options: dict[str, float], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        LossConfig(**options)  # type: ignore[arg-type]


def test_the_common_losses_are_zero_for_a_right_answer() -> None:
    """The two that are shared with the other trackers, at their ends."""
    target = torch.tensor([[[1.0, 0.0]]])
    assert float(focal(target, target)) < 1e-6
    box = torch.tensor([[0.5, 0.5, 0.2, 0.2]])
    assert float(giou(box, box)) == pytest.approx(1)
    far = torch.tensor([[0.1, 0.1, 0.2, 0.2]])
    assert float(giou(box, far)) == pytest.approx(-(0.36 - 0.08) / 0.36)
