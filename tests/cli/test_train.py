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
    again, _ = run(read_plan(recipe), data, Path("run"))
    assert again.steps == 3
    assert again.checkpoint.stat().st_size == (work / found["checkpoint"]).stat().st_size


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
