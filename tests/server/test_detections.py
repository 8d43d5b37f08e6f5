"""Detections for live sources, posted by anybody or made by the server's own detector; hostile ones, too."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from framestate import wire
from framestate.errors import BundleError, OptionError

from ..runtimes.test_detector import ended, write
from .test_targets import ONE, scenes_of, source, targets

__all__ = ["source"]
BOX, OTHER = [60, 50, 40, 30], [10, 10, 30, 30]


def tell(running: Any, body: Any, name: str = "cam") -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return running.call("POST", f"/v1/sources/{name}/detections", data)


def told(running: Any, body: Any) -> Any:
    """Detections that are taken, once there is room for them."""
    end = time.monotonic() + 20
    while (answer := tell(running, body)).status == 429 and time.monotonic() < end:
        time.sleep(0.03)
    return answer


def last_index(running: Any) -> int:
    return int(running.call("GET", "/v1/sessions/source-cam").json["last_index"])


def goes_on(running: Any, until: Any) -> None:
    """The stream is not frozen."""
    before = last_index(running)
    until(lambda: last_index(running) > before + 2, 10)


def test_posted_detections_open_keep_and_end_targets(source: Any, until: Any) -> None:
    first = tell(source, {"xywh": [BOX, OTHER], "scores": [0.9, 0.8], "labels": ["cat", "dog\ud800"]})
    assert (first.status, first.json["detections"]) == (202, 2)
    until(lambda: len(targets(source)) == 2)
    assert {number: one["label"] for number, one in targets(source).items()} == {1: "cat", 2: "dog?"}
    index = int(source.call("GET", "/v1/sources/cam/frame").headers["x-frame-index"])
    until(lambda: last_index(source) > index + 2)
    late = told(source, {"xyxy": [[60, 50, 100, 80], [10, 10, 40, 40]], "index": index})
    assert (late.status, late.json) == (202, {"frame": index, "detections": 2})
    goes_on(source, until)
    assert list(targets(source)) == [1, 2]  # they are known, though their frame has passed
    again = told(source, {"xyxy": [[60, 50, 100, 80]], "index": index})
    assert (again.status, again.json["code"]) == (422, "FrameError")  # that frame was told of
    with source.stream("cam", "/v1/sources/{}/stream") as viewer:
        viewer.hello()
        shown = next(one for one in iter(viewer.hear, None) if isinstance(one, wire.Picture))
        assert told(source, {"xywh": [BOX], "index": shown.index}).status == 202  # what a viewer saw

        def is_missed() -> bool:  # nobody sees the second any more
            assert told(source, {"xywh": []}).status == 202
            return any(2 in (*one.lost, *one.ended) for one in scenes_of(viewer, 2))

        until(is_missed)


HOSTILE: list[tuple[Any, int, str]] = [
    (b'{"xywh": [[NaN, 1, 5, 5]]}', 400, "WireError"),
    (b'{"xywh": [[1, 1, 1e999, 5]]}', 400, "WireError"),
    (b'{"xywh": [[1, 1, 5, 5]], "xywh": []}', 400, "WireError"),
    (b"[[1, 1, 5, 5]]", 400, "WireError"),
    (b"\xff\xfe", 400, "WireError"),
    (b'{"xywh": ' + b"[" * 2000 + b"]" * 2000 + b"}", 400, "WireError"),
    ({"xywh": [[1, 1, -5, 5]]}, 422, "BoxError"),
    ({"xywh": [[1, 1, 0, 5]]}, 422, "BoxError"),
    ({"xyxy": [[9, 9, 5, 5]]}, 422, "BoxError"),
    ({"xywh": [[10**400, 1, 5, 5]]}, 422, "OptionError"),
    ({"xywh": [[1e300, 1, 5, 5]]}, 422, "BoxError"),
    ({"xywh": [[1, 2, 3]]}, 422, "OptionError"),
    ({"xywh": [[1, 2, 3, 4, 5, 6, 7, 8]]}, 422, "OptionError"),
    ({"xywh": [["a", "b", "c", "d"]]}, 422, "OptionError"),
    ({"xywh": [[None, 1, 5, 5]]}, 422, "OptionError"),
    ({"xywh": [["10", "10", "5", "5"]]}, 422, "OptionError"),
    ({"xywh": [[True, 1, 5, 5]]}, 422, "OptionError"),
    ({"xywh": [1, 1, 5, 5]}, 422, "OptionError"),
    ({"xywh": [BOX], "scores": 0.5}, 422, "OptionError"),
    ({"xywh": [BOX], "scores": ["high"]}, 422, "OptionError"),
    ({"xywh": [BOX], "labels": [["cat"]]}, 422, "OptionError"),
    ({"xywh": [BOX], "labels": []}, 422, "OptionError"),
    ({"xywh": {"0": [1, 1, 5, 5]}}, 422, "OptionError"),
    ({"xywh": None}, 422, "OptionError"),
    ({}, 422, "OptionError"),
    ({"xywh": [BOX], "xyxy": [BOX]}, 422, "OptionError"),
    ({"xywh": [BOX], "scores": [1.5]}, 422, "OptionError"),
    ({"xywh": [BOX], "scores": [-0.1]}, 422, "OptionError"),
    ({"xywh": [BOX], "scores": [0.5, 0.5]}, 422, "OptionError"),
    ({"xywh": [BOX], "labels": "x" * 9}, 422, "OptionError"),
    ({"xywh": [BOX], "colour": "red"}, 422, "OptionError"),
    ({"xywh": [BOX], "index": -1}, 400, "WireError"),
    ({"xywh": [BOX], "index": 0.5}, 400, "WireError"),
    ({"xywh": [BOX], "index": 10**9}, 404, "UnknownItemError"),
    ({"xywh": [BOX], "seconds": 12.5}, 404, "UnknownItemError"),
    ({"xywh": [BOX], "seconds": "now"}, 422, "OptionError"),
    ({"xywh": [BOX], "seconds": 1.0, "index": 1}, 422, "OptionError"),
    ({"xywh": [BOX] * 1001}, 413, "TooLargeError"),
    (b" " * 300_000, 413, "TooLargeError"),
]


def test_hostile_detections_are_refused_and_change_nothing(source: Any, until: Any) -> None:
    assert source.call("POST", f"/v1/sources/cam/targets?{ONE}").status == 201
    for body, status, code in HOSTILE:
        answer = tell(source, body)
        assert (answer.status, answer.json["code"]) == (status, code), (str(body)[:60], answer.body)
        assert answer.json["remedy"]
        said = f"{answer.json['detail']} {answer.json['remedy']}"  # in the words of JSON, not of Python
        assert not re.search(r"ndarray|\bdict\b|NoneType|object is not|could not convert|shape", said), said
    assert list(targets(source)) == [1]
    goes_on(source, until)
    assert tell(source, {"xywh": [BOX]}, "none").status == 404


def test_many_detections_are_bounded_work(serve: Any, clip_file: Path, until: Any) -> None:
    """As many as may come, all the same, all over the picture, far out, and one round after the other."""
    running = serve(capacity=8, sources=(f"cam={clip_file}",), max_targets=6)
    until(lambda: running.call("GET", "/v1/sources/cam").json["frames"])
    many = [[3.0 * (place % 40), 2.5 * (place // 40), 20, 18] for place in range(1000)]
    for boxes in ([BOX] * 1000, many, [[-5000, -5000, 9000, 9000]] * 1000, [[90_000, 5, 8, 8]] * 1000):
        assert told(running, {"xywh": boxes}).status == 202
        assert len(targets(running)) <= 6
        goes_on(running, until)
    statuses = {tell(running, {"xywh": many}).status for _ in range(8)}
    assert statuses <= {202, 422, 429}
    assert 202 in statuses or 422 in statuses
    goes_on(running, until)
    assert running.engine.slots.num_used <= 6


def test_the_servers_own_detector_finds_and_follows(
    serve: Any, clip_file: Path, tmp_path: Path, until: Any
) -> None:
    """Shown in 64 x 64 at 0.4, eight pixels down: 60, 50, 40, 30 of the picture."""
    detector = write(tmp_path / "d.onnx", ended((24, 28, 40, 40, 0.9, 1), (4, 12, 16, 24, 0.8, 0)))
    found = {"detector": detector, "detect_every": 3}
    running = serve(sources=(f"cam={clip_file}",), **found)
    until(lambda: len(targets(running)) == 2)
    assert sorted(one["label"] for one in targets(running).values()) == ["cat", "dog"]
    with running.stream("cam", "/v1/sources/{}/stream") as viewer:
        viewer.hello()
        seen = scenes_of(viewer, 9)
        sources = [[one.source for one in answer] for answer in seen]
        assert 2 <= sources.count(["detected", "detected"]) < 9
    assert running.call("DELETE", "/v1/sources/cam/target").status == 204
    until(lambda: len(targets(running)) == 2)  # it goes on looking
    chosen = serve(sources=(f"cam={clip_file}",), detect_classes=("dog",), **found)
    until(lambda: targets(chosen))
    assert [one["label"] for one in targets(chosen).values()] == ["dog"]
    assert targets(chosen)[1]["box"] == pytest.approx([60, 50, 40, 30], abs=4)


def test_a_detector_that_cannot_be_used_is_told_at_once(serve: Any, clip_file: Path, tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no model")
    good = write(tmp_path / "d.onnx", ended((24, 28, 40, 40, 0.9, 1)))
    for settings, error in (
        ({"detector": tmp_path / "no.onnx"}, BundleError),
        ({"detector": tmp_path / "missing.onnx"}, BundleError),
        ({"detector": good, "detect_classes": ("cow",)}, OptionError),
    ):
        with pytest.raises(error):
            serve(sources=(f"cam={clip_file}",), **settings)
