"""A public tracker in two ONNX files runs on this engine: adopted, batched, followed, saved and restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from framestate.bundles import Bundle, load_bundle
from framestate.engine import Engine
from framestate.errors import BundleError, ExportError, OptionError, ParityError, RuntimeUnavailableError
from framestate.export.onnx_surgery import refitted
from framestate.export.siamese import NANOTRACK_OPTIONS, adopt_siamese, run
from framestate.runtimes import open_runtime
from framestate.vision import Box, Frame, normalise
from framestate.vision.synthetic import demo_clip

MakePair = Callable[..., tuple[Path, Path]]
SIZES: dict[str, Any] = {"template_size": 32, "search_size": 64}


@pytest.fixture
def adopted(siamese_pair: MakePair, tmp_path: Path) -> Bundle:
    return adopt_siamese(
        *siamese_pair(), tmp_path / "out", name="pair", provenance={"source": "a test"}, **SIZES,
        preprocess={"stride": 8},
    )  # fmt: skip


@pytest.fixture
def engine(adopted: Bundle) -> Iterator[Engine]:
    with Engine.load(adopted, threads=1, capacity=3) as opened:
        yield opened
        opened.slots.check()


def clip(seed: int, frames: int = 12) -> list[tuple[Frame, Box]]:
    rendered = enumerate(demo_clip(seed, frames, (160, 120)))
    return [(Frame(image, index, Fraction(1, 25), index), box) for index, (image, box, _) in rendered]


def answer(track: Any) -> Any:
    return track.box.xywh, track.score, track.status


def test_what_was_adopted(adopted: Bundle) -> None:
    assert adopted.spec.architecture == "siamese_onnx"
    assert [(one.name, one.shape) for one in adopted.spec.state] == [("template.0", ("batch", 16, 6))]
    assert set(adopted.files) == {"init.onnx", "step.onnx", "weights.data"}
    assert adopted.provenance == {"source": "a test"}
    parity: Any = adopted.parity["onnx"]
    assert parity["max_rel"] <= 1e-6 < parity["tolerance"]
    assert load_bundle(adopted.path).spec == adopted.spec


def test_the_backbone_is_stored_once(adopted: Bundle, siamese_pair: MakePair) -> None:
    initial, step = (
        onnx.load(adopted.file(f"{name}.onnx"), load_external_data=False).graph for name in ("init", "step")
    )
    places = [
        {
            entry.value
            for tensor in graph.initializer
            for entry in tensor.external_data
            if entry.key == "offset"
        }
        for graph in (initial, step)
    ]
    assert places[0]
    assert places[0] <= places[1]


def test_every_batch_gives_what_the_rows_give(adopted: Bundle) -> None:
    runtime = open_runtime(adopted, "onnx", threads=1)
    rng = np.random.default_rng(1)
    template, search = (rng.uniform(0, 255, (5, 3, side, side)).astype(np.float32) for side in (32, 64))
    _, state = runtime.call("init", {"template": template}, None)
    together, _ = runtime.call("step", {"search": search}, state)
    for row in range(5):
        _, state = runtime.call("init", {"template": template[row : row + 1]}, None)
        alone, _ = runtime.call("step", {"search": search[row : row + 1]}, state)
        for name, value in alone.items():
            assert np.allclose(value[0], together[name][row], rtol=1e-5, atol=1e-6)


def made_once(adopted: Bundle, states: int) -> None:
    """The states are of the template alone, and ``step`` makes nothing more of the template alone."""
    graph = onnx.load(adopted.file("step.onnx"), load_external_data=False).graph
    assert [tensor.name for tensor in adopted.spec.state] == [f"template.{place}" for place in range(states)]
    known = {f"past_state.template.{place}" for place in range(states)}
    fixed = {tensor.name for tensor in graph.initializer}
    alone = [one.op_type for one in graph.node if known & set(one.input) and set(one.input) <= known | fixed]
    assert not alone


def test_a_head_fits_search_features_of_another_side(siamese_pair: MakePair, tmp_path: Path) -> None:
    """Each place is answered as it is among fewer others."""
    pair = siamese_pair()
    brain = onnx.load(pair[1])
    rng = np.random.default_rng(0)
    key, seen = (rng.normal(size=(1, 6, side, side)).astype(np.float32) for side in (4, 10))
    wide, near = run(refitted(brain, 10), [key, seen]), run(brain, [key, seen[..., 1:9, 1:9]])
    for one, other in zip(wide, near, strict=True):
        assert one[..., 1:9, 1:9] == pytest.approx(other, abs=1e-6)
    sizes: dict[str, Any] = {**SIZES, "search_size": 80}
    adopted = adopt_siamese(
        *pair, tmp_path / "out", name="pair", provenance={}, **sizes, preprocess={"stride": 8}
    )
    assert [tensor.shape[2:] for tensor in adopted.spec.function("step").outputs] == [(10, 10), (10, 10)]


@pytest.mark.parametrize(("speed", "looks"), [(9.0, ["near"] * 3), (1e-9, ["near", "step", "step"])])
def test_a_slow_target_is_looked_for_nearby(
    siamese_pair: MakePair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: float, looks: list[str]
) -> None:
    """By `near`, of the same state and scale, and a fast one by `step`; at first nothing has moved."""
    called: list[str] = []
    adopted = adopt_siamese(
        *siamese_pair(), tmp_path / "out", name="pair", provenance={}, **SIZES, preprocess={"stride": 8},
        near_size=48, options={"near_speed": speed, "sure": 0.0, "seen": 0.0, "override": 0.0},
    )  # fmt: skip
    near, step = adopted.spec.function("near"), adopted.spec.function("step")
    assert (near.inputs[0].shape[2:], near.outputs[0].shape[2:]) == ((48, 48), (6, 6))
    assert near.reads_state == step.reads_state
    frames = clip(4, 4)
    with Engine.load(adopted, threads=1, capacity=1) as engine:
        call = engine.runtime.call

        def counted(function: str, *rest: Any) -> Any:
            called.append(function)
            return call(function, *rest)

        monkeypatch.setattr(engine.runtime, "call", counted)
        with engine.open(frames[0][0], box=frames[0][1]) as target:
            for frame, _ in frames[1:]:
                target.push(frame)
    assert called == ["init", *looks]


def test_a_look_of_another_tracker(siamese_pair: MakePair, tmp_path: Path) -> None:
    """It sees what it saw there, and with it a target is followed, saved and gone on with, bit for bit."""
    lender = load_bundle("tracker-nano")
    adopted = adopt_siamese(
        *siamese_pair(), tmp_path / "out", name="pair", provenance={}, **SIZES, preprocess={"stride": 8},
        options={"look_every": 2}, look=lender,
    )  # fmt: skip
    view = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), np.uint8)
    own, other = (open_runtime(bundle, "onnx", threads=1) for bundle in (adopted, lender))
    raw = view.transpose(0, 3, 1, 2).astype(np.float32)
    found, _ = own.call("look", {"crop": raw}, None)
    expected, _ = other.call("look", {"crop": normalise(view)}, None)
    assert found["look"] == pytest.approx(expected["look"], abs=1e-5)
    frames = clip(4)
    with Engine.load(adopted, threads=1, capacity=2) as engine:
        target = engine.open(frames[0][0], box=frames[0][1])
        for frame, _ in frames[1:5]:
            target.push(frame)
        saved = target.snapshot()
        rest = [answer(target.push(frame)) for frame, _ in frames[5:]]
        target.close()
        resumed = engine.restore(saved)
        assert [answer(resumed.push(frame)) for frame, _ in frames[5:]] == rest
        assert resumed.memory.looks is not None
    with pytest.raises(OptionError, match="has no look"):
        adopt_siamese(
            *siamese_pair(),
            tmp_path / "no",
            name="pair",
            provenance={},
            **SIZES,
            look=load_bundle("interp-nano"),
        )


def test_a_template_that_is_a_kernel_is_opened_for_batches(siamese_pair: MakePair, tmp_path: Path) -> None:
    pair = siamese_pair(kernel_made=True)
    adopted = adopt_siamese(
        *pair, tmp_path / "out", name="pair", provenance={}, **SIZES, preprocess={"stride": 8}
    )
    parity: Any = adopted.parity["onnx"]
    assert parity["rows"] == 2
    assert parity["max_rel"] <= 1e-6
    test_every_batch_gives_what_the_rows_give(adopted)
    made_once(adopted, states=3)  # the kernel, what the places are matched with, and its offset
    with Engine.load(adopted, threads=1, capacity=3) as opened:
        test_interleaved_sessions_give_what_solo_runs_give(opened)


def test_interleaved_sessions_give_what_solo_runs_give(engine: Engine) -> None:
    clips = [clip(seed) for seed in range(3)]
    alone = []
    for frames in clips:
        with engine.open(frames[0][0], box=frames[0][1]) as target:
            alone.append([answer(target.push(frame)) for frame, _ in frames[1:]])
    targets = [engine.open(frames[0][0], box=frames[0][1]) for frames in clips]
    together: list[list[Any]] = [[], [], []]
    for index in range(1, len(clips[0])):
        for who in (index % 3, (index + 1) % 3, (index + 2) % 3):
            together[who].append(answer(targets[who].push(clips[who][index][0])))
    assert together == alone
    assert len({box for one in alone for box, _, _ in one}) > 10  # it does follow something
    for target in targets:
        target.close()


def test_the_state_is_the_template_and_moves_by_its_row(engine: Engine, adopted: Bundle) -> None:
    """A session that is carried into another engine by its row of state goes on alike."""
    frames = clip(4)
    with engine.open(frames[0][0], box=frames[0][1]) as target:
        assert engine.store is not None
        row = engine.store.save_row(target.slot)
        (key,) = row
        expected = answer(target.push(frames[1][0]))
        after = engine.store.save_row(target.slot)
        assert np.array_equal(after[key], row[key])  # step reads it only
    with Engine.load(adopted, threads=1, capacity=2) as other:
        other.open(clip(5)[0][0], box=clip(5)[0][1])
        moved = other.open(frames[0][0], box=frames[0][1])
        assert other.store is not None
        other.store.clear(moved.slot)
        assert answer(moved.push(frames[1][0])) != expected
        moved.close()
        moved = other.open(frames[0][0], box=frames[0][1])
        assert other.store is not None
        other.store.clear(moved.slot)
        other.store.load_row(moved.slot, row)
        assert answer(moved.push(frames[1][0])) == expected


def test_there_is_no_eager_form_of_it(adopted: Bundle) -> None:
    assert open_runtime(adopted, threads=1).name == "onnx"
    with pytest.raises(RuntimeUnavailableError, match=r"no weights.safetensors.*--runtime onnx"):
        open_runtime(adopted, "eager")


def test_settings_are_checked(siamese_pair: MakePair, tmp_path: Path) -> None:
    pair, out = siamese_pair(), tmp_path / "out"
    with pytest.raises(OptionError, match="known options"):
        adopt_siamese(*pair, out, name="pair", provenance={}, **SIZES, options={"windw": 0.4})
    made = adopt_siamese(*pair, out, name="pair", provenance={}, **SIZES, options={"window": 0.4})
    assert made.spec.preprocess["options"] == {**NANOTRACK_OPTIONS, "window": 0.4}
    with pytest.raises(BundleError, match="exists already"):
        adopt_siamese(*pair, out, name="pair", provenance={}, **SIZES)


def test_rows_that_mix_are_found_out(siamese_pair: MakePair, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=r"differ from the files .* in a batch of 2.*no bundle was written"):
        adopt_siamese(*siamese_pair(mixing=True), tmp_path / "out", name="pair", provenance={}, **SIZES)
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_pair(siamese_pair: MakePair, tmp_path: Path) -> None:
    backbone, head = siamese_pair()
    text = tmp_path / "text.onnx"
    text.write_text("no graph")
    out = tmp_path / "out"
    for pair, words in (
        ((head, backbone), r"2 inputs and 2 outputs; 1 and 1 are needed"),
        ((backbone, backbone), r"1 inputs and 1 outputs; 2 and 2 are needed"),
        ((text, head), "text.onnx cannot be read as ONNX"),
        ((tmp_path / "nowhere.onnx", head), "nowhere.onnx cannot be read"),
    ):
        with pytest.raises(ExportError, match=words):
            adopt_siamese(*pair, out, name="pair", provenance={}, **SIZES)
    for sizes, words in (
        ({"template_size": 40}, "backbone and head together"),
        ({"search_size": 80}, "half a cell"),
    ):
        with pytest.raises(ExportError, match=words):
            adopt_siamese(backbone, head, out, name="pair", provenance={}, **{**SIZES, **sizes})
    swapped = onnx.load(head)
    first, second = swapped.graph.output
    outputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in (second, first)]
    del swapped.graph.output[:]
    swapped.graph.output.extend(outputs)
    onnx.save(swapped, tmp_path / "swapped.onnx")
    with pytest.raises(ExportError, match=r"'classes' has shape \('batch', 4, 8, 8\).*class logits first"):
        adopt_siamese(backbone, tmp_path / "swapped.onnx", out, name="pair", provenance={}, **SIZES)
    assert not out.exists()
