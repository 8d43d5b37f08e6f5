"""``framestate doctor --jetson``: what a Jetson is, how it is set, and what would make it faster."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Ask = Callable[[str], str]


@dataclass(frozen=True)
class Finding:
    """One thing about the machine; ``why_not`` and ``remedy`` are empty where all is well."""

    usable: bool
    version: str
    why_not: str = ""
    remedy: str = ""


def inspect_jetson(root: Path = Path("/"), ask: Ask | None = None) -> dict[str, Finding]:
    """Module, JetPack, power mode, clocks and camera daemon.

    Args:
        root: where the files of the system are.
        ask: runs a program of the system and returns what it says, or nothing.
    """
    said = ask or run
    return {
        "module": module(root),
        "jetpack": jetpack(root),
        "power mode": power_mode(root, said("nvpmodel -q")),
        "clocks": clocks(root),
        "camera": camera(root),
    }


def run(command: str) -> str:
    """What a program says; nothing where it is missing, fails, or takes ten seconds."""
    words = command.split()
    if shutil.which(words[0]) is None:
        return ""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def read(path: Path, most: int = 4096) -> str:
    """A small file of the system, or nothing."""
    try:
        return path.read_bytes()[:most].decode("utf-8", "replace").strip("\0 \n")
    except OSError:
        return ""


def module(root: Path) -> Finding:
    """The name of the board."""
    name = read(root / "proc/device-tree/model")
    if "orin" in name.lower():
        return Finding(True, name)
    seen = repr(name) if name else "a machine that does not say what it is"
    return Finding(False, name, f"this is {seen}, no Jetson Orin", "run it on the Jetson")


def jetpack(root: Path) -> Finding:
    """L4T's release, and with it JetPack's: R36 is JetPack 6, R38 and newer JetPack 7."""
    told = read(root / "etc/nv_tegra_release")
    found = re.search(r"R(\d+).*?REVISION: ([\d.]+)", told)
    if found is None:
        return Finding(False, "", "there is no L4T (/etc/nv_tegra_release)", "flash JetPack 6 or 7")
    release = int(found[1])
    version = f"L4T {found[1]}.{found[2]}"
    if release < 36:
        return Finding(False, version, f"{version} is older than JetPack 6", "flash JetPack 6 or 7")
    return Finding(True, f"{version}, JetPack {6 if release < 38 else 7}")


def power_mode(root: Path, told: str) -> Finding:
    """What nvpmodel is set to. The mode without a cap has MAXN in its name; its number differs by module."""
    name = re.search(r"NV Power Mode: (\S+)", told)
    number = re.search(r"^(\d+)\s*$", told, re.MULTILINE)
    if name is None or number is None:
        return Finding(False, "", "nvpmodel does not answer", "sudo nvpmodel -q")
    if "MAXN" in name[1]:
        return Finding(True, name[1])
    modes = re.findall(r"POWER_MODEL ID=(\d+) NAME=(\S*MAXN\S*)", read(root / "etc/nvpmodel.conf", 1 << 17))
    remedy = f"sudo nvpmodel -m {modes[-1][0]} ({modes[-1][1]})" if modes else "choose the mode named MAXN"
    return Finding(False, name[1], f"the mode {name[1]} caps the GPU's clock", remedy)


def clocks(root: Path) -> Finding:
    """Whether the GPU's clock is held at its highest, as jetson_clocks does."""
    for folder in sorted((root / "sys/class/devfreq").glob("*gpu*")):
        low, high = read(folder / "min_freq"), read(folder / "max_freq")
        if low.isdigit() and high.isdigit():
            version = f"{int(low) // 10**6} to {int(high) // 10**6} MHz"
            if low == high:
                return Finding(True, version)
            return Finding(False, version, "the GPU's clock falls between frames", "sudo jetson_clocks")
    return Finding(False, "", "the GPU's clock cannot be read", "sudo jetson_clocks --show")


def camera(root: Path) -> Finding:
    """Whether the daemon behind ``nvarguscamerasrc`` is up; USB and network cameras need none."""
    if (root / "tmp/argus_socket").exists():
        return Finding(True, "nvargus-daemon")
    return Finding(
        False, "", "nvargus-daemon is not up (CSI cameras need it)", "sudo systemctl start nvargus-daemon"
    )
