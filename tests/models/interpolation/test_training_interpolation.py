"""Training an interpolator: losses, a run that learns and resumes, recipes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framestate.errors import BundleError, DataError, OptionError
from framestate.models.interpolation import HybridInterpolator
from framestate.models.interpolation.losses import (
    FeatureLoss,
    charbonnier,
    edge_distance,
    flow_distance,
    laplacian_distance,
    laplacian_pyramid,
    read_features,
)
from framestate.models.interpolation.recipe import InterpolationRecipe
from framestate.models.interpolation.task import InterpolationTask, better_flow, make_frame
from framestate.models.interpolation.train import grown, thinned, train_interpolator
from framestate.models.plans import read_plan
from framestate.models.registry import load_weights
from framestate.models.tracking.recipe import TrackerRecipe
from framestate.models.training.mode import Mode
from framestate.plugins import eager_operators
from framestate.vision import VideoWriter
from safetensors.numpy import save_file
from torch import nn

RECIPES = Path(__file__).parents[3] / "models" / "recipes"
Build = Callable[..., HybridInterpolator]


def test_a_pyramid_adds_up_to_the_image() -> None:
    image = torch.rand(1, 3, 32, 64)
    bands = laplacian_pyramid(image, 3)
    whole = bands[-1]
    for band in reversed(bands[:-1]):
        whole = torch.nn.functional.interpolate(whole, scale_factor=2.0, mode="nearest") + band
    torch.testing.assert_close(whole, image)


@pytest.mark.parametrize("size", [32, 36, 37])
def test_losses_are_nothing_for_equal_images_alone(size: int) -> None:
    one, other = torch.rand(2, 1, 3, size, size)
    assert laplacian_distance(one, one) == 0
    assert laplacian_distance(one, other) > 0
    assert charbonnier(one, one) == pytest.approx(1e-3, rel=1e-4)
    assert charbonnier(one, other) > 0.1


def test_a_flow_that_is_not_known_is_not_taught() -> None:
    found, taught = torch.ones(2, 4, 3, 3), torch.zeros(2, 4, 3, 3)
    assert flow_distance(found, taught, torch.tensor([[1.0], [1.0]])) == 1
    assert flow_distance(found, taught, torch.tensor([[1.0], [0.0]])) == 1
    assert flow_distance(found, taught, torch.zeros(2, 1)) == 0


def test_a_teacher_counts_where_it_fits_better() -> None:
    torch.manual_seed(0)
    scene = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 10), size=(32, 72), mode="bicubic")
    small = [scene[..., 4 + step : 36 + step].contiguous() for step in (-4, 4, 0)]  # first, second, real
    right = torch.zeros(1, 4, 16, 16)
    right[:, 0], right[:, 2] = 2.0, -2.0  # by 4 pixels of level 4: 2 of level 8
    still = torch.zeros_like(right)
    inner = (slice(None), slice(None), slice(None), slice(4, 12))
    assert better_flow(right, still, small)[inner].mean() > 0.9
    assert better_flow(still, right, small)[inner].mean() < 0.1
    where = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(1, 4, 1, 1).expand_as(right)
    assert flow_distance(right, still, torch.ones(1, 1), where) == 1


def test_the_distance_of_edges_is_that_which_is_reported() -> None:
    from framestate.bench.perception import gmsd

    rng = np.random.default_rng(4)
    images = [
        np.kron(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)) for _ in "ab"
    ]
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in images]
    assert float(edge_distance(*tensors)) == pytest.approx(gmsd(images[0], images[1]), abs=1e-3)
    assert float(edge_distance(tensors[0], tensors[0])) < 1e-3
    made = tensors[0].clone().requires_grad_()
    edge_distance(made, tensors[1]).backward()
    assert made.grad is not None
    assert torch.isfinite(made.grad).all()


def test_perceptual_distance_teaches_what_was_made_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    loss = FeatureLoss(network, (1, 2))
    made, real = torch.rand(2, 1, 3, 12, 12)
    made.requires_grad_()
    real.requires_grad_()
    loss(made, real).backward()
    assert made.grad is not None
    assert real.grad is None
    assert all(parameter.grad is None for parameter in network.parameters())
    assert loss(real, real) == 0


def write_vgg(path: Path) -> Path:
    """Weights as torchvision names them, of two stages with few channels."""
    shapes = {0: (4, 3), 2: (4, 4), 5: (6, 4)}
    weights: dict[str, Any] = {"classifier.0.weight": np.zeros((2, 2), np.float32)}
    rng = np.random.default_rng(0)
    for place, (out, into) in shapes.items():
        weights[f"features.{place}.weight"] = rng.normal(size=(out, into, 3, 3)).astype(np.float32)
        weights[f"features.{place}.bias"] = np.zeros(out, np.float32)
    save_file(weights, path)
    return path


def test_features_are_those_of_a_vgg(tmp_path: Path) -> None:
    """Compared before the pooling and at the end, with ImageNet's mean and deviation."""
    loss = read_features(write_vgg(tmp_path / "vgg.safetensors"))
    kinds = [type(layer).__name__ for layer in loss.network]
    assert kinds == ["Standardised", "Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU"]
    assert loss.layers == (4, 7)
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert loss.network[0](grey).abs().max() == 0
    save_file({"features.3.weight": np.zeros((4, 3, 3, 3), np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="holds no features of a VGG"):
        read_features(tmp_path / "other.safetensors")


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


@pytest.mark.parametrize(
    ("table", "line", "problem"),
    [
        ("losses", "perceptual = 1.0", r"perceptual is 1.0 and does nothing.*give features"),
        ("", 'features = "vgg.safetensors"', "features is 'vgg.safetensors', and perceptual 0"),
        ("losses", "teacher = 0.0", "teacher_steps is 30 and teacher is not set"),
        ("samples", "before = true", "before is True and does nothing.*carries"),
        ("samples", "after_dropped = 0.5", "after_dropped is 0.5 and does nothing.*bend"),
        ("samples", "start = true", "samples say start or bend"),
        ("", "ratio = [2, 1]", r"ratio is \(2, 1\) and sets is not set"),
        ("", 'sets = ["vimeo:x"]', "videos is .*and sets takes its place"),
    ],
)
def test_an_option_that_does_nothing_is_refused(tmp_path: Path, table: str, line: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        recipe(tmp_path, **{table: line})


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


def recipe(folder: Path, **changes: str) -> InterpolationRecipe:
    """A recipe of a tiny model; ``changes`` are lines by table."""
    path = folder / "tiny.toml"
    tables = {
        "": 'task = "interpolation"\nname = "tiny"\nbatch = 2\nworkers = 0\n'
        'videos = ["clips"]\nheld_out = ["kept"]',
        "model": "channels = [4, 4, 8, 8]\nencoder_depth = [0, 1, 1, 0]\nhead_channels = 4\nstates = 4\n"
        'flow_width = [8, 8, 8]\nhidden = 2\nrefine = "quarter"\nstart_flow = "none"\n'
        "bend = false\ncorrelation_radius = 4",
        "samples": "" if "samples" in changes else "crops = [64]",
        "losses": "half_steps = 2\nteacher_steps = 30",
        "loop": ("" if "loop" in changes else "steps = 4\n")
        + "warmup_steps = 1\nlog_every = 1\nsave_every = 2\nlearning_rate = 2e-3\nema = 0.5",
    }
    tables |= {name: f"{tables.get(name, '')}\n{text}" for name, text in changes.items()}
    path.write_text("\n".join(f"[{name}]\n{text}" if name else text for name, text in tables.items()))
    found = read_plan(path)
    assert isinstance(found, InterpolationRecipe)
    return found


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


def test_layers_that_a_start_lacks_begin_at_zero(build: Build) -> None:
    shallow, deep = build(encoder_depth=(0, 1, 0, 0)), build(encoder_depth=(1, 2, 0, 1))
    weights = {name: tensor.numpy() for name, tensor in shallow.state_dict().items()}
    found = grown(weights, deep)
    assert set(found) == set(deep.state_dict())
    assert all(np.array_equal(found[name], array) for name, array in weights.items())
    added = set(found) - set(weights)
    assert len(added) == 6
    assert not any(found[name].any() for name in added)
    missing = grown({name: array for name, array in weights.items() if "down" not in name}, deep)
    assert set(deep.state_dict()) - set(missing) == {"down.weight", "down.bias"}


def test_layers_left_out_of_a_start(build: Build) -> None:
    deep, shallow = build(encoder_depth=(0, 3, 1, 0)), build(encoder_depth=(0, 1, 1, 0))
    weights = {name: tensor.numpy() for name, tensor in deep.state_dict().items()}
    found = thinned(weights, ("encoder.stages.1.1", "encoder.stages.1.2"))
    load_weights(shallow, found)
    kept = weights["encoder.stages.1.3.body.0.weight"]
    np.testing.assert_array_equal(found["encoder.stages.1.1.body.0.weight"], kept)
    np.testing.assert_array_equal(
        found["encoder.stages.2.1.body.0.bias"], weights["encoder.stages.2.1.body.0.bias"]
    )


def test_a_layer_named_twice_goes_once(build: Build) -> None:
    weights = {
        name: tensor.numpy() for name, tensor in build(encoder_depth=(0, 3, 1, 0)).state_dict().items()
    }
    once, twice = thinned(weights, ("encoder.stages.1.1",)), thinned(weights, ("encoder.stages.1.1",) * 2)
    assert once.keys() == twice.keys()


@pytest.mark.parametrize("layer", ["encoder.stages.1.9", "encoder", "down", ""])
def test_a_layer_to_leave_out_must_be_there(build: Build, layer: str) -> None:
    weights = {name: tensor.numpy() for name, tensor in build().state_dict().items()}
    with pytest.raises(OptionError, match="without names"):
        thinned(weights, (layer,))


def test_frames_of_any_size(build: Build) -> None:
    model = build()
    first, second = np.random.default_rng(0).integers(0, 256, (2, 45, 70, 3), np.uint8)
    made = make_frame(model, first, second)
    assert made.shape == (45, 70, 3)
    assert made.dtype == np.uint8


@pytest.mark.parametrize("path", sorted(RECIPES.glob("interp-*.toml")), ids=lambda path: path.stem)
def test_the_recipes_that_come_along(path: Path) -> None:
    plan = read_plan(path)
    assert isinstance(plan, InterpolationRecipe)
    parts = ("shallow", "own-flow", "deep", "straight", "edges")
    assert plan.name in (
        "interp-nano",
        *(f"interp-nano-{part}" for part in parts),
        "interp-base",
        "interp-modes",
    )


@pytest.mark.parametrize(
    ("start", "end"),
    [("shallow", "own-flow"), ("own-flow", "deep"), ("deep", "straight"), ("straight", "")],
)
def test_each_recipe_goes_on_from_the_one_before(start: str, end: str) -> None:
    before, after = (
        read_plan(RECIPES / f"interp-nano{f'-{name}' if name else ''}.toml") for name in (start, end)
    )
    assert isinstance(before, InterpolationRecipe)
    assert isinstance(after, InterpolationRecipe)
    old, new = (HybridInterpolator(plan.model, eager_operators()) for plan in (before, after))
    weights = {name: tensor.numpy() for name, tensor in old.state_dict().items()}
    load_weights(new, grown(thinned(weights, after.without), new))


def test_a_trackers_recipe_is_none_of_these() -> None:
    assert isinstance(read_plan(RECIPES / "tracker-nano.toml"), TrackerRecipe)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"model": 'size = "huge"'}, OptionError, "size is 'huge'"),
        ({"model": "layers = 3"}, OptionError, "unknown model option layers"),
        ({"loop": "speed = 3"}, OptionError, "unknown loop option speed"),
        ({"losses": 'teacher = "x"'}, OptionError, "losses option teacher"),
        ({"": "surprise = 1"}, OptionError, "unknown recipe option surprise"),
        ({"": "threads = 0"}, OptionError, "threads 0"),
        ({"": 'without = ["down"]'}, OptionError, "start is not set"),
        ({"": "x ="}, DataError, "cannot be read"),
    ],
)
def test_recipes_with_a_mistake(tmp_path: Path, changes: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        recipe(tmp_path, **changes)


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


def test_a_task_measures_nothing_without_clips(build: Build) -> None:
    task = InterpolationTask(build(), None, [])  # type: ignore[arg-type]
    assert task.validate(task.model) == {}


def test_a_model_grows_a_start_and_gives_what_it_gave(build: Build) -> None:
    small, large = build(), build(start_flow="dis", refine="patch", refine_width=6)
    weights = {name: tensor.numpy() for name, tensor in small.state_dict().items()}
    fresh = HybridInterpolator(large.config, eager_operators()).eval()
    load_weights(fresh, grown(weights, fresh))
    assert fresh.choice is not None
    with torch.no_grad():
        bias = fresh.choice.head.bias
        assert bias is not None
        bias[4] = -50.0
        frames = torch.rand(2, 1, 3, 64, 96)
        start, t = torch.randn(1, 4, 8, 12), torch.full((1, 1), 0.5)
        made, expected = fresh(*frames, t, start), small(*frames, t)
    assert (made - expected).abs().mean() < 0.01  # the mask is enlarged before the sigmoid, not after it


def test_a_model_that_learns_to_bend_gives_what_it_gave_where_nothing_bends(build: Build) -> None:
    straight, bent = build(start_flow="dis"), build(start_flow="dis", bend=True)
    load_weights(bent, grown({name: value.numpy() for name, value in straight.state_dict().items()}, bent))
    frames, start, t = torch.rand(2, 1, 3, 64, 96), torch.randn(1, 4, 8, 12), torch.full((1, 1), 0.5)
    with torch.no_grad():
        expected = straight(*frames, t, start)
        torch.testing.assert_close(bent(*frames, t, start, torch.zeros(1, 4, 8, 12)), expected)
        torch.testing.assert_close(bent(*frames, t, start), expected)
        assert (bent(*frames, t, start, torch.full((1, 4, 8, 12), 0.5)) - expected).abs().max() > 1e-3


def test_another_reach_keeps_the_middle(build: Build) -> None:
    far, near = build(correlation_radius=3), build(correlation_radius=1)
    with torch.no_grad():
        entry = far.scale16.entry[0]
        assert isinstance(entry, nn.Conv2d)
        beyond = torch.ones(7, 7, dtype=torch.bool)
        beyond[2:5, 2:5] = False
        entry.weight[:, -2 * 49 :].unflatten(1, (2, 49))[:, :, beyond.flatten()] = 0  # it sees nothing there
        load_weights(near, grown({name: value.numpy() for name, value in far.state_dict().items()}, near))
        frames, t = torch.rand(2, 1, 3, 64, 96), torch.full((1, 1), 0.5)
        torch.testing.assert_close(near(*frames, t), far(*frames, t))
        load_weights(far, grown({name: value.numpy() for name, value in near.state_dict().items()}, far))
        torch.testing.assert_close(near(*frames, t), far(*frames, t))  # what was never seen adds nothing


def test_weights_of_another_model_are_refused(build: Build) -> None:
    weights = {name: tensor.numpy() for name, tensor in build().state_dict().items()}
    del weights["scale16.entry.0.weight"]
    model = build(start_flow="dis")
    with pytest.raises(BundleError, match=r"missing: scale16\.entry"):
        load_weights(model, grown(weights, model))


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


def test_patches_are_learned_at_full_size(tmp_path: Path) -> None:
    plan = recipe(tmp_path)
    model = dataclasses.replace(plan.model, refine="patch")
    with pytest.raises(OptionError, match="half_steps is 2"):
        dataclasses.replace(plan, model=model)
