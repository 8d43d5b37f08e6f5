"""Recurrent ONNX files of all kinds, adopted: bit for bit what the file gives frame by frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from framestate.engine import Engine
from framestate.engine.lanes import Lanes
from framestate.errors import (
    OptionError,
)
from framestate.export.adopt_graphs import plain_name
from framestate.runtimes import open_runtime
from framestate.vision import Frame
from framestate.vision.synthetic import demo_clip

from ..tiny_recurrent import (
    node,
    write_fading,
    write_graph,
    write_gru,
    write_matting,
    write_total,
)
from .adopting import Array, adopted


def clip(frames: int, size: tuple[int, int] = (96, 64)) -> list[Frame]:
    images = enumerate(demo_clip(3, frames, size))
    return [Frame(image, index, Fraction(1, 25), index) for index, (image, _, _) in images]


def by_hand(path: Path, frames: list[Frame], state: dict[str, Array], pairs: dict[str, str]) -> list[Any]:
    """What the file gives on plain ONNX Runtime, fed by hand: pictures in [0, 1], channels first."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    image = next(one.name for one in session.get_inputs() if one.name not in pairs)
    made = []
    for frame in frames:
        seen = (frame.image * np.float32(1 / 255)).astype(np.float32).transpose(2, 0, 1)[None]
        found = dict(zip(names, session.run(names, {image: seen, **state}), strict=True))
        state = {inside: found[outside] for inside, outside in pairs.items()}
        made.append(found)
    return made


def test_n_steps_are_the_files_bit_for_bit(tmp_path: Path) -> None:
    """Fed by hand from the file's own frames, so that the proof itself is proven."""
    path = write_fading(tmp_path / "fading.onnx")
    bundle = adopted(path, states={"mean_in": "mean_out"}, outputs={"mean_out": "picture"})
    assert bundle.spec.task == "stream"
    assert bundle.parity["onnx"] == {
        "against": "plain ONNX Runtime", "frames": 4, "max_abs": 0.0, "passed": True, "rows": 2,
    }  # fmt: skip
    frames = clip(6)
    zeros = {"mean_in": np.zeros((1, 3, 64, 96), np.float32)}
    expected = by_hand(path, frames, zeros, {"mean_in": "mean_out"})
    with Engine.load(bundle, threads=1) as engine, engine.open() as session:
        for frame, found in zip(frames, expected, strict=True):
            answer = session.push(frame)
            assert np.array_equal(answer.tensors["far"], found["far"][0])
            assert np.array_equal(answer.tensors["mean_out"], found["mean_out"][0])
            assert answer.pictures["mean_out"].shape == frame.image.shape


def test_two_sessions_share_a_batch_and_begin_as_they_should(tmp_path: Path) -> None:
    """An ``init`` has no inputs to tell how many it is for, so it is never one call for several."""
    path = write_gru(tmp_path / "gru.onnx")
    bundle = adopted(path, states={"h": "h_out"}, initial={"h": 0.5})
    assert bundle.spec.functions["init"].inputs == ()
    assert [one.shape for one in bundle.spec.state] == [("batch", 1, 8)]
    frames = clip(3)
    alone, together = [], []
    with Engine.load(bundle, threads=1) as engine, engine.open() as session:
        alone = [session.push(frame).tensors["score"] for frame in frames]
    runtime = open_runtime(bundle, "onnx", device="cpu", threads=1)
    with Engine(runtime, lanes=Lanes(batched=True), capacity=4) as engine:
        sessions = [engine.open() for _ in range(3)]
        engine.service.start()
        for frame in frames:
            futures = [session.submit_nowait(frame) for session in sessions]
            together.append([future.result(30).tensors["score"] for future in futures])
    for one, several in zip(alone, together, strict=True):
        for other in several:
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 96), None])
def test_a_state_that_begins_as_ones_dimensions(tmp_path: Path, size: tuple[int, int] | None) -> None:
    """Robust Video Matting's: its shape is the one that comes out, and zeros of it give the same."""
    path = write_matting(tmp_path / "matting.onnx")
    options = {"states": {"r1i": "r1o"}, "inputs": {"ratio": 0.5}, "size": size}
    bundle = adopted(path, outputs={"fgr": "picture", "pha": "mask"}, **options)
    (state,) = bundle.spec.state
    assert state.shape == (("batch", 3, 32, 48) if size else ("batch", 3, "height/2", "width/2"))
    with Engine.load(bundle, threads=1) as engine, engine.open() as session:
        answer = [session.push(frame) for frame in clip(2, (75, 65))][-1]  # no multiple of two
        assert set(answer.pictures) == {"fgr", "pha"}
        assert answer.pictures["pha"].shape == (65, 75, 3)


def test_states_of_every_form(tmp_path: Path) -> None:
    """The batch on another axis, a scalar, names that no bundle has, rows that do not go together."""
    gru = adopted(write_gru(tmp_path / "gru.onnx"), states={"h": "h_out"}, outputs={"h_out": "tensor"})
    assert gru.parity["onnx"]["rows"] == 2  # type: ignore[index, call-overload]
    assert {one.name: one.shape for one in gru.spec.functions["step"].outputs} == {
        "score": ("batch", 1), "h_out": ("batch", 1, 8),
    }  # fmt: skip
    single = adopted(write_gru(tmp_path / "one.onnx", batch=1), states={"h": "h_out"})
    assert single.parity["onnx"]["rows"] == 1  # type: ignore[index, call-overload]
    path = write_total(tmp_path / "total.onnx")
    total = adopted(path, states={"total:0": "total/out"}, initial={"total:0": 3.0})
    assert [one.name for one in total.spec.state] == ["total_0"]
    frames = clip(3)
    with Engine.load(total, threads=1) as engine, engine.open() as session:
        levels = [float(session.push(frame).tensors["level"]) for frame in frames]
    assert 3 < levels[0] < levels[1] < levels[2] < 6


