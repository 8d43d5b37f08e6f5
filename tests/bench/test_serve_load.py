"""What serving costs: a real server, a real load and the bare engine, each in a process of its own."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from framestate.bench.serve_load import LoadOptions, ServePoint, measure_serving, serving_plot, serving_table
from framestate.bundles import Bundle
from framestate.cli.main import app
from framestate.errors import OptionError, UnknownModelError
from rich.console import Console
from typer.testing import CliRunner


def test_server_and_engine_are_measured_side_by_side(tiny_bundle: Bundle, tmp_path: Path) -> None:
    arguments = ["bench", "serve", "--model", str(tiny_bundle.path), "--runtime", "onnx", "--size", "96x64"]
    shape = ["--sessions", "1,3", "--frames", "12", "--repetitions", "2", "--json"]
    plot = tmp_path / "serve.png"
    done = CliRunner().invoke(app, [*arguments, *shape, "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    assert [point["sessions"] for point in report["points"]] == [1, 3]
    for point in report["points"]:
        assert 0 < point["served_p50_ms"] <= point["served_p99_ms"]
        assert 0 < point["engine_p50_ms"] <= point["engine_p99_ms"]
        assert point["share"] == pytest.approx(point["served_fps"] / point["engine_fps"])
        assert point["overhead_ms"] == pytest.approx(point["served_p50_ms"] - point["engine_p50_ms"])
        # a session waits for each answer, so no more frames come than there are waits to pass
        assert point["served_fps"] <= 1.5e3 * point["sessions"] / point["served_p50_ms"]
    assert report["outputs"] == [str(plot)]
    assert plot.stat().st_size > 1000


@pytest.mark.parametrize("bundle", ["tiny_interpolator", "tiny_classifier"])
def test_every_task_is_served_and_measured(request: pytest.FixtureRequest, bundle: str) -> None:
    model: Bundle = request.getfixturevalue(bundle)
    asked = LoadOptions(counts=(2,), frames=6, repetitions=1, warm_up=2, size=(96, 64))
    (point,) = measure_serving(str(model.path), asked, runtime="onnx")
    assert 0 < point.served_p50_ms <= point.served_p99_ms
    assert 0 < point.engine_p50_ms <= point.engine_p99_ms


def test_what_cannot_be_measured_is_told_before_anything_starts() -> None:
    for options in ({"counts": ()}, {"counts": (0,)}, {"frames": 0}, {"repetitions": 0}, {"warm_up": -1}):
        with pytest.raises(OptionError):
            LoadOptions(**options)


def test_a_model_that_is_not_there_is_the_engines_own_error() -> None:
    with pytest.raises(UnknownModelError):
        measure_serving("nobody", LoadOptions(counts=(1,), frames=1, repetitions=1, size=(64, 64)))


def test_the_table_has_every_number(tmp_path: Path) -> None:
    points = [
        ServePoint(1, 90.0, 11.0, 15.0, 100.0, 10.0, 12.0),
        ServePoint(4, 160.0, 25.0, 40.0, 200.0, 20.0, 30.0),
    ]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(serving_table(points))
    text = console.export_text()
    for part in ("90.0", "100.0", "90%", "80%", "1.00", "5.00", "40.00"):
        assert part in text
    serving_plot(points, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()
