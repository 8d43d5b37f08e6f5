"""The first stage of training: a stem that learns a teacher's features, and the answers learned after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from framestate.errors import OptionError
from framestate.models.artrack_mamba import ArtrackMamba
from framestate.models.plans import read_plan
from framestate.models.tracking.archives import read_archive
from framestate.models.tracking.clips import Clip
from framestate.models.tracking.distil import DistilTask, ViewSource
from framestate.models.tracking.poses import SampleConfig
from framestate.models.tracking.recipe import TrackerRecipe
from framestate.models.tracking.samples import SampleSource
from framestate.models.tracking.task import TrackerTask
from framestate.models.tracking.teacher import AnswerTeacher, FeatureTeacher
from framestate.models.tracking.train import distil_stem, train_tracker
from framestate.models.training.config import LoopConfig
from framestate.models.training.loop import train
from framestate.plugins import eager_operators
from onnx import TensorProto, helper, numpy_helper

WriteArchive = Callable[..., Path]
WriteClip = Callable[..., Path]
BuildModel = Callable[..., ArtrackMamba]


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """A teacher's head: classes are two channels of the search, sides the exponents of four more."""
    parts = numpy_helper.from_array(np.array([2, 4, 42], np.int64), "parts")
    graph = helper.make_graph(
        [
            helper.make_node("Split", ["search", "parts"], ["classes", "logs", "rest"], axis=1),
            helper.make_node("GlobalAveragePool", ["template"], ["mean"]),
            helper.make_node("Exp", ["logs"], ["sides"]),
        ],
        "head",
        [
            helper.make_tensor_value_info("template", TensorProto.FLOAT, [1, 48, "a", "a"]),
            helper.make_tensor_value_info("search", TensorProto.FLOAT, [1, 48, "b", "b"]),
        ],
        [
            helper.make_tensor_value_info("classes", TensorProto.FLOAT, [1, 2, "b", "b"]),
            helper.make_tensor_value_info("sides", TensorProto.FLOAT, [1, 4, "b", "b"]),
        ],
        [parts],
    )
    return saved(graph, tmp_path / "head.onnx")


def saved(graph: onnx.GraphProto, path: Path) -> Path:
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def views(clip: Clip, size: int = 64) -> ViewSource:
    return ViewSource((), (clip,), size, seed=4)


def test_a_view_follows_from_its_seed_and_index(clip: Clip, write_archive: WriteArchive) -> None:
    stills = tuple(read_archive(write_archive("a.zip")).stills)
    source, again = (ViewSource(stills, (clip,), 48, 4) for _ in range(2))
    for index in range(6):
        assert source[index].shape == (48, 48, 3)
        assert np.array_equal(source[index], again[index])
    assert not np.array_equal(source[0], source[1])


def test_the_teacher_takes_crops_of_any_size(backbone: Path) -> None:
    teacher = FeatureTeacher(backbone)
    assert teacher(np.zeros((2, 64, 64, 3), np.uint8)).shape == (2, 48, 4, 4)
    assert teacher(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 48, 2, 2)


def test_the_teachers_answer_is_a_chance_and_four_distances(head: Path) -> None:
    features = np.random.default_rng(1).normal(0, 1, (2, 48, 4, 4)).astype(np.float32)
    answer = AnswerTeacher(head)(features[:1, :, :2, :2], features)
    assert answer.shape == (2, 5, 4, 4)
    assert np.allclose(answer[:, 0], 1 / (1 + np.exp(features[:, 0] - features[:, 1])), atol=1e-6)
    assert np.allclose(answer[:, 1:], np.exp(features[:, 2:6]), rtol=1e-5)


def test_a_stem_comes_closer_to_its_teacher(
    backbone: Path, clip: Clip, build: BuildModel, tmp_path: Path
) -> None:
    stem = build(stem="mobile", search_size=64).stem.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = DistilTask(stem, views(clip), FeatureTeacher(backbone), batch=4, steps=60, workers=0)
    with torch.no_grad():
        before = task.validate(stem.eval())["held_out_cosine"]
    config = LoopConfig(steps=60, learning_rate=1e-2, warmup_steps=3, ema=0.5, freeze_norms=0.8)
    after = train(task, config, tmp_path / "run").metrics["held_out_cosine"]
    assert after > before + 0.05


def test_answers_are_learned_beside_the_boxes(
    backbone: Path, head: Path, clip: Clip, build: BuildModel
) -> None:
    model = build(stem="mobile", search_size=64, temporal="carry")
    source = SampleSource(SampleConfig(template_size=32, search_size=64), [], [clip], 3)
    task = TrackerTask(model, source, None, batch=2, steps=1, workers=0, teacher=backbone, teacher_head=head)
    loss, parts = task.loss(next(iter(task.batches(0))))
    assert {"teacher", "answer"} <= parts.keys()
    loss.backward()
    gradient = model.get_submodule("answer_head").weight.grad
    assert isinstance(gradient, torch.Tensor)
    assert gradient.abs().sum() > 0


RECIPE = """
name = "small"
batch = 2
workers = 0
teacher = "backbone.onnx"
teacher_head = "head.onnx"
distil_batch = 2
clips = "clips"
[model]
stem = "{stem}"
template_size = 32
search_size = 64
dim = 16
head_dim = 16
layers = 1
head_channels = 16
states = 8
[samples]
template_size = 32
search_size = 64
[distil]
steps = 2
[loop]
steps = 2
"""


def test_a_recipe_of_two_stages(
    backbone: Path, head: Path, tmp_path: Path, write_archive: WriteArchive, write_clip: WriteClip
) -> None:
    """The second stage starts from the first, which a resumed run does not repeat."""
    write_clip()
    archive = write_archive("a.zip")
    (tmp_path / "images").mkdir()
    archive.replace(tmp_path / "images" / "a.zip")
    path = tmp_path / "small.toml"
    path.write_text(RECIPE.format(stem="mobile"))
    recipe = read_plan(path)
    assert isinstance(recipe, TrackerRecipe)
    result, report = train_tracker(recipe, tmp_path, tmp_path / "out")
    assert report["distilled"]
    assert report["teacher_head"] == "head.onnx"
    assert not {name.split(".")[0] for name in result.model.state_dict()} & {"teacher_head", "answer_head"}
    stem = tmp_path / "out" / "stem.safetensors"
    stamp = stem.stat().st_mtime_ns
    train_tracker(recipe, tmp_path, tmp_path / "out")
    assert stem.stat().st_mtime_ns == stamp


def test_a_stem_with_other_channels_than_the_teacher_is_refused(
    backbone: Path, clip: Clip, tmp_path: Path
) -> None:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE.format(stem="conv"))
    recipe = read_plan(path)
    assert isinstance(recipe, TrackerRecipe)
    assert recipe.distil is not None
    model = ArtrackMamba(recipe.model, eager_operators())
    source = SampleSource(recipe.samples, [], [clip], 0)
    with pytest.raises(OptionError, match="the stem gives 16 channels"):
        distil_stem(recipe, recipe.distil, model, source, tmp_path, tmp_path / "out", None)


def test_a_stage_that_needs_a_teacher_says_so(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text('name = "small"\n[loop]\nsteps = 1\n[distil]\nsteps = 1\n')
    with pytest.raises(OptionError, match="names none"):
        read_plan(path)
