"""OpenCV's trackers behind the Peer protocol."""

from __future__ import annotations

import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from framestate.bench.peers import PEERS, OpenCVPeer, PeerFiles, integer_rectangle, open_peer
from framestate.errors import BoxError, DataError, OptionError, RuntimeUnavailableError, StepError
from framestate.vision.box import Box

from .conftest import picture, truth_box


def _rgb(index: int) -> np.ndarray:
    return np.ascontiguousarray(picture(index)[:, :, ::-1])


def test_static_leaves_the_box_where_it_was() -> None:
    peer = open_peer("static")
    peer.start(_rgb(0), truth_box(0))
    assert peer.update(_rgb(5)) == truth_box(0)


@pytest.mark.parametrize("name", ["csrt", "kcf", "mil"])
def test_a_classic_tracker_follows_and_starts_again(name: str) -> None:
    if name != "mil" and not hasattr(cv2, f"Tracker{name.upper()}_create"):
        pytest.skip("OpenCV is not the contrib build")
    peer = open_peer(name)
    for _ in range(2):
        peer.start(_rgb(0), truth_box(0))
        box = None
        for index in range(1, 8):
            box = peer.update(_rgb(index))
        assert box is not None
        assert box.iou(truth_box(7)) > 2 * truth_box(0).iou(truth_box(7))


class _Recorder:
    """Stands in for a ``cv2.Tracker``."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.answers = [(True, (1, 2, 3, 4)), (False, (0, 0, 0, 0))]

    def init(self, image: np.ndarray, rectangle: tuple[int, ...]) -> None:
        self.seen += [image[0, 0].tolist(), rectangle]

    def update(self, image: np.ndarray) -> tuple[bool, tuple[int, ...]]:
        if not self.answers:
            raise cv2.error("out of answers")
        return self.answers.pop(0)


def test_opencv_gets_bgr_and_whole_pixels() -> None:
    tracker = _Recorder()
    peer = OpenCVPeer("recorder", lambda: tracker)
    image = np.zeros((50, 60, 3), np.uint8)
    image[:] = (1, 2, 3)
    peer.start(image, Box(9.6, 10.4, 5.5, 6.4))
    assert tracker.seen == [[3, 2, 1], (10, 10, 6, 6)]
    assert all(type(value) is int for value in tracker.seen[1])  # type: ignore[attr-defined]


def test_a_lost_target_is_none_and_a_failure_is_typed() -> None:
    peer = OpenCVPeer("recorder", _Recorder)
    peer.start(_rgb(0), truth_box(0))
    assert peer.update(_rgb(1)) == Box(1.0, 2.0, 3.0, 4.0)
    assert peer.update(_rgb(1)) is None
    with pytest.raises(StepError, match="recorder failed to update"):
        peer.update(_rgb(1))


def test_a_peer_must_be_started() -> None:
    with pytest.raises(StepError, match="not started"):
        OpenCVPeer("recorder", _Recorder).update(_rgb(0))


@pytest.mark.parametrize(
    ("box", "rectangle"),
    [
        (Box(10.5, 11.5, 20.0, 30.0), (10, 12, 20, 30)),
        (Box(-5.0, -5.0, 20.0, 20.0), (0, 0, 15, 15)),
        (Box(90.0, 55.0, 20.0, 20.0), (90, 55, 10, 9)),
        (Box(99.6, 10.0, 3.0, 3.0), (99, 10, 1, 3)),
        (Box(10.0, 10.0, 0.3, 9.0), (10, 10, 1, 9)),
    ],
)
def test_whole_pixels_stay_inside_the_image(box: Box, rectangle: tuple[int, ...]) -> None:
    assert integer_rectangle(box, 100, 64) == rectangle


@pytest.mark.parametrize("box", [Box(math.nan, 0, 1, 1), Box(200, 0, 10, 10), Box(0, 0, -1, 5)])
def test_boxes_outside_the_image_are_refused(box: Box) -> None:
    with pytest.raises(BoxError):
        integer_rectangle(box, 100, 64)


def test_an_unknown_peer_is_refused() -> None:
    with pytest.raises(OptionError, match=", ".join(PEERS)):
        open_peer("boosting")


@pytest.mark.parametrize("name", ["csrt", "kcf"])
def test_a_plain_build_of_opencv_is_told_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, f"Tracker{name.upper()}_create", raising=False)
    with pytest.raises(RuntimeUnavailableError, match=r"framestate\[bench\]"):
        open_peer(name)


def test_networks_need_their_files(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="2 ONNX files"):
        open_peer("nano")
    with pytest.raises(OptionError, match="net"):
        open_peer("vit")
    with pytest.raises(DataError, match=r"missing\.onnx"):
        open_peer("vit", PeerFiles(vit=tmp_path / "missing.onnx"))


def test_a_file_that_is_no_network_fails_with_a_typed_error(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"\x00" * 64)
    peer = open_peer("vit", PeerFiles(vit=damaged))
    with pytest.raises(StepError, match="vit failed to start"):
        peer.start(_rgb(0), truth_box(0))


@pytest.mark.data
def test_a_network_follows() -> None:
    folder = Path(os.environ.get("FRAMESTATE_PEERS", "peers"))
    files = PeerFiles(folder / "nanotrack_backbone_sim.onnx", folder / "nanotrack_head_sim.onnx")
    if not (files.nano_backbone and files.nano_backbone.is_file()):
        pytest.skip("FRAMESTATE_PEERS names no folder with NanoTrack's ONNX files")
    peer = open_peer("nano", files)
    peer.start(_rgb(0), truth_box(0))
    assert all(peer.update(_rgb(index)) is not None for index in range(1, 4))
