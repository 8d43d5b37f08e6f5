"""Recurrent ONNX files that cannot be adopted, or not as asked: each is refused with its reason."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from framestate.bundles import load_bundle
from framestate.engine import Engine
from framestate.errors import (
    BundleError,
    ExportError,
    FramestateError,
    OptionError,
    ParityError,
    RuntimeUnavailableError,
)
from framestate.export.adopt import adopt_stream
from framestate.export.adopt_graphs import StreamOptions
from framestate.vision import Frame

from ..tiny_recurrent import (
    node,
    write_fading,
    write_graph,
    write_gru,
)
from .adopting import adopted


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


def listening(path: Path, *nodes: Any, **more: Any) -> Path:
    """A file with a state ``h`` to which the mean of each frame is added, and what a test puts before it."""
    mean = node("ReduceMean", ["seen"], ["mean"], axes=[1, 2, 3], keepdims=0)
    inputs = {"image": (1, 3, 32, 48), "h": (1,), **more.pop("inputs", {})}
    return write_graph(
        path, [*nodes, mean, node("Add", ["h", "mean"], ["h_out"])], inputs,
        {"h_out": (1,), **more.pop("outputs", {})}, **more,
    )  # fmt: skip


def test_a_file_that_is_never_the_same(tmp_path: Path) -> None:
    """A dropout that was left on."""
    drop = node("Dropout", ["image", "half", "on"], ["seen"])
    path = listening(tmp_path / "drop.onnx", drop, constants={"half": np.float32(0.5), "on": np.array(True)})
    with pytest.raises(ParityError, match=r"'h_out' of the file differs from itself.* dropout"):
        adopted(path, states={"h": "h_out"})


@pytest.mark.parametrize("kind", ["int64", "bool", "uint8", "float16"])
def test_numbers_that_a_type_cannot_hold(tmp_path: Path, kind: str) -> None:
    """Of a state's beginning, of a constant, and of the seconds between frames."""
    copies = [node("Identity", ["image"], ["seen"]), node("Identity", ["n"], ["n_out"])]
    path = listening(
        tmp_path / "typed.onnx", *copies, inputs={"n": (1,)}, outputs={"n_out": (1,)},
        kinds={"n": kind, "n_out": kind},
    )  # fmt: skip
    pairs = {"h": "h_out", "n": "n_out"}
    wrong = [1e30, *([] if kind == "float16" else [2.5])]
    for number in wrong:
        with pytest.raises(OptionError, match=rf"state 'n' begins as .*, which {kind} cannot hold"):
            adopted(path, states=pairs, initial={"n": number})
        with pytest.raises(OptionError, match=rf"input 'n' is .*, which {kind} cannot hold"):
            adopted(path, states={"h": "h_out"}, inputs={"n": number})
    if kind != "float16":
        with pytest.raises(BundleError, match=f"'n' is {kind}, which holds no seconds"):
            adopted(path, states={"h": "h_out"}, inputs={"n": "seconds"})


@pytest.mark.parametrize(
    ("kind", "view", "words"),
    [
        ("int8", {}, "int8, which cannot hold levels from 0 to 255"),
        ("int8", {"range": 255.0, "mean": 128.0}, None),
        ("int32", {}, None),
        ("int32", {"range": 1.0}, "int32 from 0 to 1, which is no picture"),
        ("uint8", {"mean": 128.0}, "uint8, which cannot hold levels from -128 to 127"),
        ("uint8", {"range": 100.0}, None),
        ("bool", {}, "bool from 0 to 1, which is no picture"),
        ("float16", {"range": 1e6}, "float16, which cannot hold levels"),
    ],
)
def test_frames_as_whole_numbers(tmp_path: Path, kind: str, view: dict[str, Any], words: str | None) -> None:
    """What a type cannot hold is refused; what it can is what the model sees, nothing is left out."""
    path = listening(tmp_path / "whole.onnx", node("Cast", ["image"], ["seen"], to=1), kinds={"image": kind})
    if words is not None:
        with pytest.raises(BundleError, match=words):
            adopted(path, states={"h": "h_out"}, view=view)
        return
    bundle = adopted(path, states={"h": "h_out"}, outputs={"h_out": "tensor"}, view=view)
    with Engine.load(bundle, threads=1) as engine, engine.open() as session:
        white = session.push(Frame(np.full((32, 48, 3), 255, np.uint8), 0, Fraction(1, 25), 0))
    assert float(white.tensors["h_out"]) == view.get("range", 255.0) - view.get("mean", 0.0)


def test_sizes_that_nobody_has_memory_for(tmp_path: Path) -> None:
    path = listening(tmp_path / "huge.onnx", node("Identity", ["image"], ["seen"]))
    model = onnx.load(path)
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 2**40
    onnx.save(model, path)
    with pytest.raises(ExportError, match=r"'h' is declared as \(1099511627776\): .* of at most"):
        adopted(path, states={"h": "h_out"})
    fading = write_fading(tmp_path / "fading.onnx")
    with pytest.raises(OptionError, match="1000000x1000000 are larger"):
        adopted(fading, states={"mean_in": "mean_out"}, size=(10**6, 10**6))


def test_data_in_files_beside_it(tmp_path: Path) -> None:
    path = write_gru(tmp_path / "gru.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="gru.bin", size_threshold=100)
    bundle = adopted(path, states={"h": "h_out"})
    assert load_bundle(bundle.path).hash == bundle.hash
    (tmp_path / "gru.bin").unlink()
    with pytest.raises(FramestateError, match=r"gru\.onnx"):
        adopt_stream(path, tmp_path / "x", StreamOptions({"h": "h_out"}), name="x", provenance={})
    assert not (tmp_path / "x").exists()
