"""``framestate doctor --jetson`` over the files of made-up machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.cli.jetson import inspect_jetson, run
from typer.testing import Result


@pytest.fixture
def orin(tmp_path: Path) -> Path:
    """The files of an Orin Nano with JetPack 6.2, clocks held."""
    files = {
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
        "sys/class/devfreq/17000000.gpu/min_freq": "1020000000\n",
        "sys/class/devfreq/17000000.gpu/max_freq": "1020000000\n",
        "tmp/argus_socket": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_jetson_that_is_set_for_speed(orin: Path) -> None:
    found = inspect_jetson(orin, lambda command: "NV Power Mode: MAXN_SUPER\n2\n")
    assert all(one.usable and not one.why_not for one in found.values())
    assert found["jetpack"].version == "L4T 36.4.3, JetPack 6"
    assert found["clocks"].version == "1020 to 1020 MHz"


def test_what_would_make_it_faster(orin: Path) -> None:
    (orin / "sys/class/devfreq/17000000.gpu/min_freq").write_text("306000000\n")
    (orin / "etc/nv_tegra_release").write_text("# R35 (release), REVISION: 4.1, GCID: 1\n")
    (orin / "tmp/argus_socket").unlink()
    found = inspect_jetson(orin, lambda command: "NV Power Mode: 15W\n1\n")
    assert found["power mode"].remedy == "choose the mode named MAXN"
    assert found["clocks"].remedy == "sudo jetson_clocks"
    assert "older than JetPack 6" in found["jetpack"].why_not
    assert "nvargus-daemon" in found["camera"].remedy


def test_the_mode_without_a_cap_goes_by_its_name(orin: Path) -> None:
    """On an Orin Nano with JetPack 6.2, mode 0 is 15 W, and MAXN_SUPER is 2."""
    (orin / "etc/nvpmodel.conf").write_text(
        "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
    )
    found = inspect_jetson(orin, lambda command: "NV Power Mode: 15W\n0\n")["power mode"]
    assert not found.usable
    assert found.remedy == "sudo nvpmodel -m 2 (MAXN_SUPER)"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0nonsense", b"R (release), REVISION: x"])
def test_a_machine_that_says_nothing_of_use(orin: Path, content: bytes) -> None:
    for path in [path for path in orin.rglob("*") if path.is_file()]:
        path.write_bytes(content)
    found = inspect_jetson(orin, lambda command: content.decode("latin-1"))
    for name in ("module", "jetpack", "power mode", "clocks"):
        assert not found[name].usable
        assert found[name].why_not
        assert found[name].remedy


def test_programs_that_are_missing_or_fail_say_nothing() -> None:
    assert run("a-program-that-is-nowhere -q") == ""
    assert run("false") == ""
    assert run("echo mode 0") == "mode 0\n"


def test_the_doctor_looks_at_the_jetson(
    report: Callable[..., dict[str, Any]], invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framestate.cli.doctor.examine", lambda: dict(BARE))
    assert set(report("doctor", "--jetson")["jetson"]) == {
        "module",
        "jetpack",
        "power mode",
        "clocks",
        "camera",
    }
    assert "jetson" not in report("doctor")
    assert "power mode" in invoke("doctor", "--jetson").stdout


BARE: dict[str, Any] = {
    "framestate": "0", "python": "3", "platform": "p", "processor": "c", "cores": 1,
    "packages": {}, "models": [], "tasks": [],
    "runtimes": {"onnx": {"usable": True, "version": "1", "devices": ["cpu"], "why_not": "", "remedy": ""}},
    "kernels": {}, "peers": {},
}  # fmt: skip
