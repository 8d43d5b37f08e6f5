"""Training by curriculum: what joins in when, what rests; a resumed run is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framestate.models.tracking.clips import Clip
from framestate.models.tracking.poses import SampleConfig
from framestate.models.tracking.samples import SampleSource
from framestate.models.training.config import LoopConfig
from framestate.models.training.loop import train
from framestate.models.vil_tracker import VilTracker
from framestate.models.vil_tracker.curriculum import CurriculumConfig
from framestate.models.vil_tracker.experts import ExpertMixture
from framestate.models.vil_tracker.losses import LossConfig
from framestate.models.vil_tracker.task import CurriculumDataset, VilTask
from torch import Tensor, nn

BuildVil = Callable[..., VilTracker]
SAMPLES = SampleConfig(template_size=32, search_size=64, search_factor=4.0, absent=0.0)
EASY = CurriculumConfig(epoch_samples=10, ramp_epochs=4, film_epoch=2)
ALWAYS = CurriculumConfig(ramp_epochs=0, film_epoch=0)


def test_stages() -> None:
    stages = [EASY.stage(sample) for sample in (0, 19, 20, 40, 4000)]
    assert [stage.difficulty for stage in stages] == pytest.approx([0, 0.475, 0.5, 1, 1])
    assert [stage.film for stage in stages] == [0, 0, 1, 1, 1]
    assert [stage.ease for stage in stages] == pytest.approx([0.5, 0.7375, 0.75, 1, 1])
    assert (ALWAYS.stage(0).difficulty, ALWAYS.stage(0).film, ALWAYS.stage(0).ease) == (1, 1, 1)


def test_samples_grow_harder() -> None:
    start, half = EASY.ease(SAMPLES, 0), EASY.ease(SAMPLES, 0.5)
    assert start.max_gap == round(0.1 * SAMPLES.max_gap)
    assert start.shift == pytest.approx(0.3 * SAMPLES.shift)
    assert half.zoom == pytest.approx(0.65 * SAMPLES.zoom)
    assert start.max_gap < half.max_gap < SAMPLES.max_gap
    assert EASY.ease(SAMPLES, 1) == SAMPLES


def test_a_sample_follows_from_its_index(clip: Clip) -> None:
    source = SampleSource(SAMPLES, [], [clip], 3)
    ahead, behind = CurriculumDataset(source, EASY, 0, 50), CurriculumDataset(source, EASY, 25, 25)
    for name, value in behind[5].items():
        assert np.array_equal(np.asarray(value), np.asarray(ahead[30][name])), name
    assert source.config == SAMPLES
    assert (float(ahead[19]["film"]), float(ahead[20]["film"])) == (0, 1)
    with pytest.raises(IndexError):
        behind[25]


@pytest.fixture
def task(build_vil: BuildVil, clip: Clip) -> Callable[..., VilTask]:
    """A tracker's task on twelve frames."""

    def make(curriculum: CurriculumConfig = ALWAYS, **options: Any) -> VilTask:
        source = SampleSource(SAMPLES, [], [clip], 3)
        settings = {"batch": 2, "steps": 4, "workers": 0, "carry_share": 1.0, **options}
        return VilTask(build_vil(), source, None, curriculum, **settings)

    return make


MakeTask = Callable[..., VilTask]


def gradients(task: VilTask) -> dict[str, Tensor | None]:
    loss, _ = task.loss(next(task.batches(0)))
    loss.backward()
    return {name: parameter.grad for name, parameter in task.model.named_parameters()}


def test_temporal_features_join_in_by_the_curriculum(task: MakeTask) -> None:
    before = gradients(task(replace(ALWAYS, film_epoch=1)))
    after = gradients(task(ALWAYS))
    film = [name for name in before if name.startswith("film.") and name != "film.rate"]
    assert film
    for name in film:
        early, late = before[name], after[name]
        assert early is None or not early.any(), name
        assert late is not None, name
        assert late.any(), name


def test_every_weight_learns(task: MakeTask) -> None:
    found = gradients(task(losses=LossConfig(contrast=1.0)))
    idle = [name for name, grad in found.items() if grad is None or not grad.any()]
    assert idle == []


