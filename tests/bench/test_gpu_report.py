"""What ``bench/gpu.sh`` makes of a run; and the scan's floors and its measuring, on a CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from framestate.bench.gpu_report import report, rows_of
from framestate.plugins.gpu_scan import GPUS, HALVES, SHAPES, Shape, floors_table, measure

SMALL = Shape("small", 2, 20, 2, 16, 1, 16)


def test_the_page_holds_the_floors(checkout: Path) -> None:
    pytest.importorskip("triton")
    page = checkout.joinpath("docs/operators.md").read_text("utf-8")
    assert floors_table() in page, (
        "run python -m framestate.plugins.gpu_scan --floors and put it into the page"
    )


def test_a_floor_is_what_must_move_and_be_made() -> None:
    """Counted by hand for one small scan; none is faster than its floor."""
    pytest.importorskip("triton")
    numbers = 2 * 20 * (2 * 16 * 2 + 2 + 2 * 16)  # x and y, dt, b and c of every token
    states = 2 * 2 * 16 * 16
    assert SMALL.bytes(4) == 4 * (numbers + 2 * states + 2)
    assert SMALL.bytes(4) - SMALL.bytes(2) == 2 * numbers
    assert SMALL.programs() == 4
    chunk = 2 * (32 * 32 * 16 + 32 * 32 * 16 + 2 * 32 * 16 * 16)  # one chunk of 32 steps
    assert SMALL.operations() == 3 * 4 * chunk
    for gpu in GPUS:
        floor = SMALL.floor(gpu, 4)
        assert floor == max(SMALL.bytes(4) / gpu.bandwidth, SMALL.operations() / gpu.tf32)
        assert all(shape.floor(gpu, 2) <= shape.floor(gpu, 4) for shape in SHAPES)


def test_measuring_runs_on_a_cpu_and_finds_the_error() -> None:
    pytest.importorskip("triton")
    told = json.loads(json.dumps(measure("cpu", 2, [SMALL])))
    assert [row["type"] for row in told["shapes"]] == list(HALVES)
    errors = [row["kernels"]["chunked"]["error"] for row in told["shapes"]]
    assert all(0 < error < 1e-5 for error in errors)
    rows = list(rows_of("scan", told))
    assert len(rows) == len(HALVES)
    assert all("small, " in row and "µs (error " in row for row in rows)


def test_a_report_has_figures_goals_and_parts(tmp_path: Path) -> None:
    def put(name: str, told: Any) -> None:
        (tmp_path / f"{name}.txt").write_text(told if isinstance(told, str) else json.dumps(told))

    put(
        "throughput-eager-fp32",
        {"points": [{"sessions": 1, "fps_total": 300}, {"sessions": 64, "fps_total": 6000}]},
    )
    put("latency-eager-1280x720", {"results": [{"p50_ms": 1.25, "p99_ms": 2.5}]})
    pair = {
        "width": 1920,
        "height": 1080,
        "once_ms": 4.0,
        "encode_ms": 1,
        "motion_ms": 1,
        "interpolate_ms": 1,
    }
    put("pair-tensorrt-1920x1080", pair)
    put("errors", {"ssd_scan": 4e-6})
    put("kernels", "12 passed")
    put("throughput-onnx-fp32", {"error": "none"})
    (tmp_path / "table.md").write_text("| kernels | 2026-11-22 | passed | 3 s |\n")
    found = report(tmp_path).splitlines()
    for row in (
        "| throughput-eager-fp32 | 64 sessions, frames/s | 6000 | >= 5000 |",
        "| throughput-eager-fp32 | 1 sessions, frames/s | 300 |  |",
        "| latency-eager-1280x720 | p50, ms | 1.25 | <= 2 |",
        "| pair-tensorrt-1920x1080 | frames made a second | 250 | >= 200 |",
        "| errors | ssd_scan | 4e-06 |  |",
        "| throughput-onnx-fp32 | cannot be read | KeyError: 'points' | |",
        "| kernels | 2026-11-22 | passed | 3 s |",
    ):
        assert row in found


def test_a_kernel_that_fails_or_is_missing_is_told() -> None:
    found = {"triton": {"failed": "RuntimeError: x"}, "chunked": {"us": 3.0, "error": 1e-3}}
    shape = {"name": "a", "type": "bf16", "floor_us": 2.0, "kernels": found}
    told = {"missing": {"mamba-ssm": "not installed"}, "shapes": [shape]}
    assert list(rows_of("scan", told)) == [
        "| scan | a, bf16, triton | failed: RuntimeError: x | |",
        "| scan | a, bf16, chunked, µs (error 1.0e-03) | 3 | floor 2 |",
        "| scan | mamba-ssm | not there: not installed | |",
    ]
