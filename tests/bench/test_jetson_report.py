"""The report of a Jetson, out of lines as tegrastats writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from framestate.bench.jetson_report import report, watched

LINE = (
    "11-21-2026 10:00:00 RAM 2301/7620MB (lfb 4x4MB) SWAP 0/3810MB CPU [12%@1510,3%@1510] GR3D_FREQ 61% "
    "cpu@48.5C soc2@47C tj@49C gpu@{heat}C VDD_IN {power}mW/5100mW VDD_CPU_GPU_CV 900mW/910mW\n"
)


def test_what_tegrastats_says() -> None:
    text = "".join(
        LINE.format(heat=heat, power=power) for heat, power in ((50.5, 5000), (52, 9000), (51, 7000))
    )
    found = watched(text)
    assert (found.samples, found.rail) == (3, "VDD_IN")
    assert (found.watts, found.most_watts, found.celsius) == (7.0, 9.0, 52.0)
    nothing = watched("nonsense\n\nmore of it")
    assert nothing.samples == 2
    assert (nothing.rail, nothing.watts, nothing.most_watts, nothing.celsius) == (None,) * 4


def test_joules_a_frame(tmp_path: Path) -> None:
    for name, power in (("rest", 4000), ("latency", 6000), ("throughput", 8000)):
        (tmp_path / f"tegrastats-{name}.txt").write_text(LINE.format(heat=50, power=power))
    points = [{"fps_total": 300.0}, {"fps_total": 400.0}]
    for name, content in (("doctor", {}), ("latency", {}), ("throughput", {"points": points})):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    found = report(tmp_path)
    assert found["fps"] == 400
    assert found["joules_a_frame"] == pytest.approx(8.0 / 400)
    (tmp_path / "tegrastats-throughput.txt").write_text("")
    assert report(tmp_path)["joules_a_frame"] is None


def test_the_power_of_an_agx_is_the_sum_of_its_rails() -> None:
    line = (
        "GR3D_FREQ 61% gpu@50C VDD_GPU_SOC 4000mW/4100mW VDD_CPU_CV 1000mW/1000mW VIN_SYS_5V0 3000mW/3100mW\n"
    )
    found = watched(line)
    assert (found.rail, found.watts) == ("VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0", 8.0)
    assert watched(line.replace("VDD_CPU_CV", "VDD_OTHER")).watts is None, "a part is not the whole"
