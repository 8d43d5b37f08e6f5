"""A recipe says everything about a run, and is refused when something in it cannot be meant."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from framestate.errors import DataError, OptionError
from framestate.models.plans import read_plan
from framestate.models.tracking.recipe import TrackerRecipe, open_sources

WriteArchive = Callable[..., Path]
WriteClip = Callable[..., Path]
LEAST = 'name = "small"\n[loop]\nsteps = 10\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], TrackerRecipe]:
    def read(text: str) -> TrackerRecipe:
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        found = read_plan(path)
        assert isinstance(found, TrackerRecipe)
        return found

    return read


Read = Callable[[str], TrackerRecipe]


def test_the_recipes_that_are_shipped_can_be_read(checkout: Path) -> None:
    recipes = sorted((checkout / "models" / "recipes").glob("*.toml"))
    assert recipes
    for path in recipes:
        assert path.stem.startswith(read_plan(path).name)


def test_options_reach_their_place(recipe: Read) -> None:
    text = 'name = "small"\nbatch = 3\nheld_out = ["a", "b"]\n'
    text += "[model]\nlayers = 2\nstem_channels = [4, 4, 8, 8]\n"
    text += "[samples]\nabsent = 1\n[loop]\nsteps = 7\nclip = 2\n"
    read = recipe(text)
    assert (read.batch, read.held_out, read.model.layers) == (3, ("a", "b"), 2)
    assert read.model.stem_channels == (4, 4, 8, 8)
    assert (read.samples.absent, read.loop.steps, read.loop.clip) == (1.0, 7, 2.0)
    assert isinstance(read.loop.clip, float)
    assert read.text == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = 'x'\n", "loop table is incomplete.*steps"),
        ("[loop]\nsteps = 3\n", "recipe table is incomplete.*name"),
        ("colour = 1\n" + LEAST, "unknown recipe option colour"),
        (LEAST + "momentum = 1\n", "unknown loop option momentum"),
        (LEAST + "[model]\nwidth = 3\n", "unknown model option width"),
        (LEAST + "[samples]\nblur = 3\n", "unknown samples option blur"),
        ("batch = '8'\n" + LEAST, "recipe option batch is '8', a str"),
        ("batch = 8.5\n" + LEAST, "recipe option batch is 8.5, a float"),
        ("workers = true\n" + LEAST, "recipe option workers is True, a bool"),
        (LEAST + "learning_rate = '1e-3'\n", "loop option learning_rate is '1e-3', a str"),
        ("held_out = 'a'\n" + LEAST, "recipe option held_out is 'a', a str"),
        ("model = 3\n" + LEAST, "model is 3"),
        ("batch = 0\n" + LEAST, "batch is 0"),
        ("threads = 0\n" + LEAST, "threads 0"),
        ("name = 'x'\n[loop]\nsteps = 0\n", "steps is 0"),
        (LEAST + "save_every = 0\n", "save_every is 0"),
        (LEAST + "log_every = 0\n", "log_every is 0"),
        (LEAST + "[model]\nsearch_size = 256\n", "search_size is 256 in model and 192 in samples"),
        (LEAST + "amp_dtype = 'float16'\n", "amp_dtype is 'float16' and amp is not set"),
        ("distil_batch = 3\n" + LEAST, "distil_batch is 3 and distil is not set"),
        ("held_out_sets = ['coco:x']\n" + LEAST, "held_out_sets is .* and sets is not set"),
        ("sets = ['coco:x']\nmore_clips = ['y']\n" + LEAST, "more_clips is .* and sets takes its place"),
        (LEAST + "[samples]\nsearch_factor = 4.0\n", "search_factor is 3.0 in model and 4.0 in samples"),
    ],
)
def test_what_cannot_be_meant(recipe: Read, text: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        recipe(text)


def test_files_that_are_no_recipe(recipe: Read, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        recipe("name = \n")
    with pytest.raises(DataError, match="cannot be read"):
        read_plan(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        read_plan(tmp_path / "binary.toml")


def test_sources_are_split_and_reported(
    recipe: Read, tmp_path: Path, write_archive: WriteArchive, write_clip: WriteClip
) -> None:
    write_archive("images/one.zip", more={"images/torn.jpg": b"?"})
    for name in ("kept", "held"):
        write_clip(name, frames=3)
    read = recipe('images = "images"\nclips = "clips"\nheld_out = ["held"]\nseed = 5\n' + LEAST)
    training, held_out, report = open_sources(read, tmp_path)
    assert [clip.name for clip in training.clips] == ["kept"]
    assert held_out is not None
    assert [clip.name for clip in held_out.clips] == ["held"]
    assert held_out.archives == []
    assert held_out.config.absent == 0
    assert report == {
        "images": {"one.zip": {"stills": 3, "objects": 3, "skipped": 1}},
        "clips": 1,
        "frames": 3,
        "held_out": ["held"],
    }
    assert held_out[0]["visible"].all()


def test_without_pictures_clips_alone_are_learned_from(
    recipe: Read, tmp_path: Path, write_clip: WriteClip
) -> None:
    write_clip("kept", frames=3)
    training, _, report = open_sources(recipe('clips = "clips"\n' + LEAST), tmp_path)
    assert report["images"] == {}
    assert training[0]["search"].shape[0] == 2


def test_data_that_is_not_there(
    recipe: Read, tmp_path: Path, write_archive: WriteArchive, write_clip: WriteClip
) -> None:
    read = recipe('images = "images"\nclips = "clips"\nheld_out = ["held"]\n' + LEAST)
    with pytest.raises(DataError, match="holds no ZIP archive"):
        open_sources(read, tmp_path)
    write_archive("images/one.zip")
    with pytest.raises(DataError, match="holds no sequence"):
        open_sources(read, tmp_path)
    write_clip("kept", frames=2)
    with pytest.raises(DataError, match="held-out clips held are not in"):
        open_sources(read, tmp_path)
    shutil.rmtree(tmp_path / "clips")
