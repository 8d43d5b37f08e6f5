"""Every task over whole videos as jobs, and over live sources."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from framestate import wire
from framestate.client import Client
from framestate.vision import VideoReader

from .conftest import Case

RESULTS = {
    "tracking": ["boxes.csv"],
    "interpolation": ["interpolated.mp4"],
    "classification": ["labels.csv"],
    "stream": ["values.jsonl", "shown.mp4", "tensors.npz"],
}


def test_a_video_is_a_job(all_tasks: Any, case: Case, clip_file: Path, tmp_path: Path) -> None:
    with VideoReader(clip_file) as video:
        frames = list(video)
    with Client(f"http://127.0.0.1:{all_tasks.port}") as client:
        job = client.upload(clip_file, model=case.model, **case.options)
        assert job.wait().state == "done"
        assert job.info.task == case.task
        assert job.info.results == RESULTS[case.task]
        files = {name: job.download(tmp_path / name, name) for name in job.info.results}
        job.delete()
    with case.load(1) as engine:
        first = frames[0] if case.opens_on_frame else None
        session = engine.open(first, **case.options)
        wanted = [session.push(frame) for frame in frames[case.first :]]
    match case.task:
        case "interpolation":
            with VideoReader(files["interpolated.mp4"]) as made:
                assert len(list(made)) >= 2 * len(frames) - 1
        case "stream":
            lines = [json.loads(line) for line in files["values.jsonl"].read_text().splitlines()]
            assert [line["values"]["far"]["data"] for line in lines] == [
                one.tensors["far"].ravel().tolist() for one in wanted
            ]
            with VideoReader(files["shown.mp4"]) as shown:
                assert len(list(shown)) == len(frames)
            with np.load(io.BytesIO(files["tensors.npz"].read_bytes())) as archive:
                assert np.array_equal(archive["0/3"], wanted[3].tensors["where"])
        case "classification":
            rows = [row.split(",") for row in files["labels.csv"].read_text().splitlines()[1:]]
            assert [row[2:] for row in rows] == [[one.label, f"{one.probability:.4f}"] for one in wanted]
        case _:
            rows = [row.split(",") for row in files["boxes.csv"].read_text().splitlines()[2:]]
            assert [row[4:8] for row in rows] == [[f"{side:.3f}" for side in one.box.xywh] for one in wanted]


def test_a_live_source_is_followed(
    make_running: Any, case: Case, clip_file: Path, until: Any, tmp_path: Path
) -> None:
    """A model that needs no box starts at once; a viewer sees each picture, and what the model says of it."""
    from framestate.server import Settings

    with case.load() as engine:
        settings = Settings(port=0, sources=(f"cam={clip_file}",), state_dir=tmp_path)
        running = make_running(settings, {case.model: engine})
        try:
            until(lambda: running.call("GET", "/v1/sources/cam").json["frames"])
            if case.opens_on_frame:
                assert running.call("POST", "/v1/sources/cam/target").json["code"] == "OptionError"
                box = ",".join(str(side) for side in case.options["box"])
                assert running.call("POST", f"/v1/sources/cam/target?box={box}").status == 201
            until(lambda: running.call("GET", "/v1/sources/cam").json["session"] == "source-cam")
            assert running.call("GET", "/v1/sessions/source-cam").json["task"] == case.task
            with running.stream("cam", "/v1/sources/{}/stream") as viewer:
                assert viewer.hello().task == case.task
                heard = [viewer.hear() for _ in range(40)]
            shown = [one.index for one in heard if isinstance(one, wire.Picture) and one.kind == "frame"]
            answers = [one for one in heard if not isinstance(one, wire.Picture | wire.Message)]
            assert len(answers) >= 3
            assert {one.frame_index for one in answers} <= set(shown)
            until(lambda: running.call("GET", "/v1/sources/cam").json["reconnects"] >= 1)  # it began again
            last = running.call("GET", "/v1/sessions/source-cam").json["last_index"]
            until(lambda: running.call("GET", "/v1/sessions/source-cam").json["last_index"] > last)
        finally:
            running.stop()