def test_the_losses_that_a_recipe_asks_for(task: MakeTask) -> None:
    first, second = task(), task(losses=LossConfig(contrast=0.5, adaptive=False))
    _, parts = first.loss(next(first.batches(0)))
    assert set(parts) == {"loss", "heat", "giou", "l1", "uncertainty"}
    total, parts = second.loss(next(second.batches(0)))
    assert set(parts) == {"loss", "heat", "giou", "l1", "uncertainty", "contrast"}
    weights = {"heat": 1.0, "giou": 2.0, "l1": 1.0, "uncertainty": 0.1, "contrast": 0.5}
    assert total.item() == pytest.approx(
        sum(weight * parts[name] for name, weight in weights.items()), rel=1e-5
    )


def test_half_precision_learns_the_same(task: MakeTask) -> None:
    learning = task()
    batch = next(learning.batches(0))
    exact, _ = learning.loss(batch)
    with torch.autocast("cpu", torch.bfloat16):
        coarse, _ = learning.loss(batch)
    coarse.backward()
    assert coarse.item() == pytest.approx(exact.item(), rel=0.03)
    grads = [p.grad for p in learning.model.parameters() if p.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)


class Teacher:
    """Features that are nothing but brightness."""

    channels = 5

    def __call__(self, crops: Any) -> Any:
        means = crops.reshape(len(crops), 4, 16, 4, 16, 3).mean((2, 4, 5)).astype(np.float32)
        return np.repeat(means[:, None], 5, 1)


def test_a_teacher_is_learned_from(task: MakeTask) -> None:
    learning = task(teacher=Teacher())
    found = gradients(learning)
    assert learning.loss(next(learning.batches(0)))[1]["teacher"] > 0
    assert found["teacher_head.weight"] is not None
    assert found["teacher_head.weight"].any()


def test_a_shared_expert_that_rests(task: MakeTask, tmp_path: Path) -> None:
    resting = task()
    mixture = resting.model.mixtures[0]
    assert isinstance(mixture, ExpertMixture)
    mixture.freeze_shared()
    before = {name: value.clone() for name, value in mixture.state_dict().items()}
    result = train(resting, LoopConfig(steps=2, warmup_steps=1, learning_rate=1e-2), tmp_path)
    for model in (resting.model, result.model):
        after = model.get_submodule("mixtures.0").state_dict()
        changed = {
            name for name, value in after.items() if not torch.allclose(value, before[name], atol=1e-7)
        }
        assert changed == {name for name in before if not name.startswith("shared.")}


class Interrupted:
    """A task whose process is stopped after some steps, before their batch is learnt from."""

    def __init__(self, task: VilTask, after: int) -> None:
        self.task, self.after, self.model = task, after, task.model

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        for index, batch in enumerate(self.task.batches(start)):
            if index == self.after:
                raise KeyboardInterrupt
            yield batch

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        return self.task.loss(batch)

    def validate(self, model: nn.Module) -> dict[str, float]:
        return self.task.validate(model)


def test_a_resumed_run_is_the_uninterrupted_one(task: MakeTask, tmp_path: Path) -> None:
    """Through the curriculum, with adaptive weights and a shared expert that rests."""
    config = LoopConfig(steps=4, warmup_steps=2, save_every=3, log_every=1)
    curriculum = CurriculumConfig(epoch_samples=2, ramp_epochs=3, film_epoch=2)

    def fresh() -> VilTask:
        made = task(curriculum, losses=LossConfig(contrast=0.1))
        made.model.get_submodule("mixtures.0").freeze_shared()  # type: ignore[operator]
        return made

    whole, second = fresh(), fresh()
    straight = train(whole, config, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(fresh(), after=3), config, tmp_path / "cut")
    torch.manual_seed(99)  # another process has another generator
    resumed = train(second, config, tmp_path / "cut")
    for ours, theirs in ((second.model, whole.model), (resumed.model, straight.model)):
        expected = theirs.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())
