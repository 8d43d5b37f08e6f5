"""docs/server.md and the OpenAPI document say what is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from framestate import errors
from framestate.server import Settings
from framestate.server.problems import close_code_of, status_of
from framestate.vision import Box, VideoWriter, decode_image

Film = tuple[list[bytes], Box]


@pytest.fixture
def page(checkout: Path) -> str:
    return (checkout / "docs" / "server.md").read_text("utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_quick_start_runs_as_printed(shared: Any, film: Film, page: str, tmp_path: Path) -> None:
    (block,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    for index in (0, 1):
        (tmp_path / f"frame{index}.jpg").write_bytes(film[0][index])
    with VideoWriter(tmp_path / "clip.mp4", 160, 120, 25) as video:
        for jpeg in film[0][:3]:
            video.write(decode_image(jpeg))
    answers = []
    for line in block.replace("127.0.0.1:8000", f"127.0.0.1:{shared.port}").strip().splitlines():
        done = subprocess.run(
            ["bash", "-c", f"{line} --fail-with-body"],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        answers.append(done.stdout)
    assert json.loads(answers[0])["session"] == "demo"
    assert json.loads(answers[1])["status"] in ("tracking", "uncertain", "lost")
    assert json.loads(answers[2])["last_index"] == 1
    assert (tmp_path / "demo.session").stat().st_size > 31_000  # the state, and the crop that it began with
    assert json.loads(answers[4])["restored"]
    assert json.loads(answers[6])["state"] == "queued"
    assert "framestate_frames_total" in answers[8]


def test_every_setting_has_its_row(page: str) -> None:
    for name, field in Settings.model_fields.items():
        row = next((line for line in page.splitlines() if line.startswith(f"| `{name}` |")), "")
        assert " ".join((field.description or "").split()) in row, name
        if isinstance(field.default, int | float | str):
            assert f"`{field.default}`" in row, name


def test_every_error_has_its_row(page: str) -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert f"| `{name}` | {status_of(kind)} | {close_code_of(kind)} |" in page


def test_every_metric_is_named_and_every_name_is_one(
    serve: Any, clip_file: Path, tmp_path: Path, until: Any, page: str
) -> None:
    (tmp_path / "secret").write_text("whsec_" + 44 * "A")
    told = {"webhooks": ("http://127.0.0.1:9/",), "webhook_secret_file": tmp_path / "secret"}
    running = serve(sources=(f"door={clip_file}",), **told)
    until(lambda: running.call("GET", "/v1/sources/door").json["frames"])
    there = set(re.findall(r"^# TYPE (framestate_\w+)", running.call("GET", "/metrics").body.decode(), re.M))
    there = {name for name in there if not name.endswith("_created")}
    assert there == set(re.findall(r"`(framestate_\w+)", page))


def test_the_openapi_document_is_complete(shared: Any) -> None:
    document = shared.call("GET", "/openapi.json").json
    schemas = document["components"]["schemas"]
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            where = f"{method} {path}"
            assert call["description"], where
            assert {"401", "403"} <= call["responses"].keys(), where
            assert not call.get("parameters") or "422" in call["responses"], where  # they have rules
            for one in call.get("parameters", []):
                assert one.get("description"), (where, one["name"])
            for status, answer in call["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], where
                name = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
                if name is not None and not name.endswith(("/Live", "/Ready")):
                    assert schemas[name.rpartition("/")[2]].get("examples"), name
    assert "HTTPValidationError" not in schemas


def test_the_server_says_what_it_is(shared: Any) -> None:
    about = shared.call("GET", "/v2").json
    assert about["name"] == "framestate"
    model = shared.call("GET", "/v2/models/tracker-nano").json
    assert (model["platform"], model["task"], model["sessions"]["total"]) == ("onnx_cpu", "tracking", 16)
    assert model["inputs"][0]["datatype"] == "FP32"
    assert model["inputs"][0]["shape"][0] == -1


def test_the_page_is_served_with_its_files(shared: Any) -> None:
    page = shared.call("GET", "/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    names = re.findall(rb'(?:src|href)="(static/[^"]+)"', page.body)
    assert names
    for name in names:
        assert shared.call("GET", f"/{name.decode()}").status == 200, name
