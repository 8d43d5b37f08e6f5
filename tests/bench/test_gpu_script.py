"""``bench/gpu.sh`` itself: whole over a CPU and stand-ins, with parts that hang, fail or cannot run."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

DEVICE_FILES, DEVICE_BYTES = 8, 16 << 20
"""What comes back from a machine that is lent with a GPU: files, and bytes each."""


def run(checkout: Path, out: Path, *options: str, **environment: str) -> tuple[str, dict[str, str]]:
    """What the script says, and each part's result by its table."""
    done = subprocess.run(
        ["bash", str(checkout / "bench/gpu.sh"), *options, str(out)],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")]
    report = (out / "report.md").read_text("utf-8")
    assert all("|".join(row) in report for row in rows)
    assert len(list(out.iterdir())) <= DEVICE_FILES
    assert all(path.stat().st_size < DEVICE_BYTES for path in out.iterdir())
    return done.stdout, {row[1].strip(): row[3].strip() for row in rows}


@pytest.mark.slow
def test_all_of_it_runs_dry(checkout: Path, tmp_path: Path) -> None:
    pytest.importorskip("triton")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    _, parts = run(checkout, tmp_path / "out", "--dry", "--quick", PATH=path)
    assert set(parts.values()) == {"passed"}, parts
    assert {"throughput-eager-fp32", "latency-onnx-128x96", "pair-eager-128x96", "scan", "plans"} <= set(
        parts
    )
    with tarfile.open(tmp_path / "out/parts.tar.gz") as archive:
        names = set(archive.getnames())
    assert {f"parts/{name}.txt" for name in parts} | {"parts/table.md"} <= names


def stand_ins(folder: Path, seconds: float, cuda: bool) -> str:
    """A PATH whose programs take a while and know no ONNX Runtime with CUDA, Triton or TensorRT."""
    folder.mkdir()
    framestate = f"case $* in *latency*) sleep {seconds} ;; *pair*) echo broken >&2; exit 3 ;; esac"
    python = f"""case $* in
*gpu_report*) echo "# report"; cat "${{@: -1}}/table.md" ;;
*onnxruntime*) exit {int(not cuda)} ;;
*"import triton"* | *tensorrt*) exit 1 ;;
esac"""
    for name, text in (("framestate", framestate), ("python3", python), ("nvidia-smi", "")):
        path = folder / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_parts_that_hang_fail_or_cannot_run_are_told(checkout: Path, tmp_path: Path) -> None:
    path = stand_ins(tmp_path / "tools", 60, cuda=False)
    said, parts = run(checkout, tmp_path / "out", "--quick", PATH=path, LIMIT="1")
    assert parts["latency-eager-1920x1080"] == "failed: more than 1 s"
    assert parts["pair-eager-1920x1080"] == "failed (3)"
    assert parts["throughput-eager-bf16"] == "passed", "the others go on"
    for name, why in (("onnx", "has no CUDA"), ("kernels", "triton"), ("plans", "tensorrt or pycuda")):
        assert parts[name].startswith("not run")
        assert why in parts[name]
    assert "parts.tar.gz" in said
    with tarfile.open(tmp_path / "out/parts.tar.gz") as archive:
        error = archive.extractfile("parts/pair-eager-1920x1080.err")
        assert error
        assert error.read() == b"broken\n"


def test_onnx_runs_where_its_build_has_cuda(checkout: Path, tmp_path: Path) -> None:
    path = stand_ins(tmp_path / "tools", 0, cuda=True)
    _, parts = run(checkout, tmp_path / "out", "--quick", PATH=path)
    assert parts["latency-onnx-1920x1080"] == "passed"
    assert "onnx" not in parts
