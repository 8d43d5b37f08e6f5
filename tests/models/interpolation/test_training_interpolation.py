"""Training an interpolator: runs that learn, rest where they should, and resume."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framestate.errors import DataError, OptionError
from framestate.models.interpolation import HybridInterpolator
from framestate.models.interpolation.late_task import LEARNING, LatePart
from framestate.models.interpolation.task import InterpolationTask, make_frame
from framestate.models.interpolation.train import train_interpolator
from framestate.models.training.mode import Mode
from framestate.vision import VideoWriter

from .conftest import BuildInterpolator
from .tiny_recipe import recipe, write_vgg


def test_a_recipe_names_the_network_of_its_perceptual_loss(data: Path, tmp_path: Path) -> None:
    write_vgg(data / "vgg.safetensors")
    plan = recipe(tmp_path, losses="perceptual = 1.0", **{"": 'features = "vgg.safetensors"'})
    lines: list[dict[str, float]] = []
    train_interpolator(plan, data, tmp_path / "run", lambda step, line: lines.append(line))
    assert all(line["perceptual"] > 0 for line in lines)


def test_a_trial_does_one_step_of_each_phase(data: Path, tmp_path: Path) -> None:
    plan = recipe(
        tmp_path,
        samples="crop_steps = [0, 3]\ncrops = [64, 96]",
        loop="steps = 40",
        **{"": "freeze_backbone = 3"},
    )
    lines: list[dict[str, Any]] = []
    train_interpolator(plan, data, tmp_path / "run", mode=Mode(trial=lines))
    assert [(line["step"], line["phase"]) for line in lines] == [
        (0, "crops of 64"),
        (2, "frames at full size"),
        (3, "crops of 96, the backbone learns too"),
        (30, "without a teacher"),
    ]
    assert lines[0]["learning"] < lines[2]["learning"] == lines[2]["parameters"]
    assert lines[0]["batch"]["first"] == [2, 3, 64, 64]
    assert lines[2]["batch"]["first"] == [2, 3, 96, 96]
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_epochs_are_of_the_triplets(data: Path, tmp_path: Path) -> None:
    result, report = train_interpolator(recipe(tmp_path), data, tmp_path / "run", mode=Mode(epochs=0.5))
    assert result.steps == -(-report["triplets"] // 4)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A clip of a pattern that moves by 3 px a frame, and one to hold out."""
    folder = tmp_path / "clips"
    folder.mkdir()
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(0, 256, (20, 30, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    for name in ("learned", "kept"):
        with VideoWriter(folder / f"{name}.mp4", 128, 96, 25) as writer:
            for index in range(10):
                writer.write(np.ascontiguousarray(ground[10:106, 3 * index : 3 * index + 128]))
    return tmp_path


def test_a_run_learns_and_goes_on(data: Path, tmp_path: Path) -> None:
    plan = recipe(tmp_path)
    lines: list[dict[str, float]] = []
    result, report = train_interpolator(plan, data, tmp_path / "run", lambda step, line: lines.append(line))
    assert result.steps == 4
    assert {"laplacian", "coarse", "warped", "teacher", "psnr"} <= set(lines[0])
    assert set(result.metrics) == {"psnr_gap1", "psnr_gap2", "edges_gap1", "edges_gap2"}
    assert (report["clips"], report["held_out"]) == (1, ["kept"])
    assert len(report["sources"]["learned"]) == 64
    longer = dataclasses.replace(plan, loop=dataclasses.replace(plan.loop, steps=30))
    result, _ = train_interpolator(
        longer, data, tmp_path / "run", lambda step, line: lines.append(line), Mode(accept=True)
    )
    assert result.steps == 30
    assert [line["step"] for line in lines] == list(range(1, 31))
    first, last = (np.mean([line["warped"] for line in part]) for part in (lines[2:8], lines[-6:]))
    assert last < first


def test_a_frozen_backbone_rests(data: Path, tmp_path: Path) -> None:
    plan = recipe(tmp_path, **{"": "freeze_backbone = 99"})
    torch.manual_seed(plan.seed)
    result, _ = train_interpolator(plan, data, tmp_path / "run")
    fresh, _ = train_interpolator(
        dataclasses.replace(plan, loop=dataclasses.replace(plan.loop, steps=1, learning_rate=0.0)),
        data,
        tmp_path / "other",
    )
    trained, start = result.model.state_dict(), fresh.model.state_dict()
    for name, value in trained.items():
        rests = name.startswith(("encoder", "lgs", "down"))
        assert torch.allclose(value, start[name], atol=1e-7) == rests, name


@pytest.mark.parametrize("part", ["rest", "refine", "pick"])
def test_one_part_is_learned_and_nothing_else(data: Path, tmp_path: Path, part: LatePart) -> None:
    plan = recipe(tmp_path)
    far = part == "pick"
    told: dict[str, Any] = {"start_flow": "dis", "refine": "patch", "bend": True, "rest": True}
    plan = dataclasses.replace(
        plan,
        model=dataclasses.replace(plan.model, **told, far_blocks=int(far)),
        losses=dataclasses.replace(plan.losses, half_steps=0, log_error=1.0),
        samples=dataclasses.replace(
            plan.samples, off_middle=0.0, held=1.0, crops=(128,) if far else plan.samples.crops
        ),
        loop=dataclasses.replace(plan.loop, steps=20, learning_rate=0.02),
        part=part,
        part_samples=4,
    )
    lines: list[dict[str, float]] = []
    result, _ = train_interpolator(plan, data, tmp_path / "run", lambda step, line: lines.append(line))
    still = dataclasses.replace(plan.loop, steps=1, learning_rate=0.0)
    fresh, _ = train_interpolator(dataclasses.replace(plan, loop=still), data, tmp_path / "other")
    start = fresh.model.state_dict()
    changed = [name for name, value in result.model.state_dict().items() if not value.equal(start[name])]
    assert changed
    assert all(name.startswith(tuple(f"{one}." for one in LEARNING[part])) for name in changed)
    measure = "judged" if far else "log_error"
    errors = [np.mean([line[measure] for line in some]) for some in (lines[:4], lines[-4:])]
    assert errors[1] < errors[0]


def test_frames_of_any_size(build: BuildInterpolator) -> None:
    model = build()
    first, second = np.random.default_rng(0).integers(0, 256, (2, 45, 70, 3), np.uint8)
    made = make_frame(model, first, second)
    assert made.shape == (45, 70, 3)
    assert made.dtype == np.uint8


def test_held_out_clips_must_be_there(data: Path, tmp_path: Path) -> None:
    plan = dataclasses.replace(recipe(tmp_path), held_out=("nothing",))
    with pytest.raises(DataError, match="held-out clips nothing"):
        train_interpolator(plan, data, tmp_path / "run")


def test_data_sets_tell_of_no_bend(tmp_path: Path) -> None:
    plan = recipe(tmp_path)
    bent = dataclasses.replace(plan.model, start_flow="dis", bend=True)
    no_clips: dict[str, Any] = {"videos": ("training/video", "training/tracking"), "held_out": ()}
    bending = dataclasses.replace(plan, model=bent, sets=("vimeo-triplet:x",), **no_clips)
    with pytest.raises(OptionError, match="bend is on"):
        train_interpolator(bending, tmp_path, tmp_path / "run")


def test_a_task_measures_nothing_without_clips(build: BuildInterpolator) -> None:
    task = InterpolationTask(build(), None, [])  # type: ignore[arg-type]
    assert task.validate(task.model) == {}


@pytest.mark.parametrize("bend", [False, True])
def test_a_run_with_a_flow_to_start_from(data: Path, tmp_path: Path, bend: bool) -> None:
    plan = recipe(tmp_path)
    plan = dataclasses.replace(
        plan,
        model=dataclasses.replace(plan.model, start_flow="dis", refine="patch", bend=bend),
        losses=dataclasses.replace(plan.losses, half_steps=0, log_error=0.1),
    )
    lines: list[dict[str, float]] = []
    result, _ = train_interpolator(plan, data, tmp_path / "run", lambda step, line: lines.append(line))
    assert result.steps == 4
    measures = [f"{what}_gap{gap}" for what in ("psnr", "edges") for gap in (1, 2)]
    assert set(result.metrics) == {*measures, *(f"{name}_live" for name in measures if bend)}
    assert lines[0]["log_error"] == pytest.approx(-lines[0]["psnr"] / 10, abs=0.05)
    assert isinstance(result.model, HybridInterpolator)
    first, second = np.random.default_rng(0).integers(0, 256, (2, 45, 70, 3), np.uint8)
    assert make_frame(result.model, first, second).shape == (45, 70, 3)
