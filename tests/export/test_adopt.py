"""Recurrent ONNX files of all kinds, adopted: bit for bit what the file gives frame by frame, or refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from framestate.bundles import Bundle, load_bundle
from framestate.engine import Engine
from framestate.engine.lanes import Lanes
from framestate.errors import (
    BundleError,
    ExportError,
    FramestateError,
    OptionError,
    ParityError,
    RuntimeUnavailableError,
)
from framestate.export.adopt import adopt_stream
from framestate.export.adopt_graphs import StreamOptions, plain_name
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

Array = npt.NDArray[Any]


def adopted(path: Path, **options: Any) -> Bundle:
    return adopt_stream(
        path, path.with_suffix(""), StreamOptions(**options), name=path.stem, provenance={}, frames=4
    )


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


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"states": {"mean": "mean_out"}}, OptionError, "no input 'mean'.*choose among image, mean_in"),
        ({"states": {"mean_in": "mean"}}, OptionError, "no output 'mean'.*choose among far, mean_out"),
        ({"states": {"mean_in": "far"}}, ExportError, "state 'mean_in' is float32 of 4 axes"),
        ({"states": {"mean_in": "mean_out"}, "initial": {"x": 1.0}}, OptionError, "no state 'x'"),
        ({"states": {"mean_in": "mean_out", "image": "mean_out"}}, OptionError, "'mean_out' is named twice"),
        ({"states": {"mean_in": "mean_out"}, "inputs": {"mean_in": 1.0}}, OptionError, "named twice"),
        ({"states": {"mean_in": "mean_out"}, "outputs": {"far": "picture"}}, OptionError, "1 axes"),
        ({"states": {"mean_in": "mean_out"}, "outputs": {"far": "film"}}, OptionError, "is no film"),
        ({"states": {"mean_in": "mean_out"}, "initial": {"mean_in": 1.0}}, OptionError, "--size"),
        (
            {"states": {}, "inputs": {"mean_in": 0.0, "image": 0.0}},
            OptionError,
            "none of .* is a frame",
        ),
        ({"states": {"mean_in": "mean_out"}, "view": {"colours": "GRB"}}, FramestateError, "colours"),
        ({"states": {"mean_in": "mean_out"}, "view": {"mean": [0, 0]}}, FramestateError, "mean"),
    ],
)
def test_what_cannot_be_asked_for(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    path = write_fading(tmp_path / "fading.onnx")
    with pytest.raises(error, match=words):
        adopted(path, **options)
    assert not (tmp_path / "fading").exists()


def grown(path: Path, state: list[Any], out: list[Any], *nodes: Any, **constants: Any) -> Path:
    image = (1, 3, 32, 48)
    return write_graph(path, nodes, {"image": image, "h": state}, {"h_out": out}, constants)


def test_states_that_are_none(tmp_path: Path) -> None:
    """One that grows with every frame, one that changes shape, one whose zeros are not alike."""
    pool = node("ReduceMean", ["image"], ["seen"], axes=[1, 2], keepdims=0)  # (1, 48)
    join = node("Concat", ["h", "seen"], ["h_out"], axis=1)
    path = grown(tmp_path / "cache.onnx", [1, "past"], [1, "all"], pool, join)
    with pytest.raises(ExportError, match=r"axis 1 \('past'\) of 'h' comes out as 97, and goes in as 49"):
        adopted(path, states={"h": "h_out"})
    path = grown(tmp_path / "other.onnx", [1, 1], [1, 48], pool, node("Add", ["h", "seen"], ["h_out"]))
    with pytest.raises(ExportError, match="axis 1 of 'h' comes out as 48, and goes in as 1"):
        adopted(path, states={"h": "h_out"})
    path = grown(
        tmp_path / "told.onnx", [1, "n"], [1, 48], pool, node("Shape", ["h"], ["sides"]),
        node("Cast", ["sides"], ["numbers"], to=1), node("ReduceSum", ["numbers"], ["sum"], keepdims=0),
        node("Add", ["seen", "sum"], ["added"]), node("Add", ["added", "h"], ["h_out"]),
    )  # fmt: skip
    with pytest.raises(ParityError, match=r"begins as zeros of \(1, 48\) and not of \(1, 1\)"):
        adopted(path, states={"h": "h_out"})


def test_an_output_that_grows(tmp_path: Path) -> None:
    path = write_graph(
        tmp_path / "growing.onnx",
        [
            node("ReduceMean", ["image"], ["level"], axes=[1, 2, 3], keepdims=0),
            node("Add", ["count", "one"], ["count_out"]),
            node("Cast", ["count_out"], ["times"], to=7),
            node("Expand", ["level", "times"], ["spread"]),
            node("Unsqueeze", ["spread", "zero"], ["row"]),
        ],
        {"image": (1, 3, 64, 96), "count": (1,)},
        {"row": (1, "n"), "count_out": (1,)},
        {"one": np.ones(1, np.float32), "zero": np.array([0])},
    )
    with pytest.raises(ExportError, match=r"output 'row' is \(1, 1\) in one frame and \(1, 2\) in the next"):
        adopted(path, states={"count": "count_out"})


def test_axes_that_nobody_knows(tmp_path: Path) -> None:
    image: tuple[Any, ...] = ("b", 3, "h", "w")
    add = [node("ReduceMean", ["image"], ["seen"], keepdims=0), node("Add", ["seen", "s"], ["s_out"])]
    path = write_graph(
        tmp_path / "words.onnx", [*add, node("ReduceSum", ["words"], ["sum"], keepdims=0)],
        {"image": image, "s": (), "words": ("b", "count")}, {"s_out": (), "sum": ()},
    )  # fmt: skip
    with pytest.raises(OptionError, match=r"axis 1 \('count'\) of 'words' is open"):
        adopted(path, states={"s": "s_out"}, inputs={"words": 1.0})
    with pytest.raises(OptionError, match="input 'words' is neither a state nor a frame"):
        adopted(path, states={"s": "s_out"})
    path = write_graph(tmp_path / "odd.onnx", add, {"image": ("b", "c", "h", "w"), "s": ()}, {"s_out": ()})
    with pytest.raises(OptionError, match=r"input 'image' is float32 \(b, c, h, w\), which is no frame"):
        adopted(path, states={"s": "s_out"}, inputs={"image": "frame"})
    path = write_graph(tmp_path / "half.onnx", add, {"image": (1, 3, 32, "w"), "s": ()}, {"s_out": ()})
    with pytest.raises(OptionError, match=r"axis 3 \('w'\) of 'image' is open.*--size"):
        adopted(path, states={"s": "s_out"})
    with pytest.raises(OptionError, match="takes frames of 32x48"):
        adopted(write_gru(tmp_path / "gru.onnx"), states={"h": "h_out"}, size=(64, 64))
    flat = [node("Reshape", ["image", "flat"], ["h_out"])]
    path = write_graph(tmp_path / "flat.onnx", flat, {"image": image, "h": ("b", "n")}, {"h_out": ("b", "n")},
                       {"flat": np.array([1, -1])})  # fmt: skip
    with pytest.raises(ExportError, match=r"axis 1 \('n'\) of 'h' follows no side of the frames.*--size"):
        adopted(path, states={"h": "h_out"})
    sized = adopted(path, states={"h": "h_out"}, size=(32, 48))
    assert sized.spec.state[0].shape == ("batch", 3 * 32 * 48)


def test_files_that_are_none(tmp_path: Path) -> None:
    states = {"mean_in": "mean_out"}
    (tmp_path / "text.onnx").write_text("no graph")
    (tmp_path / "empty.onnx").write_bytes(b"")
    whole = write_fading(tmp_path / "whole.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    for name in ("text", "empty", "cut"):
        with pytest.raises(ExportError, match="cannot be read as ONNX"):
            adopted(tmp_path / f"{name}.onnx", states=states)
    model = onnx.load(tmp_path / "whole.onnx")
    model.opset_import[0].version = 9999
    onnx.save(model, tmp_path / "late.onnx")
    with pytest.raises((ExportError, RuntimeUnavailableError, BundleError)):
        adopted(tmp_path / "late.onnx", states=states)
    sequence = node("SequenceConstruct", ["x"], ["list"])
    length = node("SequenceLength", ["list"], ["n"])
    path = write_graph(tmp_path / "list.onnx", [sequence, length], {"x": (1, 3, 32, 32)}, {"n": ()},
                       kinds={"n": "int64"})  # fmt: skip
    listed = onnx.load(path)
    listed.graph.output.append(
        onnx.helper.make_tensor_sequence_value_info("list", onnx.TensorProto.FLOAT, None)
    )
    onnx.save(listed, path)
    with pytest.raises(ExportError, match=r"'list' is a seq\(tensor\(float\)\)"):
        adopted(path, states={})


def test_data_in_files_beside_it(tmp_path: Path) -> None:
    path = write_gru(tmp_path / "gru.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="gru.bin", size_threshold=100)
    bundle = adopted(path, states={"h": "h_out"})
    assert load_bundle(bundle.path).hash == bundle.hash
    (tmp_path / "gru.bin").unlink()
    with pytest.raises(FramestateError, match=r"gru\.onnx"):
        adopt_stream(path, tmp_path / "x", StreamOptions({"h": "h_out"}), name="x", provenance={})
    assert not (tmp_path / "x").exists()


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
