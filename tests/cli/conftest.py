"""Tiny clips, and two ways to run the command: in this process and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.cli.main import app
from framestate.vision import Image, VideoWriter
from typer.testing import CliRunner, Result

WIDTH, HEIGHT, SIDE = 96, 64, 20
BOX = "12,10,20,20"
"""The square of `picture` in the first frame."""

Invoke = Callable[..., Result]
MakeClip = Callable[..., Path]


def picture(index: int) -> Image:
    """A textured square that moves over a dim ground, two pixels to the right and one down each frame."""
    texture = np.random.default_rng(0)
    image = texture.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    x, y = 12 + 2 * (index % 30), 10 + index % 30
    square = texture.integers(120, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    image[y : y + SIDE, x : x + SIDE] = square[: HEIGHT - y, : WIDTH - x]
    return image


@pytest.fixture
def box() -> str:
    """The target of every clip, as ``--box`` takes it."""
    return BOX


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FRAMESTATE_DEBUG", raising=False)
    return folder


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Write a clip beside the working directory and return its path."""

    def make(name: str = "clip.mp4", frames: int = 5) -> Path:
        path = tmp_path / name
        with VideoWriter(path, WIDTH, HEIGHT, 25) as video:
            for index in range(frames):
                video.write(picture(index))
        return path

    return make


@pytest.fixture
def make_sequences(tmp_path: Path) -> Callable[..., Path]:
    """Write an evaluation folder of sequences of images and return its path."""

    def make(*names: str, frames: int = 4) -> Path:
        for name in names:
            folder = tmp_path / "sequences" / name
            folder.mkdir(parents=True)
            for index in range(frames):
                cv2.imwrite(str(folder / f"{index:03d}.png"), picture(index)[..., ::-1])
            lines = [f"{12 + 2 * index},{10 + index},{SIDE},{SIDE}" for index in range(frames)]
            (folder / "groundtruth.txt").write_text("\n".join(lines), encoding="utf-8")
        return tmp_path / "sequences"

    return make


@pytest.fixture
def invoke() -> Invoke:
    """Run the command in this process."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def report(invoke: Invoke) -> Callable[..., dict[str, Any]]:
    """Run the command with ``--json`` in this process and return what it printed; it has to succeed."""

    def run(*arguments: object) -> dict[str, Any]:
        result = invoke(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        found: dict[str, Any] = json.loads(result.stdout, parse_constant=no_constant)
        return found

    return run


@pytest.fixture
def refused(invoke: Invoke) -> Callable[..., str]:
    """Run the command, which has to exit with 2 and nothing but one line on stderr; returns the line."""

    def run(*arguments: object) -> str:
        result = invoke(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("error: ")
        return lines[0]

    return run


@pytest.fixture
def model(tiny_interpolator: Bundle) -> tuple[str, ...]:
    """Options for an interpolator that takes no time."""
    return ("--model", str(tiny_interpolator.path), "--threads", "1")


@pytest.fixture
def command() -> list[str]:
    """The command as a process of its own."""
    return [sys.executable, "-m", "framestate.cli.main"]


@pytest.fixture
def start(command: list[str]) -> Callable[..., subprocess.Popen[str]]:
    """Start the command in a process of its own, on one thread."""

    def run(*arguments: object, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        )

    return run


def no_constant(name: str) -> None:
    """NaN and Infinity are not JSON."""
    raise AssertionError(f"{name} is not JSON")