def test_initial_values_from_a_file(tmp_path: Path) -> None:
    path = write_gru(tmp_path / "gru.onnx")
    start = np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 1, 8)
    np.save(tmp_path / "h.npy", start)
    bundle = adopted(path, states={"h": "h_out"}, initial={"h": tmp_path / "h.npy"})
    runtime = open_runtime(bundle, "onnx", threads=1)
    _, written = runtime.call("init", {}, None)
    assert np.array_equal((written or {})["h"], start)
    np.save(tmp_path / "pickled.npy", np.array([object()]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "short.npy", np.zeros(3, np.float32))
    np.save(tmp_path / "nan.npy", np.full(8, np.nan, np.float32))
    np.save(tmp_path / "double.npy", np.full(8, 1e300))
    for name, words in (
        ("pickled", "cannot be read"), ("text", "cannot be read"), ("gone", "cannot be read"),
        ("short", r"is \(3,\), state 'h'"), ("nan", "not finite"), ("double", "cannot hold"),
    ):  # fmt: skip
        with pytest.raises(OptionError, match=words):
            adopted(path, states={"h": "h_out"}, initial={"h": tmp_path / f"{name}.npy"})


def test_a_sessions_snapshot_goes_on(tmp_path: Path) -> None:
    """Of a model with rows, and of one whose state follows the size of the frames."""
    frames = clip(4)
    fading = adopted(write_fading(tmp_path / "fading.onnx"), states={"mean_in": "mean_out"})
    gru = adopted(write_gru(tmp_path / "gru.onnx"), states={"h": "h_out"}, initial={"h": 0.5})
    for bundle, key in ((fading, "far"), (gru, "score")):
        with Engine.load(bundle, threads=1) as engine, engine.open() as session:
            for frame in frames[:2]:
                session.push(frame)
            with engine.restore(session.snapshot(), session_id="twin") as twin:
                for frame in frames[2:]:
                    one, other = (found.push(frame).tensors[key] for found in (session, twin))
                    assert np.array_equal(one, other)


def test_branches_keep_what_they_read(tmp_path: Path) -> None:
    """A state that is read in a branch of an If goes there under its new name."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    value = helper.make_tensor_value_info("out", kind, [1, 1])
    add = helper.make_graph([node("Add", ["s", "seen"], ["out"])], "then", [], [value])
    keep = helper.make_graph([node("Identity", ["s"], ["out"])], "else", [], [value])
    path = write_graph(
        tmp_path / "branch.onnx",
        [
            node("ReduceMean", ["image"], ["level"], axes=[1, 2, 3], keepdims=0),
            node("Unsqueeze", ["level", "axis"], ["seen"]),
            node("ReduceMean", ["image"], ["all"], keepdims=0),
            node("Greater", ["all", "half"], ["bright"]),
            node("If", ["bright"], ["s_out"], then_branch=add, else_branch=keep),
        ],
        {"image": (1, 3, 32, 48), "s": (1, 1)},
        {"s_out": (1, 1)},
        {"half": np.float32(0.5), "axis": np.array([1])},
    )
    bundle = adopted(path, states={"s": "s_out"}, outputs={"s_out": "tensor"})
    bright, dark = (np.full((32, 48, 3), level, np.uint8) for level in (255, 0))
    with Engine.load(bundle, threads=1) as engine, engine.open() as session:
        sums = [float(session.push(image).tensors["s_out"][0]) for image in (bright, dark, bright)]
    assert sums == [1, 1, 2]


def test_frames_as_the_file_wants_them(tmp_path: Path) -> None:
    """Bytes with channels last, blue first, in 0 to 255, and the seconds that have passed."""
    path = write_graph(
        tmp_path / "bytes.onnx",
        [
            node("Cast", ["image"], ["levels"], to=1),
            node("ReduceMean", ["levels"], ["colour"], axes=[1, 2], keepdims=0),
            node("Add", ["t", "dt"], ["t_out"]),
        ],
        {"image": (1, "h", "w", 3), "t": (1,), "dt": (1,)},
        {"colour": (1, 3), "t_out": (1,)},
        kinds={"image": "uint8"},
    )
    bundle = adopted(
        path, states={"t": "t_out"}, inputs={"dt": "seconds"}, outputs={"t_out": "tensor"}, size=(32, 48),
        view={"colours": "BGR", "range": 255.0},
    )  # fmt: skip
    red = np.zeros((32, 48, 3), np.uint8)
    red[..., 0] = 255
    with Engine.load(bundle, threads=1) as engine, engine.open() as session:
        answers = [session.push(Frame(red, pts, Fraction(1, 10), pts)) for pts in (0, 3, 5)]
    assert answers[0].tensors["colour"].tolist() == [0, 0, 255]
    assert [float(answer.tensors["t_out"]) for answer in answers] == pytest.approx([0, 0.3, 0.5])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("input:0", "input_0"), ("/a/b", "_a_b"), ("a..b", "a_.b"), (".x", "_x"), ("h", "h")],
)
def test_names_that_no_bundle_has(name: str, expected: str) -> None:
    assert plain_name(name) == expected
