"""Every kind of session, opened the same way: what holds for one has to hold for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from framestate.bundles import Bundle
from framestate.engine import Engine, InterpolationOptions, Session, TrackingOptions
from framestate.engine.lanes import Lanes
from framestate.errors import StepError
from framestate.runtimes import Arrays, Runtime, RuntimeOver, State, open_runtime
from framestate.vision import Frame

from ...tiny_graphs import write_classifier, write_interpolator, write_stream
from ..own_task import Anomaly
from ..sessions.conftest import FakeRuntime

BOX = (12.0, 10.0, 16.0, 12.0)


class Held(RuntimeOver):
    """A runtime that can be held, fails on white frames, and keeps the batch size of each call."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.gate: threading.Event | None = None
        self.sizes: list[int] = []

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        if self.gate is not None:
            assert self.gate.wait(20)
        images = [array for array in inputs.values() if array.ndim == 4]
        self.sizes += [len(array) for array in images[:1]]
        if any(is_white(row) for array in images for row in np.asarray(array)):
            raise StepError("the model failed", "the session is as it was")
        return super().call(function, inputs, state)


def is_white(planes: Any) -> bool:
    """Whether the middle of a picture (3, height, width) is even in every channel, as noise is not."""
    height, width = planes.shape[1:]
    middle = planes[:, height // 2 - 1 : height // 2 + 2, width // 2 - 1 : width // 2 + 2]
    return bool(np.ptp(middle, axis=(1, 2)).max() == 0)


@dataclass(frozen=True)
class Kind:
    """A kind of session.

    Attributes:
        name: of the task, or of its variant.
        runtime: opens its model, written into a folder.
        task: a user's own, in place of the manifest's.
        options, given: of its sessions.
        near: how far answers of a batch may be from those alone, as the task measures it.
    """

    name: str
    runtime: Callable[[Path], Runtime]
    task: Callable[[Runtime], Any] | None = None
    options: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)
    near: float = 0.0

    def engine(self, folder: Path, capacity: int = 4, lanes: Lanes | None = None) -> Engine:
        """An engine over a model of its own, which can be held."""
        runtime = Held(self.runtime(folder))
        task = None if self.task is None else self.task(runtime)
        return Engine(runtime, task=task, options=self.options, capacity=capacity, lanes=lanes)

    def open(self, engine: Engine, seed: int = 0, **more: Any) -> Session[Any]:
        """A session over clip ``seed``, whose next frame is number 1."""
        box: dict[str, Any] = {"frame": frame(seed, 0), "box": BOX} if engine.task.opens_on_frame else {}
        session = engine.open(**box, **self.given, **more)
        if not engine.task.opens_on_frame:
            session.push(frame(seed, 0))
        return session

    def alone(self, folder: Path, seed: int, indices: range | list[int]) -> list[Any]:
        """The answers to these frames of a session that has an engine for itself."""
        with self.engine(folder, capacity=1) as engine:
            session = self.open(engine, seed)
            return [plain(session.push(frame(seed, index))) for index in indices]


def frame(seed: int, index: int, *, poison: bool = False) -> Frame:
    """Frame ``index`` of clip ``seed``, at 25 frames a second; noise, or white."""
    image = np.random.default_rng([seed, index]).integers(0, 200, (40, 48, 3), dtype=np.uint8)
    if poison:
        image[:] = 255
    return Frame(image, index, Fraction(1, 25), index)


def plain(value: Any) -> Any:
    """All of an answer but where its time went, to be compared bit for bit."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if is_dataclass(value):
        kept = [one.name for one in fields(value) if one.name not in ("timings", "dropped")]
        return tuple(plain(getattr(value, name)) for name in kept)
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def opened(write: Callable[..., Bundle], **options: Any) -> Callable[[Path], Runtime]:
    """Opens a bundle on ONNX Runtime, written unless it is there."""

    def open_it(folder: Path) -> Runtime:
        from framestate.bundles import load_bundle

        name = f"{write.__name__}-{'-'.join(map(str, options.values()))}"
        there = (folder / name / "manifest.json").exists()
        bundle = load_bundle(folder / name) if there else write(folder / name, **options)
        return open_runtime(bundle, "onnx", device="cpu", threads=1)

    return open_it


VIDEO = InterpolationOptions(factor=Fraction(5, 2), cuts=False, duplicates=False)
AHEAD = InterpolationOptions(factor=Fraction(3), cuts=False, duplicates=False, lookahead=True)
KINDS = (
    Kind("tracking", lambda _: FakeRuntime(), options=TrackingOptions(refresh_every=3, refresh_sure=0.1)),
    Kind("interpolation", opened(write_interpolator), given={"options": VIDEO}),
    Kind("interpolation-ahead", opened(write_interpolator), given={"options": AHEAD}),
    Kind("interpolation-carrying", opened(write_interpolator, carries=True), given={"options": VIDEO}),
    Kind("classification", opened(write_classifier), given={"smoothing": 0.3}, near=1e-5),
    Kind("stream", opened(write_stream), near=1e-5),
    Kind("stream-any-size", opened(write_stream, size=None), near=1e-5),
    Kind("own", opened(write_stream), task=Anomaly, near=1e-5),
)
"""What follows of these holds for tasks that were not thought of, too."""
