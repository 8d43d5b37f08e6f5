"""Detectors of the YOLO form: every head is read, and boxes come back in the picture's own pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from framestate.errors import BundleError, OptionError
from framestate.runtimes.detector import Detector
from onnx import TensorProto, helper, numpy_helper

IMAGE = np.zeros((60, 120, 3), np.uint8)  # shown in 64 x 64 at a scale of 64/120, 16 pixels down
NAMES = "{0: 'cat', 1: 'dog'}"


def write(
    path: Path,
    output: npt.NDArray[Any],
    *,
    names: str | None = NAMES,
    half: bool = False,
    sides: Any = 64,
    more: dict[str, str] | None = None,
) -> Path:
    """A model that gives ``output`` whatever it sees."""
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    held = numpy_helper.from_array(output.astype(np.float16 if half else np.float32), "held")
    zero = numpy_helper.from_array(np.zeros(1, np.float16 if half else np.float32), "zero")
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["held", "nothing"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", kind, [1, 3, sides, sides])],
        [helper.make_tensor_value_info("output0", kind, list(output.shape))],
        [held, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if names is not None:
        helper.set_model_props(model, {"names": names, **(more or {})})
    onnx.save(model, str(path))
    return path


def v8(*boxes: tuple[float, ...], width: int = 6, room: int = 8) -> npt.NDArray[np.float64]:
    """(1, 4 + classes, boxes) of cx, cy, w, h and a score each class."""
    table = np.zeros((1, width, room))
    for place, box in enumerate(boxes):
        table[0, : len(box), place] = box
    return table


def ended(*boxes: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """(1, boxes, 6) of corners, score and class."""
    return np.array([[*boxes, *[(0.0,) * 6] * (5 - len(boxes))]])


def v5(*boxes: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """(1, boxes, 5 + classes) of cx, cy, w, h, objectness and a score each class."""
    return np.array([[*boxes, *[(0.0,) * 7] * (8 - len(boxes))]])


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("sides", [64, "side"])
@pytest.mark.parametrize(
    "output",
    [
        v8((32, 32, 16, 16, 0.1, 0.9), (33, 32, 16, 16, 0.0, 0.8), (10, 20, 4, 4, 0.5, 0.2)),
        ended((24, 24, 40, 40, 0.9, 1), (8, 18, 12, 22, 0.5, 0), (1, 1, 5, 5, 0.01, 0)),
        v5((32, 32, 16, 16, 1.0, 0.1, 0.9), (33, 32, 16, 16, 0.8, 0, 1.0), (10, 20, 4, 4, 0.5, 1.0, 0.2)),
    ],
    ids=["v8", "ended", "v5"],
)
def test_heads_are_read(tmp_path: Path, output: npt.NDArray[Any], half: bool, sides: Any) -> None:
    detect = Detector(write(tmp_path / "d.onnx", output, half=half, sides=sides), side=64)
    found = detect(IMAGE)
    scale = 64 / 120
    assert found.labels == ["dog", "cat"]
    assert found.scores == pytest.approx([0.9, 0.5], abs=1e-3)
    assert found.xyxy[0] == pytest.approx(np.array([24, 8, 40, 24]) / scale, abs=0.1)
    assert found.xyxy[1] == pytest.approx(np.array([8, 2, 12, 6]) / scale, abs=0.1)
    only = Detector(tmp_path / "d.onnx", side=64, classes=["cat"])(IMAGE)
    assert only.labels == ["cat"]
    assert not Detector(tmp_path / "d.onnx", side=64, score=0.95)(IMAGE).labels


@pytest.mark.parametrize("room", [6, 7])
def test_a_table_is_told_by_its_classes(tmp_path: Path, room: int) -> None:
    """As many boxes as another head would have columns: six of one that chooses, seven of an older one."""
    output = v8((32, 32, 16, 16, 0.1, 0.9), (10, 20, 4, 4, 0.5, 0.2), room=room)
    assert Detector(write(tmp_path / "d.onnx", output))(IMAGE).labels == ["dog", "cat"]


def test_boxes_of_one_class_are_one_and_of_two_are_two(tmp_path: Path) -> None:
    output = v8((32, 32, 16, 16, 0.9, 0.0), (32, 32, 16, 16, 0.0, 0.8), (33, 33, 16, 16, 0.7, 0.0))
    assert Detector(write(tmp_path / "d.onnx", output))(IMAGE).labels == ["cat", "dog"]


def test_without_names_classes_are_numbers(tmp_path: Path) -> None:
    for names in (None, "nonsense(", "[1"):
        file = write(tmp_path / "d.onnx", v8((32, 32, 16, 16, 0.1, 0.9)), names=names)
        assert Detector(file)(IMAGE).labels == ["1"]
        with pytest.raises(OptionError, match="no class"):
            Detector(file, classes=["cat"])


@pytest.mark.parametrize(("task", "extra"), [("segment", 32), ("pose", 51)])
def test_of_masks_and_poses_the_boxes_are_read(tmp_path: Path, task: str, extra: int) -> None:
    dense = v8((32, 32, 16, 16, 0.1, 0.9), width=6 + extra, room=84)
    dense[0, 6:] = 40.0  # no scores
    chosen = np.concatenate([ended((24, 24, 40, 40, 0.9, 1))] * 20, axis=1)
    chosen[:, 1:] = 0
    masks = np.full((1, 100, extra), 40.0)
    for output in (dense, np.concatenate([chosen, masks], axis=2)):
        found = Detector(write(tmp_path / "d.onnx", output, more={"task": task}))(IMAGE)
        assert (found.labels, found.scores.round(2).tolist()) == (["dog"], [0.9])
        assert np.allclose(found.xyxy, [[45, 15, 75, 45]])


def test_turned_boxes_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="turned"):
        Detector(write(tmp_path / "d.onnx", v8(width=7), more={"task": "obb"}))


@pytest.mark.parametrize(
    ("told", "size"),
    [("[96, 128]", (128, 96)), ("320", (320, 320)), ("[0, 0]", (640, 640)), ("[[", (640, 640))],
)
def test_a_picture_is_shown_as_large_as_the_exporter_wrote(
    tmp_path: Path, told: str, size: tuple[int, int]
) -> None:
    output = v8((size[0] / 2, size[1] / 2, 16, 16, 0.1, 0.9))
    file = write(tmp_path / "d.onnx", output, sides="side", more={"imgsz": told})
    detect = Detector(file)
    assert (detect.size, len(detect(IMAGE).scores)) == (size, 1)
    assert Detector(file, side=64).size == (64, 64)
    assert Detector(write(tmp_path / "e.onnx", output, more={"imgsz": told})).size == (64, 64)


@pytest.mark.parametrize("shape", [(1, 3, 8), (1, 9, 8), (2, 6, 8), (6, 8), (1, 6, 0)])
def test_other_forms_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    detect = Detector(write(tmp_path / "d.onnx", np.ones(shape)))
    with pytest.raises(BundleError, match="form of YOLO"):
        detect(IMAGE)


def test_a_head_that_chooses_may_find_nothing(tmp_path: Path) -> None:
    found = Detector(write(tmp_path / "d.onnx", np.zeros((1, 0, 6))))(IMAGE)
    assert (found.xyxy.shape, found.scores.shape, found.labels) == ((0, 4), (0,), [])


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    for file in ("text.onnx", "missing.onnx", "."):
        with pytest.raises(BundleError):
            Detector(tmp_path / file)
    with pytest.raises(OptionError):
        Detector(write(tmp_path / "d.onnx", v8()), score=2)


@pytest.mark.parametrize(
    "output",
    [
        v8((np.nan, 32, 16, 16, 0.1, 0.9), (32, 32, 16, 16, 0.6, 0.2), (33, 32, 16, 16, 0.5, 0.2)),
        v8((32, 32, 16, 16, np.nan, 0.9), (32, 32, 16, 16, 0.6, 0.2), (33, 32, 16, 16, 0.5, 0.2)),
        v5((32, 32, 16, 16, np.inf, 0.0, 0.9), (32, 32, 16, 16, 1, 0.6, 0), (33, 32, 16, 16, 1, 0.5, 0)),
        ended((np.nan, 24, 40, 40, 0.9, 1), (24, 24, 40, 40, 0.9, np.nan), (8, 18, 12, 22, 0.5, 0)),
    ],
    ids=["place", "score", "v5", "ended"],
)
def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path, output: npt.NDArray[Any]) -> None:
    assert Detector(write(tmp_path / "d.onnx", output))(IMAGE).labels == ["cat"]


def test_what_cannot_be_told_apart_is_refused(tmp_path: Path) -> None:
    detect = Detector(write(tmp_path / "d.onnx", np.ones((1, 100, 85)), names=None))
    with pytest.raises(BundleError, match="names no classes"):
        detect(IMAGE)


def test_a_model_of_bytes_is_refused_at_once(tmp_path: Path) -> None:
    model = onnx.load(str(write(tmp_path / "d.onnx", v8())))
    graph = model.graph
    graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    graph.node.insert(0, helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT))
    graph.node[1].input[0] = "floats"
    onnx.save(model, str(tmp_path / "d.onnx"))
    with pytest.raises(BundleError, match="of floats"):
        Detector(tmp_path / "d.onnx")
