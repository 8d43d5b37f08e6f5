"""What counts most: known scores of known weights, features and losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from framestate.models.pruning.groups import Group, Places, masked, spans
from framestate.models.pruning.importance import features, magnitude, remaining, saliency
from framestate.models.pruning.registry import groups_of
from framestate.models.pruning.selection import best, outermost, rounded
from torch import Tensor, nn

Build = Callable[[str], nn.Module]
OWN = spans(4, 0)
HIDDEN = Group(
    "hidden", "neuron", "mlp", ("hidden", None),
    (Places("0.weight", 0, OWN), Places("0.bias", 0, OWN), Places("2.weight", 1, OWN)), multiple=1,
)  # fmt: skip


class Line:
    """A small net and its squared error on drawn numbers: a task."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(start)
        while True:
            yield {"x": torch.randn(64, 3, generator=generator), "y": torch.randn(64, 1, generator=generator)}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        loss = (self.model(batch["x"]) - batch["y"]).square().mean()
        return loss, {"loss": loss.item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        return {}


def test_magnitude_is_the_norm_of_all_places_but_vectors() -> None:
    weights = {"0.weight": torch.zeros(4, 3), "0.bias": torch.full((4,), 9.0), "2.weight": torch.zeros(1, 4)}
    weights["0.weight"][1] = torch.tensor([1.0, 2.0, 2.0])
    weights["2.weight"][0, 1] = 4.0
    assert magnitude(weights, [HIDDEN])["hidden"].tolist() == [0.0, 5.0, 0.0, 0.0]


def test_remaining_counts_what_masks_keep() -> None:
    task = Line()
    masks = {"0.weight": torch.ones(4, 3, dtype=torch.bool), "2.weight": torch.ones(1, 4, dtype=torch.bool)}
    masks["0.weight"][2, :2] = False
    masks["2.weight"][0, 3] = False
    found = remaining(masks, task.model.state_dict(), [HIDDEN])["hidden"]
    assert found.tolist() == [4.0, 4.0, 2.0, 3.0]


def test_saliency_is_what_the_loss_says_of_a_unit() -> None:
    """Of a unit that the loss does not depend on, nothing; of others, |Σ w · ∂L/∂w| by hand."""
    task = Line()
    with torch.no_grad():
        task.model[2].weight[0, 2] = 0.0  # type: ignore[operator]
        task.model[0].weight[2] = 0.0  # type: ignore[operator]
    batch = next(task.batches(0))
    task.loss(batch)[0].backward()
    parameters = dict(task.model.named_parameters())
    products = {n: (p.detach() * p.grad) for n, p in parameters.items() if p.grad is not None}
    wanted = (products["0.weight"].sum(1) + products["2.weight"][0]).abs()
    found = saliency(task, [HIDDEN], 1)["hidden"]
    assert torch.allclose(found, wanted, atol=1e-7)
    assert found[2] == 0
    assert all(p.grad is None for p in parameters.values())


def test_features_are_what_the_reader_reads() -> None:
    task = Line()
    batch = next(task.batches(0))
    with torch.no_grad():
        wanted = task.model[1](task.model[0](batch["x"])).square().mean(0).sqrt()
    assert torch.allclose(features(task, [HIDDEN], 1)["hidden"], wanted, atol=1e-6)
    assert not any(module._forward_hooks for module in task.model.modules())


def test_features_of_convolutions_are_those_of_channels() -> None:
    """Channels come first before anything is summed: here only channel 2 sees anything."""

    class Picture(Line):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 1, 1))
            with torch.no_grad():
                self.model[0].weight.zero_()  # type: ignore[operator]
                self.model[0].weight[2] = 1.0  # type: ignore[operator]

        def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
            yield {"x": torch.ones(2, 3, 5, 7), "y": torch.zeros(2, 1, 5, 7)}

    assert features(Picture(), [HIDDEN], 1)["hidden"].tolist() == [0.0, 0.0, 3.0, 0.0]


@pytest.mark.parametrize("name", ["classifier", "tracker", "trajectory, mamba2", "vil"])
def test_a_unit_that_is_gone_counts_least(build: Build, name: str) -> None:
    model = build(name)
    groups = outermost(groups_of(model.spec("small")))  # type: ignore[operator]
    kept = {group.name: range(1, group.units) for group in groups}
    weights = masked(model.state_dict(), groups, kept)
    for scores in magnitude(weights, groups).values():
        assert scores[0] == 0
        assert (scores[1:] > 0).all()


def test_counts_are_multiples_and_never_none() -> None:
    def group(name: str, units: int, multiple: int, option: str) -> Group:
        return Group(
            name, "channel", "ssm", (option, None), (Places(name, 0, spans(units, 0)),), (), multiple
        )

    groups = [group("a", 64, 8, "x"), group("b", 64, 8, "x"), group("c", 6, 8, "y"), group("d", 3, 1, "z")]
    for ratio, counts in ((0.7, (16, 16, 6, 1)), (0.999, (8, 8, 6, 1)), (0.0, (64, 64, 6, 3))):
        wanted = {one.name: one.units * (1 - ratio) for one in groups}
        assert tuple(rounded(groups, wanted).values()) == counts
    assert rounded(groups, {"a": 60.0, "b": 20.0, "c": 1.0, "d": 2.6}) == {"a": 40, "b": 40, "c": 6, "d": 3}


def test_the_best_stay_in_their_order() -> None:
    assert best({"a": torch.tensor([3.0, 1.0, 2.0, 3.0])}, {"a": 2}) == {"a": [0, 3]}
    assert best({"a": torch.ones(4)}, {"a": 2}) == {"a": [0, 1]}


def test_heads_go_whole_where_there_are_several(build: Build) -> None:
    groups = groups_of(build("tracker").spec("small"))  # type: ignore[operator]
    options = {group.option[0] for group in outermost(groups)}
    assert "kept_heads" in options
    assert "head_channels" not in options
