"""The filter in VapourSynth's own frame server: which frames come, when, and that they are free of order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import numpy as np, vapoursynth as vs
from fractions import Fraction
from framestate.engine import Engine
from framestate.errors import OptionError
from framestate.vapoursynth import interpolate
from framestate.vision import Frame

rng = np.random.default_rng(0)
canvas = np.kron(rng.integers(0, 256, (12, 30, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
pictures = [np.ascontiguousarray(canvas[:64, 3 * index : 3 * index + 96]) for index in range(4)]
pictures += [255 - pictures[0], 255 - pictures[1]]
core = vs.core
rate = {"fpsnum": 24000, "fpsden": 1001}
blank = core.std.BlankClip(format=vs.RGB24, width=96, height=64, length=len(pictures), **rate)

def fill(n, f):
    frame = f.copy()
    for plane in range(3):
        np.copyto(np.asarray(frame[plane]), pictures[n][..., plane])
    if n == 3:
        frame.props["_SceneChangeNext"] = 1
    return frame

clip = blank.std.ModifyFrame(blank, fill)
def shown(node, n):
    with node.get_frame(n) as frame:
        return np.dstack([np.asarray(frame[plane]) for plane in range(3)])

double = interpolate(clip, multi=2, threads=1)
assert (double.num_frames, double.fps) == (12, Fraction(48000, 1001)), (double.num_frames, double.fps)
in_order = [shown(double, n) for n in range(12)]
for n, picture in enumerate(pictures):
    assert np.array_equal(in_order[2 * n], picture)
assert np.array_equal(in_order[7], pictures[3]), "nothing is made across a cut"
assert np.array_equal(in_order[11], pictures[5]), "the last frame stays"

again = interpolate(clip, multi=2, threads=1)
for n in (9, 3, 1, 5, 3):
    assert np.array_equal(shown(again, n), in_order[n]), n

with Engine.load("interp-nano", threads=1, capacity=1) as engine, engine.open(lookahead=True) as session:
    frames = [Frame(p, n, Fraction(1001, 24000), n) for n, p in enumerate(pictures[:4])]
    expected = [one.image for frame in frames for one in session.push(frame)]
    expected += [one.image for one in session.flush()]
for n, picture in enumerate(expected[:7]):
    assert np.array_equal(picture, in_order[n]), n

even = interpolate(clip, fps=60, threads=1)
assert even.fps == 60
assert even.num_frames == int(6 * Fraction(60 * 1001, 24000))
with even.get_frame(1) as frame:
    assert (frame.props["_DurationNum"], frame.props["_DurationDen"]) == (1, 60)
    assert not np.array_equal(np.asarray(frame[0]), pictures[0][..., 0])

grey = core.std.BlankClip(format=vs.GRAY8, length=3)
odd = ({"fps": 12}, {"multi": 2, "fps": 60}, {"scale": 3})
for wrong, options in ((grey, {}), *((clip, one) for one in odd)):
    try:
        interpolate(wrong, **options)
    except OptionError:
        continue
    raise AssertionError(options)
print("all as it should be")
"""


def test_frames_of_vapoursynth(tmp_path: Path) -> None:
    probe = [
        sys.executable,
        "-c",
        "import vapoursynth; vapoursynth.core",
    ]  # the folder at the root is no such
    if subprocess.run(probe, capture_output=True, cwd=tmp_path, timeout=120).returncode:
        pytest.skip("VapourSynth is not installed; it has packages for Python 3.12 and newer")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    found = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-2000:]
    assert "all as it should be" in found.stdout
