"""Training by curriculum in two phases: what joins in when, what rests; a resumed run is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framestate.errors import DataError, OptionError
from framestate.models import dump_weights, load_weights
from framestate.models.plans import read_plan
from framestate.models.tracking.clips import Clip
from framestate.models.tracking.poses import SampleConfig
from framestate.models.tracking.samples import SampleSource
from framestate.models.training.loop import LoopConfig, train
from framestate.models.vil_tracker import VilTracker
from framestate.models.vil_tracker.curriculum import CurriculumConfig
from framestate.models.vil_tracker.experts import ExpertMixture
from framestate.models.vil_tracker.losses import LossConfig
from framestate.models.vil_tracker.recipe import VilRecipe
from framestate.models.vil_tracker.task import CurriculumDataset, VilTask
from framestate.models.vil_tracker.train import train_vil_tracker
from framestate.plugins import eager_operators
from safetensors.numpy import save_file
from torch import Tensor, nn

BuildVil = Callable[..., VilTracker]
WriteClip = Callable[..., Path]
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


RECIPE = """
architecture = "vil_tracker"
name = "small"
batch = 2
workers = 0
clips = "clips"
[model]
size = "mini"
template_size = 32
search_size = 64
dim = 16
layers = 2
[samples]
absent = 0.0
[loop]
steps = 2
warmup_steps = 1
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], VilRecipe]:
    def read(text: str) -> VilRecipe:
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        plan = read_plan(path)
        assert isinstance(plan, VilRecipe)
        return plan

    return read


Read = Callable[[str], VilRecipe]


def test_both_phases_from_their_recipes(recipe: Read, write_clip: WriteClip, tmp_path: Path) -> None:
    write_clip()
    first, report = train_vil_tracker(recipe(RECIPE), tmp_path, tmp_path / "one")
    assert (first.steps, report["clips"]) == (2, 1)
    assert isinstance(first.model, VilTracker)
    again = VilTracker(first.model.config, eager_operators())
    load_weights(again, dump_weights(first.model))  # nothing that only training needs is left
    weights = tmp_path / "weights.safetensors"
    save_file(dump_weights(first.model), weights)
    text = f'start = "{weights}"\nfreeze_shared = true\n' + RECIPE + "[losses]\ncontrast = 0.1\n"
    text += "[curriculum]\nramp_epochs = 0\nfilm_epoch = 0\n"
    second, report = train_vil_tracker(recipe(text), tmp_path, tmp_path / "two")
    assert report["start"] == "weights.safetensors"
    before, after = dump_weights(again), dump_weights(second.model)
    shared = [name for name in before if ".shared." in name]
    assert shared
    assert all(np.allclose(after[name], before[name], atol=1e-7) for name in shared)
    assert not np.array_equal(after["patch.weight"], before["patch.weight"])


def test_the_shipped_recipes_are_the_plan(checkout: Path) -> None:
    plans = [read_plan(checkout / f"models/recipes/vil-tracker-phase{phase}.toml") for phase in (1, 2)]
    first, second = plans
    assert isinstance(first, VilRecipe)
    assert isinstance(second, VilRecipe)
    for plan, epochs in ((first, 300), (second, 100)):
        assert plan.loop.steps * plan.batch == epochs * plan.curriculum.epoch_samples
        assert (plan.model.layers, plan.model.dim, plan.model.block) == (24, 384, "gelu")
    assert (first.curriculum.ramp_epochs, first.curriculum.film_epoch) == (50, 30)
    assert not first.freeze_shared
    assert first.losses.contrast == 0
    assert second.freeze_shared
    assert second.losses.contrast > 0
    assert second.curriculum.stage(0).film == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("colour = 1\n", "unknown recipe option colour"),
        ('size = "large"\n', "unknown recipe option size"),
        ('start = "a"\npublished = "b"\n', "names start and published"),
        ("carry_share = 1.5\n", "carry_share is 1.5"),
    ],
)
def test_recipes_that_cannot_be_meant(recipe: Read, change: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        recipe(change + RECIPE)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('size = "mini"', 'size = "large"', "size is 'large'"),
        ("absent = 0.0", "search_size = 128", "search_size is 64 in model and 128 in samples"),
        ('clips = "clips"\n', "", "names no data"),
        ("warmup_steps = 1", "[losses]\ngiou = -1.0", "weight of giou is -1"),
        ("warmup_steps = 1", "[curriculum]\ngap_share = 2.0", "gap_share is 2.0"),
    ],
)
def test_tables_that_cannot_be_meant(recipe: Read, old: str, new: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        recipe(RECIPE.replace(old, new))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('start = "nowhere.safetensors"\n', "weights nowhere.safetensors cannot be read"),
        ('teacher = "nowhere.onnx"\n', "teacher .*nowhere.onnx does not exist"),
        ('published = "nowhere.safetensors"\n', "published weights are for 'silu'|cannot be read"),
    ],
)
def test_files_that_are_not_there(
    recipe: Read, write_clip: WriteClip, tmp_path: Path, line: str, problem: str
) -> None:
    write_clip()
    with pytest.raises(DataError, match=problem):
        train_vil_tracker(recipe(line + RECIPE), tmp_path, tmp_path / "run")
