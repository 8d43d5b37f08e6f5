"""Losses and their targets against answers known beforehand."""

from __future__ import annotations

import math

import pytest
import torch
from framestate.errors import TrainingError
from framestate.models.tracking.losses import (
    answer_distance,
    decode_maps,
    feature_distance,
    focal,
    giou,
    heat_map,
    tracking_losses,
    weighted_total,
)
from framestate.models.tracking.task import LOSS_WEIGHTS, best_overlap
from torch import Tensor

GRID = 8


def perfect_maps(box: tuple[float, float, float, float], log_variance: float = 0.0) -> dict[str, Tensor]:
    """Maps that say the same box (shares of the crop) from every cell."""
    x, y, w, h = box
    middles = torch.arange(GRID) + 0.5
    offset = torch.stack(
        [
            ((x + w / 2) * GRID - middles).expand(GRID, GRID),
            ((y + h / 2) * GRID - middles)[:, None].expand(GRID, GRID),
        ]
    )
    size = torch.tensor([w, h])[:, None, None].expand(2, GRID, GRID)
    maps = {"score": torch.full((1, GRID, GRID), 0.5), "offset": offset, "size": size.clone()}
    maps["log_variance"] = torch.full((4, GRID, GRID), log_variance)
    return {name: value[None] for name, value in maps.items()}


def test_the_heat_map_is_one_in_the_centres_cell_alone() -> None:
    boxes = torch.tensor([[0.5, 0.25, 0.25, 0.125], [0.9, 0.9, 0.4, 0.4]])
    heat = heat_map(boxes, torch.tensor([1.0, 1.0]), GRID)
    # centre (0.625, 0.3125) · 8 = (5, 2.5): column 5, row 2; the second centre is beyond the last cell
    assert heat.shape == (2, GRID, GRID)
    assert (heat == 1).nonzero().tolist() == [[0, 2, 5], [1, 7, 7]]
    # one cell to the right, with sigma max(0.25 · 8 / 6, 0.5) = 0.5
    assert float(heat[0, 2, 6]) == pytest.approx(math.exp(-2))
    assert float(heat[0, 1, 5]) == pytest.approx(math.exp(-2))


def test_nothing_visible_nothing_hot() -> None:
    assert not heat_map(torch.rand(3, 4), torch.zeros(3), GRID).any()


def test_decoding_undoes_the_encoding() -> None:
    box = (0.2, 0.3, 0.4, 0.1)
    decoded = decode_maps(perfect_maps(box))
    expected = torch.tensor([0.4, 0.35, 0.4, 0.1])[None, :, None, None].expand(1, 4, GRID, GRID)
    assert torch.allclose(decoded, expected, atol=1e-6)


def test_focal_by_hand() -> None:
    score, target = torch.tensor([[[0.5, 0.25]]]), torch.tensor([[[1.0, 0.5]]])
    hit = math.log(0.5) * 0.5**2
    miss = math.log(0.75) * 0.25**2 * 0.5**4
    assert float(focal(score, target)) == pytest.approx(-(hit + miss))
    assert float(focal(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, 0.0]]]))) < 1e-7


def test_focal_stays_finite_where_a_score_is_wholly_wrong() -> None:
    assert torch.isfinite(focal(torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[1.0, 0.0]]])))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((5, 5, 2, 2), (5, 5, 2, 2), 1.0),
        ((1, 1, 2, 2), (2, 1, 2, 2), 2 / 6),  # side by side, half shared, no gap in the hull
        ((1, 1, 2, 2), (5, 1, 2, 2), 0 - 4 / 12),  # apart: a third of the hull is empty
        ((0, 0, 4, 4), (0, 0, 2, 2), 4 / 16),
    ],
)
def test_giou_by_hand(a: tuple[float, ...], b: tuple[float, ...], expected: float) -> None:
    found = giou(torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64))
    assert found.item() == pytest.approx(expected)


def test_a_perfect_answer_costs_nothing_but_its_score() -> None:
    box = (0.4, 0.4, 0.25, 0.5)
    losses = tracking_losses(perfect_maps(box), torch.tensor([box]), torch.tensor([True]))
    assert losses.keys() == LOSS_WEIGHTS.keys() - {"teacher", "answer"}
    assert float(losses["giou"]) == pytest.approx(0, abs=1e-5)
    assert float(losses["l1"]) == pytest.approx(0, abs=1e-5)
    assert float(losses["uncertainty"]) == pytest.approx(0, abs=1e-5)
    assert float(losses["heat"]) > 0.1


