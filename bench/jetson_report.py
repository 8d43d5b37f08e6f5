"""One report out of what ``bench/jetson.sh`` measured: rates, p99, power, temperature, joules a frame."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

TOTAL = (("VDD_IN",), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"))
"""Rails of tegrastats that are the whole module together: one on Orin Nano and NX, three on AGX Orin."""


@dataclass(frozen=True)
class Watch:
    """What tegrastats saw over a while; None where it said nothing.

    Attributes:
        rail: which rails the power is of; None where not all of a module are told.
        watts, most_watts: median and highest power.
        celsius: the GPU's highest temperature.
    """

    samples: int
    rail: str | None
    watts: float | None
    most_watts: float | None
    celsius: float | None


def watched(text: str) -> Watch:
    """Reads tegrastats' lines; what is not as expected is passed over."""
    lines = [line for line in text.splitlines() if line.strip()]
    rails = next((names for names in TOTAL if all(f"{name} " in text for name in names)), ())
    told = [[re.search(rf"\b{name} (\d+)mW", line) for name in rails] for line in lines]
    power = [sum(int(one[1]) for one in found if one) / 1000 for found in told if found and all(found)]
    heat = [float(found[1]) for line in lines if (found := re.search(r"\bgpu@([\d.]+)C", line, re.I))]
    return Watch(
        samples=len(lines),
        rail=" + ".join(rails) or None,
        watts=median(power) if power else None,
        most_watts=max(power, default=None),
        celsius=max(heat, default=None),
    )


def report(folder: Path) -> dict[str, Any]:
    """Everything in ``folder`` as one object.

    ``joules_a_frame`` is the median power while the throughput was measured over the highest frames a second
    of it, and what the module takes at rest is in it.
    """
    watches = {
        name: watched(folder.joinpath(f"tegrastats-{name}.txt").read_text("utf-8", "replace"))
        for name in ("rest", "latency", "throughput")
    }
    parts: Mapping[str, Any] = {
        name: json.loads(folder.joinpath(f"{name}.json").read_text("utf-8"))
        for name in ("doctor", "latency", "throughput")
    }
    fps = max(point["fps_total"] for point in parts["throughput"]["points"])
    watts = watches["throughput"].watts
    return {
        "fps": fps,
        "joules_a_frame": watts / fps if watts is not None and fps > 0 else None,
        "watched": {name: asdict(watch) for name, watch in watches.items()},
        **parts,
    }


def main() -> None:
    """Writes ``report.json`` into the folder that is named."""
    folder = Path(sys.argv[1])
    text = json.dumps(report(folder), indent=2) + "\n"
    folder.joinpath("report.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
