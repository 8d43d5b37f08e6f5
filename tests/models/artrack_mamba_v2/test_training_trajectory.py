"""Training on pairs and on whole sequences: resumed bit for bit, better as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framestate.engine.tracking.trajectory import TrajectoryDecoder, Vocabulary
from framestate.models.artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config
from framestate.models.artrack_mamba_v2.losses import cut_views, overlap, siou_distance, target_view
from framestate.models.artrack_mamba_v2.sequence import Follower, SequenceConfig, SequenceTask, StretchDataset
from framestate.models.artrack_mamba_v2.task import PairTask, TrajectoryDataset
from framestate.models.artrack_mamba_v2.train import grouped
from framestate.models.artrack_mamba_v2.vocabulary import read_boxes, to_words
from framestate.models.datasets.footage import FootageMix
from framestate.models.datasets.opening import ClipSet
from framestate.models.tracking.clips import Clip
from framestate.models.tracking.poses import SampleConfig
from framestate.models.tracking.samples import SampleSource
from framestate.models.training.config import LoopConfig
from framestate.models.training.loop import Task, train
from framestate.vision import Box, SquareCrop
from torch import Tensor, nn

BuildModel = Callable[..., ArtrackMambaV2]
SAMPLES = SampleConfig(template_size=32, search_size=64, search_factor=4.0)


@pytest.fixture
def make(build: BuildModel, clip: Clip) -> Callable[..., PairTask | SequenceTask]:
    """A task on twelve frames: on pairs, or on sequences."""

    def task(kind: str, steps: int, batch: int = 2, **options: Any) -> PairTask | SequenceTask:
        model = build(**{"mixer": "mamba2", "temporal": "carry", **options})
        pairs = PairTask(model, SampleSource(SAMPLES, [], [clip], 3), None, batch, steps, 0)
        if kind == "pairs":
            return pairs
        return SequenceTask(pairs, FootageMix([ClipSet("clips", [clip])]), SequenceConfig(4, 2, 1))

    return task


MakeTask = Callable[..., PairTask | SequenceTask]


class Interrupted:
    """A task whose process is stopped after some steps."""

    def __init__(self, task: Task, after: int) -> None:
        self.task, self.after, self.model = task, after, task.model

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        for index, batch in enumerate(self.task.batches(start)):
            if index == self.after:
                raise KeyboardInterrupt
            yield batch

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        return self.task.loss(batch)

    def validate(self, model: nn.Module) -> dict[str, float]:
        return {}


@pytest.mark.parametrize("kind", ["pairs", "sequence"])
def test_a_resumed_run_is_the_uninterrupted_one(make: MakeTask, tmp_path: Path, kind: str) -> None:
    """Killed at a step drawn at random; what was hidden of redrawn templates is drawn alike as well."""
    cut = int(np.random.default_rng(len(kind)).integers(1, 4))
    config = LoopConfig(steps=4, warmup_steps=2, save_every=cut, log_every=1)
    whole, first, second = (make(kind, 4) for _ in range(3))
    torch.manual_seed(5)
    train(whole, config, tmp_path / "whole")
    torch.manual_seed(5)
    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(first, cut), config, tmp_path / "cut")
    torch.manual_seed(99)  # another process has another generator
    train(second, config, tmp_path / "cut")
    ours, theirs = second.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("kind", ["pairs", "sequence"])
def test_training_changes_every_part_and_lowers_the_loss(make: MakeTask, tmp_path: Path, kind: str) -> None:
    learner = make(kind, 24, 4, attention_layers=(1,))
    before = {name: value.clone() for name, value in learner.model.named_parameters()}
    lines: list[dict[str, float]] = []
    config = LoopConfig(steps=24, warmup_steps=4, learning_rate=4e-3, log_every=6)
    train(learner, config, tmp_path, lambda step, line: lines.append(line))
    still = [name for name, value in learner.model.named_parameters() if torch.equal(before[name], value)]
    assert still == []
    assert lines[-1]["loss"] < 0.88 * lines[0]["loss"]
    assert {"words", "siou", "score", "redraw"} <= set(lines[0])


def test_words_and_boxes_are_those_of_the_engine() -> None:
    config = ArtrackMambaV2Config(layers=1)
    with torch.device("meta"):
        spec = ArtrackMambaV2(config, None).spec("t")  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    crop = SquareCrop(cx=200, cy=100, side=100, size=256)  # from (150, 50)
    boxes = [Box(*rng.uniform(-100, 300, 2), *rng.uniform(1, 200, 2)) for _ in range(50)]
    shares = (np.array([box.xyxy for box in boxes]) - [150, 50, 150, 50]) / 100
    words = to_words(torch.from_numpy(shares), config).flatten().numpy()
    assert (words == Vocabulary(spec).words(boxes, crop)).all()
    logits = rng.normal(size=(5, 4, 800)).astype(np.float32) * 8
    logits[:, 2:] = np.roll(logits[:, :2], 200, axis=-1)  # right of left, under top
    for row, corners in zip(logits, read_boxes(torch.from_numpy(logits), config).numpy(), strict=True):
        found = TrajectoryDecoder(spec)({"logits": row, "score": np.zeros(1, np.float32)}, crop, boxes[0])
        expected = corners * 100 + [150, 50, 150, 50]
        if (corners[2:] > corners[:2] + 0.01).all():
            assert found.box.xyxy == pytest.approx(expected.tolist(), abs=1e-2)


def test_the_distance_is_zero_for_the_box_itself_and_falls_on_the_way_to_it() -> None:
    truth = torch.tensor([[0.3, 0.4, 0.7, 0.6]])
    assert float(siou_distance(truth, truth)) == pytest.approx(0, abs=1e-5)
    far = torch.tensor([[0.0, 0.8, 0.1, 0.9]])
    walk = [float(siou_distance(far + share * (truth - far), truth)) for share in np.linspace(0, 1, 20)]
    assert all(after < before for before, after in pairwise(walk))
    assert float(overlap(truth, truth)) == pytest.approx(1)
    assert float(overlap(truth[:, [2, 3, 0, 1]], truth)) == 0
    odd = torch.tensor([[0.5, 0.5, 0.2, 0.2]], requires_grad=True)
    siou_distance(odd, truth).sum().backward()
    assert odd.grad is not None
    assert odd.grad.isfinite().all()


def test_a_view_is_cut_where_its_square_is() -> None:
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)  # brighter to the right, one a pixel
    view = cut_views(ramp, torch.tensor([[0.25, 0.5]]), torch.tensor([0.25]), 16)
    assert torch.allclose(view[0, 0, 0], torch.arange(16.0, 32.0))
    assert not cut_views(ramp, torch.tensor([[1.5, 0.0]]), torch.tensor([0.25]), 16).any()
    config = ArtrackMambaV2Config(template_size=32, search_size=64)
    boxes = torch.tensor(
        [[0.375, 0.375, 0.625, 0.625]]
    )  # a quarter of a crop of factor 4: its template is half
    assert torch.allclose(target_view(ramp, boxes, config)[0, 0, 0], torch.arange(16.0, 48.0))


def test_made_up_histories_end_where_the_crop_was_laid(clip: Clip) -> None:
    data = TrajectoryDataset(SampleSource(SAMPLES, [], [clip], 3), 5, 0, 40)
    for sample in (data[index] for index in range(40)):
        assert sample["history"].shape == (2, 5, 4)
        last = sample["history"][:, -1]
        assert np.allclose((last[:, :2] + last[:, 2:]) / 2, 0.5, atol=1e-6)
        assert np.allclose(np.prod(last[:, 2:] - last[:, :2], 1), 1 / 16, atol=1e-6)
        assert (sample["history"][..., 2:] > sample["history"][..., :2]).all()
    again = TrajectoryDataset(data.source, 5, 7, 1)[0]
    assert all(np.array_equal(again[name], data[7][name]) for name in again)


def test_a_mirrored_stretch_is_the_mirror_image(clip: Clip, build: BuildModel) -> None:
    mix = FootageMix([ClipSet("clips", [clip])])
    data = StretchDataset(mix, build().config, SequenceConfig(3, 1), 0, 0, 4)
    stretch = mix.stretch(np.random.default_rng(0), 4)
    plain, mirrored = data.sample(stretch, False), data.sample(stretch, True)
    assert np.array_equal(plain["windows"][:, :, ::-1], mirrored["windows"])
    for sample in (plain, mirrored):  # the target is in the middle of its window
        left, side, box = sample["places"][:, 0], sample["places"][:, 2], sample["boxes"]
        assert np.allclose(box[:, 0] + box[:, 2] / 2, left + side / 2, atol=1e-3)
    assert np.allclose(plain["boxes"][:, 0] + plain["boxes"][:, 2], -mirrored["boxes"][:, 0], atol=1e-3)


class Knowing(ArtrackMambaV2):
    """A tracker that answers with the true box of its crop, whatever it sees; it keeps what it was told."""

    truth: Tensor
    told: list[Tensor]

    def head(self, trunk: Tensor) -> dict[str, Tensor]:
        words = to_words(self.truth, self.config)
        logits = 1e4 * nn.functional.one_hot(words, self.config.places).float()
        return {"logits": logits, "score": torch.ones(len(words), 1)}

    def step_trunk(self, search: Tensor, history: Tensor, carry: Tensor, state: Any) -> Any:
        self.told.append(history)
        return super().step_trunk(search, history, carry, state)


@torch.no_grad()
def test_a_tracker_that_knows_follows_the_whole_stretch(clip: Clip, build: BuildModel) -> None:
    """The geometry of the loop: crops, answers and histories fit together, mirrored or not."""
    model = build(bins=400, span=2)
    model.__class__ = Knowing
    assert isinstance(model, Knowing)
    model.told = []
    mix = FootageMix([ClipSet("clips", [clip])])
    data = StretchDataset(mix, model.config, SequenceConfig(8, 1, 1), 0, 0, 2)
    batch = {
        name: torch.stack([torch.as_tensor(one[name]) for one in (data[0], data[1])]) for name in data[0]
    }
    follower = Follower(model, batch)
    for index in range(8):
        side = (follower.box[:, 2:].prod(1).sqrt() * 4).ceil()
        corner = (follower.box[:, :2] + follower.box[:, 2:] / 2 - side[:, None] / 2).round()
        truth = batch["boxes"][:, index]
        corners = torch.cat([truth[:, :2], truth[:, :2] + truth[:, 2:]], 1)
        model.truth = (corners - corner.repeat(1, 2)) / side[:, None]
        told = torch.cat([follower.box[:, :2], follower.box[:, :2] + follower.box[:, 2:]], 1) - corner.repeat(
            1, 2
        )
        losses = follower.follow(index)
        assert torch.equal(model.told[-1][:, -4:], to_words(told / side[:, None], model.config))
        assert float(losses["score"]) < 0.15
    assert follower.mean_overlap > 0.93


def test_a_tracker_that_left_its_window_is_put_back(clip: Clip, build: BuildModel) -> None:
    model = build()
    model.__class__ = Knowing
    assert isinstance(model, Knowing)
    model.told = []
    data = StretchDataset(
        FootageMix([ClipSet("clips", [clip])]), model.config, SequenceConfig(2, 1, 1), 0, 0, 1
    )
    batch = {name: torch.as_tensor(value)[None] for name, value in data[0].items()}
    batch["places"][:, 0, :2] += 1e4  # a window far away
    model.truth = torch.tensor([[0.4, 0.4, 0.6, 0.6]])
    follower = Follower(model, batch)
    with torch.no_grad():
        follower.follow(0)
    assert torch.equal(follower.box, batch["boxes"][:, 0])
    assert follower.carry.tolist() == [0.0]


def test_what_starts_from_vim_learns_at_its_share(build: BuildModel) -> None:
    model = build()
    slow = {"tokens.patch_embed.weight", "norm.weight"}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found: list[tuple[str, object]] = []
    for group in grouped(model, 0.1, slow, 0.25):
        parameters = group["params"]
        assert isinstance(parameters, list)
        found += [(names[id(parameter)], group["scale"]) for parameter in parameters]
    assert dict(found) == {name: 0.25 if name in slow else 1.0 for name in names.values()}
    assert len(found) == len(names)
