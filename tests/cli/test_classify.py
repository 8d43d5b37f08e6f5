"""``framestate classify`` on a clip, a folder and pictures, with a model of three labels."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle, load_bundle
from framestate.vision import encode_image
from typer.testing import Result

from .conftest import picture

MakeClip = Callable[..., Path]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three pictures by name."""
    paths = []
    for index in range(3):
        paths.append(tmp_path / f"shot-{index}.png")
        paths[-1].write_bytes(encode_image(picture(9 * index), "png"))
    return paths


def read_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_a_clip(
    report: Callable[..., dict[str, Any]], make_clip: MakeClip, tiny_classifier: Bundle, work: Path
) -> None:
    found = report(
        "classify", make_clip(frames=6), "--model", tiny_classifier.path, "--top", 2, "--out", "labels.csv"
    )
    assert found["frames"] == 6
    assert (found["runtime"], found["device"]) == ("onnx", "cpu")
    assert found["fps"] > 0
    assert sum(found["labels"].values()) == 6
    assert set(found["labels"]) <= {"cat", "dog", "sea"}
    (source,) = found["sources"]
    best, second = (entry["probability"] for entry in source["top"])
    assert 1 >= best >= second >= 0
    rows = read_rows(work / "labels.csv")
    assert [(int(row["frame"]), int(row["rank"])) for row in rows] == [(i // 2, i % 2 + 1) for i in range(12)]
    assert rows[0]["probability"] == rows[0]["frame_probability"]  # the first frame stands for itself
    for row, entry in zip(rows[-2:], source["top"], strict=True):
        assert row["label"] == entry["label"]
        assert float(row["probability"]) == pytest.approx(entry["probability"], abs=1e-4)
    assert found["outputs"] == ["labels.csv"]


def test_smoothing_is_over_a_video_and_not_over_pictures(
    report: Callable[..., dict[str, Any]],
    pictures: list[Path],
    tiny_classifier: Bundle,
    tmp_path: Path,
    work: Path,
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for index in range(4):
        noise = np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        (folder / f"{index}.png").write_bytes(encode_image(noise, "png"))
    for sources, options, alone in (
        ([folder], [], False),
        ([folder], ["--smoothing", 0], True),
        (pictures, [], True),
    ):
        found = report(
            "classify", *sources, "--model", tiny_classifier.path, "--out", "out.csv", "--top", 3, *options
        )
        assert len(found["sources"]) == len(sources)
        rows = read_rows(work / "out.csv")
        assert len(rows) == 3 * found["frames"]
        same = [row["probability"] == row["frame_probability"] for row in rows]
        assert all(same) == alone


def test_for_people(
    invoke: Callable[..., Result], pictures: list[Path], tiny_classifier: Bundle, work: Path
) -> None:
    result = invoke("classify", *pictures, "--model", tiny_classifier.path, "--top", 9)
    assert result.exit_code == 0, result.stderr
    for name in ("shot-0.png", "shot-2.png", "cat", "dog", "sea", "3 frames"):
        assert name in result.stdout


def test_bad_input(
    refused: Callable[..., str],
    pictures: list[Path],
    tiny_classifier: Bundle,
    tiny_bundle: Bundle,
    work: Path,
) -> None:
    model = ("--model", tiny_classifier.path)
    assert "nope.mp4" in refused("classify", "nope.mp4", *model)
    assert "is a model for tracking" in refused("classify", pictures[0], "--model", tiny_bundle.path)
    assert "smoothing is -1.0 s" in refused("classify", pictures[0], *model, "--smoothing=-1")
    assert "suffix '.txt'" in refused("classify", pictures[0], *model, "--out", "labels.txt")
    assert "given twice" in refused("classify", pictures[0], pictures[0], *model)
    assert "is a model for classification" in refused(
        "track", pictures[0].parent, "--box", "1,2,9,9", "--boxes", "b.csv", *model
    )
    pictures[1].write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    assert "The image starts with" in refused("classify", *pictures, *model, "--out", "labels.csv")
    assert list(work.iterdir()) == []


def test_models_and_export_know_the_task(
    tiny_classifier: Bundle, report: Callable[..., dict[str, Any]]
) -> None:
    from framestate.cli.export import next_commands
    from framestate.cli.models import describe

    said = describe(tiny_classifier)
    assert (said["task"], said["state_bytes"]) == ("classification", 12)
    assert "onnx" in said["runtimes"]
    assert "eager" in said["runtimes"]
    (line,) = next_commands(Path("x"), "onnx", "classification")
    assert line.split(maxsplit=1)[1] == "framestate classify video.mp4 --model ./x --runtime onnx"


RECIPE = """
name = "micro"
task = "classification"
batch = 4
workers = 0
held_out = 0
tta = true
[model]
dim = 8
layers = 1
states = 2
[loop]
steps = 3
log_every = 1
warmup_steps = 1
"""


@pytest.mark.slow
def test_from_a_recipe_to_labels(
    report: Callable[..., dict[str, Any]], tmp_path: Path, pictures: list[Path], work: Path
) -> None:
    folder = tmp_path / "cifar10"
    folder.mkdir()
    (folder / "batches.meta.txt").write_text("sky\nsea\n")
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{index}" for index in range(1, 6)), "test_batch"):
        rows = rng.integers(0, 256, (2, 3073), dtype=np.uint8)
        rows[:, 0] = (0, 1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    (tmp_path / "micro.toml").write_text(RECIPE)
    found = report("train", tmp_path / "micro.toml", "--data", tmp_path, "--out", "run", "--frames", 3)
    assert (found["recipe"], found["steps"]) == ("micro", 3)
    assert set(found["metrics"]) == {"accuracy", "accuracy_tta"}
    assert found["parity"]["passed"] is True
    assert (work / found["checkpoint"]).is_file()
    bundle = load_bundle(work / found["bundle"])
    assert bundle.provenance["trained_on"] == "10 pictures (cifar10)"
    assert bundle.spec.preprocess["labels"] == ["sky", "sea"]
    told = report("classify", pictures[0], "--model", "./run/micro")
    assert {entry["label"] for entry in told["sources"][0]["top"]} == {"sky", "sea"}