def test_an_error_is_measured_in_the_targets_own_size() -> None:
    """A shift by half the width costs the same for a small target and for a large one."""
    costs = []
    for w in (0.125, 0.25):
        truth = (0.5 - w / 2, 0.5 - w / 2, w, w)
        shifted = (0.5, 0.5 - w / 2, w, w)
        losses = tracking_losses(perfect_maps(shifted), torch.tensor([truth]), torch.tensor([True]))
        costs.append(float(losses["l1"]))
    assert costs == pytest.approx([0.125, 0.125], rel=1e-4)  # (0.5 + 0 + 0 + 0) / 4


def test_the_best_uncertainty_is_the_true_error() -> None:
    truth, shifted = (0.4, 0.4, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2)  # half a size off in x and y

    def likelihood(log_variance: float) -> float:
        maps = perfect_maps(shifted)
        maps["log_variance"][:, :2] = log_variance
        maps["log_variance"][:, 2:] = -8
        return float(tracking_losses(maps, torch.tensor([truth]), torch.tensor([True]))["uncertainty"])

    best = 2 * math.log(0.5)
    assert likelihood(best) < min(likelihood(best - 0.2), likelihood(best + 0.2))


def test_uncertainty_does_not_pull_at_the_boxes() -> None:
    maps = perfect_maps((0.5, 0.5, 0.2, 0.2))
    for value in maps.values():
        value.requires_grad_()
    losses = tracking_losses(maps, torch.tensor([[0.4, 0.4, 0.2, 0.2]]), torch.tensor([True]))
    losses["uncertainty"].backward()
    assert maps["offset"].grad is None
    assert maps["size"].grad is None
    assert maps["log_variance"].grad is not None


def test_an_absent_target_teaches_the_score_alone() -> None:
    maps = perfect_maps((0.1, 0.1, 0.3, 0.3))
    losses = tracking_losses(maps, torch.tensor([[0.6, 0.6, 0.2, 0.2]]), torch.tensor([False]))
    assert float(losses["heat"]) > 0
    assert [float(losses[name]) for name in ("giou", "l1", "uncertainty")] == [0, 0, 0]


def test_the_weighted_total() -> None:
    losses = {"heat": torch.tensor(2.0), "l1": torch.tensor(3.0)}
    assert float(weighted_total(losses, {"heat": 0.5, "l1": 2.0})) == 7.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_named(bad: float) -> None:
    losses = {"heat": torch.tensor(1.0), "giou": torch.tensor(bad)}
    with pytest.raises(TrainingError, match=f"'giou' is {bad}"):
        weighted_total(losses, LOSS_WEIGHTS)


def test_no_loss_at_all() -> None:
    with pytest.raises(TrainingError, match="no loss"):
        weighted_total({}, LOSS_WEIGHTS)


def test_the_feature_distance_ignores_the_teachers_length() -> None:
    teacher = torch.randn(2, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    student = torch.nn.functional.normalize(teacher, dim=1) * 6**0.5
    assert float(feature_distance(student, 7 * teacher)) == pytest.approx(0, abs=1e-12)
    assert float(feature_distance(-student, teacher)) > 0.5


def test_the_overlap_is_read_where_the_score_is_best() -> None:
    maps = perfect_maps((0.25, 0.25, 0.5, 0.5))
    maps["size"][..., 3, 4] = 0.25
    truth = torch.tensor([[0.25, 0.25, 0.5, 0.5]])
    assert best_overlap(maps, truth).item() == pytest.approx(1)
    maps["score"][..., 3, 4] = 0.9
    assert best_overlap(maps, truth).item() == pytest.approx(0.25)


def test_the_answer_distance_is_least_at_the_teachers_answer() -> None:
    generator = torch.Generator().manual_seed(0)
    answer = torch.rand(2, 5, 4, 4, generator=generator)
    answer[:, :1] = (answer[:, :1] > 0.6).float() * 0.998 + 0.001
    answer[:, 1:] = 5 + 50 * answer[:, 1:]
    same = torch.cat([torch.logit(answer[:, :1]), torch.log(answer[:, 1:] / 64)], dim=1)
    least = float(answer_distance(same, answer, 64))
    assert least < 0.02
    for channel in range(5):
        other = same.clone()
        other[:, channel] += 0.5
        assert float(answer_distance(other, answer, 64)) > least


def test_distances_off_the_target_do_not_count() -> None:
    answer = torch.full((1, 5, 4, 4), 20.0)
    answer[:, 0] = 0.01
    raw = torch.zeros(1, 5, 4, 4)
    away = raw.clone()
    away[:, 1:] = 3.0
    assert torch.equal(answer_distance(raw, answer, 64), answer_distance(away, answer, 64))
