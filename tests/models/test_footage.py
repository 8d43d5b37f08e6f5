"""Training data out of the public data sets: drawn by ratio, by seed, with broken pictures counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from framestate.errors import DataError, OptionError
from framestate.models.datasets import KINDS, Footage, FootageMix, open_footage
from framestate.models.datasets.footage import SequenceSet
from framestate.models.datasets.opening import open_one
from framestate.models.plans import read_plan
from framestate.models.tracking.distil import ViewSource
from framestate.models.tracking.poses import SampleConfig
from framestate.models.tracking.recipe import TrackerRecipe, open_sources
from framestate.models.tracking.samples import SampleSource
from framestate.models.training.loaders import batches_of
from torch.utils.data import Dataset

WriteSet = Callable[[str], Path]
REAL = SampleConfig(
    template_size=32, search_size=64, searches=2, share_pasted=0.0, share_in_place=0.0, share_regions=0.0
)
TRACKING = sorted(set(KINDS) - {"clips", "synthetic"})


def opened(write: WriteSet, *kinds: str, ratio: tuple[float, ...] = ()) -> FootageMix:
    roots = {kind: write(kind) for kind in kinds}
    data = next(iter(roots.values())).parent
    return open_footage(data, [f"{kind}:{root.name}" for kind, root in roots.items()], ratio)[0]


@pytest.mark.parametrize("kind", TRACKING)
def test_samples_come_from_every_data_set(tiny_set: WriteSet, kind: str) -> None:
    source = SampleSource(REAL, [], [], 3, opened(tiny_set, kind))
    sample = source[5]
    again = SampleSource(REAL, [], [], 3, source.mix)[5]
    assert sample["template"].shape == (32, 32, 3)
    assert sample["search"].shape == (2, 64, 64, 3)
    for name, value in sample.items():
        np.testing.assert_array_equal(value, again[name])
    # the box of each search crop is around the bright square
    for search, (x, y, w, h) in zip(sample["search"], sample["boxes"].round().astype(int), strict=True):
        left, top = max(x, 0), max(y, 0)
        inside = search[top : y + h, left : x + w]
        assert inside.size == 0 or inside.mean() > search.mean()


def test_sets_are_drawn_by_their_ratio(tiny_set: WriteSet) -> None:
    mix = opened(tiny_set, "lasot", "coco", "visdrone", ratio=(3, 1, 0))
    rng = np.random.default_rng(0)
    names = [mix.draw(rng).name.split("/")[0] for _ in range(400)]
    assert names.count("visdrone") == 0
    assert 0.68 < names.count("lasot") / 400 < 0.82


def test_training_keeps_to_the_training_part(tiny_set: WriteSet) -> None:
    roots = [tiny_set(kind) for kind in ("got10k", "lasot", "trackingnet")]
    data = roots[0].parent
    mix, report = open_footage(data, ["got10k:got10k", "lasot:lasot", "trackingnet:trackingnet"])
    assert report["sets"] == {"got10k:got10k": 2, "lasot:lasot": 1, "trackingnet:trackingnet": 2}
    rng = np.random.default_rng(1)
    names = {mix.draw(rng).name for _ in range(60)}
    assert names == {
        "got10k/GOT-10k_Train_000001",
        "got10k/GOT-10k_Train_000002",
        "lasot/airplane-2",
        "trackingnet/train_0-video_1",
        "trackingnet/train_11-video_1",
    }
    held_out, _ = open_footage(data, ["got10k/val:got10k"])
    assert held_out.draw(rng).name.startswith("got10k/GOT-10k_Val")


def test_hidden_frames_are_not_learned_from(tiny_set: WriteSet) -> None:
    footage = opened(tiny_set, "got10k").draw(np.random.default_rng(0))
    assert footage.present.tolist() == [0, 1, 4, 5, 6, 7]


def test_coco_objects_are_footage_of_one_frame(tiny_set: WriteSet) -> None:
    mix = opened(tiny_set, "coco")
    assert len(mix.sets[0]) == 3  # neither the crowd nor the speck
    footage = mix.draw(np.random.default_rng(0))
    assert footage.present.tolist() == [0]
    x, y, w, h = footage.boxes[0].astype(int)
    assert footage.pixels(0)[y : y + h, x : x + w].mean() > 120


def test_a_stretch_goes_on_in_time(tiny_set: WriteSet) -> None:
    mix = opened(tiny_set, "visdrone")
    rng = np.random.default_rng(2)
    for _ in range(20):
        stretch = mix.stretch(rng, 4, most_step=2)
        steps = np.diff(stretch.frames)
        assert len(stretch.frames) == 4
        assert len(set(steps.tolist())) == 1
        assert steps[0] in (1, 2)
        assert stretch.boxes.shape == (4, 4)
        assert np.isfinite(stretch.boxes[0]).all()
        assert stretch.pixels(3).shape == (64, 96, 3)
    longer = mix.stretch(rng, 12)
    assert longer.frames == (*range(8), 7, 7, 7, 7)


def test_damaged_pictures_are_counted_and_others_drawn(tiny_set: WriteSet) -> None:
    mix = opened(tiny_set, "dtb70")
    root = mix.sets[0].sequences[0].folder  # type: ignore[attr-defined]
    for path in root.glob("*.jpg"):
        path.write_bytes(b"no image")
    source = SampleSource(REAL, [], [], 0, mix)
    for index in range(8):
        assert source[index]["search"].any()
    assert mix.skipped > 0
    for path in (root.parent.parent / "BMX2" / "img").glob("*.jpg"):
        path.unlink()
    with pytest.raises(DataError, match=r"do not decode|is usable"):
        source[9]


class Pieces(Dataset[dict[str, torch.Tensor]]):
    def __init__(self, source: SampleSource) -> None:
        self.source = source

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if index >= 8:
            raise IndexError(index)
        return {"template": torch.from_numpy(self.source[index]["template"])}


def test_loader_processes_count_too(tiny_set: WriteSet) -> None:
    mix = opened(tiny_set, "dtb70")
    for path in mix.sets[0].sequences[0].folder.glob("*.jpg"):  # type: ignore[attr-defined]
        path.write_bytes(b"no image")
    batches = list(batches_of(Pieces(SampleSource(REAL, [], [], 0, mix)), 4, 1))
    assert len(batches) == 2
    assert mix.skipped > 0


def test_views_for_a_teacher_come_from_data_sets(tiny_set: WriteSet) -> None:
    mix = opened(tiny_set, "coco")
    source = ViewSource((), (), 48, 0, mix)
    assert source[0].shape == (48, 48, 3)
    np.testing.assert_array_equal(source[3], source[3])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("vot:DIR", "unknown"),
        ("lasot", "unknown"),
        ("clips/val:DIR", "unknown"),
        ("lasot/half:lasot", "part"),
    ],
)
def test_unknown_sets_are_refused(tiny_set: WriteSet, entry: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        open_footage(tiny_set("lasot").parent, [entry])


@pytest.mark.parametrize("ratio", [(1, 2), (0,), (-1,)])
def test_a_ratio_that_does_not_fit_is_refused(tiny_set: WriteSet, ratio: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="ratio"):
        opened(tiny_set, "visdrone", ratio=ratio)


def test_coco_says_what_is_wrong(tiny_set: WriteSet) -> None:
    root = tiny_set("coco")
    listing = root / "annotations" / "instances_train2017.json"
    for content, message in (
        ("{", "cannot be read"),
        ('{"images": []}', "annotations"),
        ('{"images": [], "annotations": []}', "no object"),
        ('{"images": [{"id": 1, "file_name": "../x.jpg"}], "annotations": []}', "x.jpg"),
    ):
        listing.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            open_footage(root.parent, ["coco:coco"])
    listing.unlink()
    with pytest.raises(DataError, match="instances_train2017"):
        open_footage(root.parent, ["coco:coco"])


def test_in_place_of_an_absent_target_is_that_of_another_sequence(tiny_set: WriteSet) -> None:
    config = replace(REAL, absent=1.0, absent_elsewhere=1.0)
    mix = opened(tiny_set, "lasot", "coco")
    drawn: list[str] = []
    draw = mix.draw

    def noted(rng: np.random.Generator) -> Footage:
        drawn.append((footage := draw(rng)).name)
        return footage

    with patch.object(mix, "draw", noted):
        for index in range(20):
            drawn.clear()
            sample = SampleSource(config, [], [], 3, mix)[index]
            assert sample["visible"].sum() == 1
            first, *_, other = drawn
            assert other != first
    one = mix.sets[0]
    assert isinstance(one, SequenceSet)
    alone = FootageMix([replace(one, sequences=one.sequences[:1])])
    assert SampleSource(config, [], [], 3, alone)[0]["visible"].all()  # there is nothing else to show


def test_rendered_sequences_need_no_files(tmp_path: Path) -> None:
    mix, report = open_footage(tmp_path, ["synthetic:3"])
    assert report["sets"] == {"synthetic:3": 3}
    one = open_one(tmp_path, "synthetic:3").footage(1)
    again = open_one(tmp_path, "synthetic:9").footage(1)
    assert one is not None
    assert again is not None
    assert one.pixels(5).shape == (240, 320, 3)
    assert np.array_equal(one.pixels(5), again.pixels(5))
    assert np.isnan(one.boxes).any(1).sum() + len(one.present) == len(one.boxes)
    config = SampleConfig(share_pasted=0.0, share_in_place=0.0, share_regions=0.0)
    sample = SampleSource(config, [], [], 3, mix)[0]
    assert sample["search"].shape == (2, 192, 192, 3)
    for entry, problem in (("synthetic:many", "says no number"), ("synthetic:0", "at least one")):
        with pytest.raises(OptionError, match=problem):
            open_footage(tmp_path, [entry])


def test_a_recipe_names_its_sets(tiny_set: WriteSet, checkout: Path) -> None:
    data = tiny_set("got10k").parent
    tiny_set("coco")
    shipped = read_plan(checkout / "models/recipes/tracker-nano.toml")
    assert isinstance(shipped, TrackerRecipe)
    recipe = replace(
        shipped,
        sets=("got10k:got10k", "coco:coco"),
        ratio=(2.0, 1.0),
        held_out_sets=("got10k/val:got10k",),
        images="",
        more_clips=(),
        held_out=(),
    )
    training, held_out, report = open_sources(recipe, data)
    assert report["sets"] == {"got10k:got10k": 2, "coco:coco": 3}
    assert report["ratio"] == [2.0, 1.0]
    assert training[0]["search"].shape[0] == recipe.samples.searches
    assert held_out is not None
    assert held_out[0]["visible"].all()
