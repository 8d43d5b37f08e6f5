"""``framestate train``, on a model and data that are as small as they can be."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import load_bundle
from framestate.vision import VideoWriter, encode_image
from typer.testing import Result

RECIPE = """
name = "micro"
images = "images"
batch = 2
workers = 0
[model]
template_size = 64
search_size = 96
stem_channels = [4, 4, 8, 8]
dim = 16
layers = 1
head_channels = 16
states = 8
head_dim = 16
[samples]
template_size = 64
search_size = 96
[loop]
steps = 3
log_every = 1
warmup_steps = 1
"""
MakeClip = Callable[..., Path]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "micro.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One archive with two pictures of a disc, and one clip."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:120, :160]
    mask = np.where((x - 80) ** 2 + (y - 60) ** 2 < 900, 255, 0).astype(np.uint8)
    with zipfile.ZipFile(folder / "images" / "discs.zip", "w") as archive:
        for index in range(2):
            image = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
            archive.writestr(f"images/{index}.jpg", encode_image(image, "jpeg"))
            archive.writestr(f"masks/{index}.png", encode_image(np.dstack([mask] * 3), "png"))
    clip = folder / "training" / "tracking" / "square"
    clip.mkdir(parents=True)
    with VideoWriter(clip / "video.mp4", 96, 64, 25) as video:
        for _ in range(4):
            video.write(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    (clip / "groundtruth.txt").write_text("12,10,20,20\n" * 4, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_a_run_becomes_a_bundle_and_goes_on(
    report: Callable[..., dict[str, Any]], recipe: Path, data: Path, work: Path
) -> None:
    pytest.importorskip("torch")
    from framestate.cli.train import run
    from framestate.models.plans import read_plan
    from framestate.models.training.mode import Mode

    found = report("train", recipe, "--data", data, "--out", "run", "--frames", 2)
    assert (found["recipe"], found["steps"]) == ("micro", 3)
    assert found["seconds"] > 0
    assert found["samples_per_s"] > 0
    assert (work / found["checkpoint"]).is_file()
    bundle = load_bundle(work / found["bundle"])
    assert bundle.spec.name == "micro"
    assert bundle.provenance["recipe"] == RECIPE
    assert bundle.provenance["trained_on"] == "2 pictures (discs); 1 clip (4 frames)"
    assert bundle.provenance["steps"] == 3
    assert bundle.provenance["teacher"] is None
    assert "core" in str(bundle.provenance["hardware"])
    assert found["parity"]["passed"] is True
    again, _ = run(read_plan(recipe), data, Path("run"), Mode())
    assert again.steps == 3
    assert again.checkpoint.stat().st_size == (work / found["checkpoint"]).stat().st_size


def test_a_dry_run_says_what_it_would_take(
    report: Callable[..., dict[str, Any]], invoke: Callable[..., Result], recipe: Path, data: Path, work: Path
) -> None:
    pytest.importorskip("torch")
    arguments = ("train", recipe, "--data", data, "--out", "run", "--dry-run")
    found = report(*arguments, "--set", "batch=3", "--set", "model.layers=2")
    assert found["recipe"] == "micro"
    (phase,) = found["phases"]
    assert phase["batch"]["template"] == [3, 3, 64, 64]
    assert phase["parameters"] == phase["learning"] > 1000
    assert phase["memory_bytes"] > 1e6
    assert phase["loss"] > 0
    assert list(work.iterdir()) == []
    shown = invoke(*arguments)
    assert shown.exit_code == 0
    assert "template [2, 3, 64, 64]" in shown.stdout


def test_a_recipe_is_changed_on_the_command_line(
    report: Callable[..., dict[str, Any]], refused: Callable[..., str], recipe: Path, data: Path, work: Path
) -> None:
    pytest.importorskip("torch")
    rest = ("--data", data, "--out", "run", "--frames", 2)
    found = report("train", recipe, *rest, "--set", "loop.steps=1", "--set", "name=other")
    assert (found["recipe"], found["steps"]) == ("other", 1)
    text = load_bundle(work / found["bundle"]).provenance["recipe"]
    assert text == RECIPE + "# changed: loop.steps=1\n# changed: name=other\n"
    for change, problem in (
        ("steps", "'steps' is no change"),
        ("name.first=3", "name is no table"),
        ("loop.fast=true", "unknown loop option fast"),
        ("batch=many", "recipe option batch is 'many'"),
    ):
        assert problem in refused("train", recipe, *rest, "--set", change)
    line = refused("train", recipe, "--data", data, "--out", "new", "--epochs", 2)
    assert "samples of artrack_mamba are drawn without end" in line


def test_another_recipe_is_not_gone_on_with_in_silence(
    report: Callable[..., dict[str, Any]], invoke: Callable[..., Result], recipe: Path, data: Path, work: Path
) -> None:
    pytest.importorskip("torch")
    rest = ("--data", data, "--out", "run", "--frames", 2)
    report("train", recipe, *rest, "--set", "loop.steps=1")
    changes = ("--set", "loop.learning_rate=0.1", "--set", "seed=7")
    stopped = invoke("train", recipe, *rest, *changes)
    assert stopped.exit_code == 1
    for part in ("loop.learning_rate 0.001 -> 0.1", "loop.steps 1 -> 3", "seed 0 -> 7", "--accept"):
        assert part in stopped.stderr
    went_on = invoke("train", recipe, *rest, *changes, "--accept", "--json")
    assert went_on.exit_code == 0, went_on.stderr
    assert "going on with another recipe: loop.learning_rate 0.001 -> 0.1" in went_on.stderr
    back = invoke("train", recipe, *rest)  # what was accepted is what a run is compared with from now on
    assert "loop.learning_rate 0.1 -> 0.001" in back.stderr


def test_code_of_the_user_makes_the_model(
    invoke: Callable[..., Result], recipe: Path, data: Path, tmp_path: Path, work: Path
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "mine.py").write_text(
        "from framestate.models import build_model\n"
        "def build(spec, operators):\n"
        "    model = build_model(spec, operators)\n"
        "    model.head.out.weight.data.zero_()\n"
        "    return model\n"
    )
    rest = ("--data", data, "--out", "run", "--frames", 2, "--set", "loop.learning_rate=0.0")
    result = invoke("train", recipe, *rest, "--build", f"{tmp_path / 'mine.py'}:build")
    assert result.exit_code == 0, result.stderr
    assert not load_bundle(work / "run" / "micro").weights()["head.out.weight"].any()


def test_bad_input(refused: Callable[..., str], recipe: Path, data: Path, work: Path) -> None:
    pytest.importorskip("torch")
    rest = ("--data", data, "--out", "run")
    assert "nope.toml cannot be read" in refused("train", "nope.toml", *rest)
    assert "holds no ZIP archive" in refused("train", recipe, "--data", work, "--out", "run")
    (work / "thesis").mkdir()
    (work / "thesis" / "a.txt").touch()
    assert "thesis exists already" in refused("train", recipe, *rest, "--bundle", work / "thesis")
    recipe.write_text(RECIPE + "\nfast = true\n", encoding="utf-8")
    assert "unknown loop option fast" in refused("train", recipe, *rest)


def test_without_pytorch(
    invoke: Callable[..., Result], refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, recipe: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    line = refused("train", recipe, "--data", ".", "--out", "run")
    assert "training needs torch, onnx, onnxscript" in line
    assert "pip install 'framestate[torch]'" in line
