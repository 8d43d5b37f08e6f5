"""Which trackers an evaluation runs, as plain values: another process can open the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2

from ..engine import Engine, TrackingOptions
from ..errors import OptionError
from .ours import EngineTracker
from .peers import PeerFiles, open_peer
from .runs import PeerTracker, SequenceTracker

RESTART = "restart"
"""In ``against``: our own tracker once more, each frame from the state that the first one left."""
_NOTHING: Mapping[str, Any] = MappingProxyType({"carry": 0.0, "refresh_every": 0, "look_every": 0})
"""Options with which a tracker writes nothing of its state after the first frame."""


@dataclass(frozen=True)
class Lineup:
    """Our tracker and the ones it is compared with.

    Attributes:
        model, runtime, device, threads: as `Engine.load` takes them.
        against: names of peers, see `bench.peers`, or `RESTART`.
        files: of the peers that need some.
    """

    model: str
    runtime: str = "auto"
    device: str = "auto"
    threads: int | None = None
    against: tuple[str, ...] = ()
    files: PeerFiles = field(default_factory=PeerFiles)

    @contextmanager
    def open(self) -> Iterator[OpenLineup]:
        """The trackers, ready to run; ours first.

        Raises:
            OptionError, DataError, RuntimeUnavailableError, BundleError: one of them cannot be had.
        """
        trackers: dict[str, SequenceTracker] = {
            name: PeerTracker(open_peer(name, self.files)) for name in self.against if name != RESTART
        }
        with ExitStack() as opened:
            engine = opened.enter_context(self._engine())
            name = engine.runtime.spec.name
            if name in self.against:
                raise OptionError(
                    f"The model and a tracker of --against are both called {name}", "Rename it."
                )
            if RESTART in self.against:
                spec = engine.runtime.spec
                given = TrackingOptions.from_spec(spec)
                inputs = {tensor.name for one in spec.functions.values() for tensor in one.inputs}
                looks = "look" in spec.functions and given.look_every
                if not ("carry" in inputs or given.refresh_every or looks):
                    raise OptionError(f"{name} carries nothing from frame to frame", "Leave out 'restart'.")
                options = replace(given, **_NOTHING)
                without = self._engine(options)
                trackers[RESTART] = EngineTracker(opened.enter_context(without))
            peers = {name: trackers[name] for name in self.against}
            yield OpenLineup(name, {name: EngineTracker(engine), **peers}, self._settings(engine))

    def _engine(self, options: TrackingOptions | None = None) -> Engine:
        return Engine.load(
            self.model,
            runtime=self.runtime,
            device=self.device,
            threads=self.threads,
            capacity=1,
            options=options,
        )

    def _settings(self, engine: Engine) -> dict[str, Any]:
        peers: dict[str, Any] = {
            name: {"opencv": cv2.__version__} for name in self.against if name != RESTART
        }
        for entry in fields(self.files):
            path = getattr(self.files, entry.name)
            name = entry.name.partition("_")[0]
            if path is not None and name in peers:
                peers[name][entry.name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        ours = {
            "bundle": engine.bundle_hash,
            "runtime": engine.runtime.name,
            "device": engine.runtime.device,
        }
        if RESTART in self.against:
            peers[RESTART] = {**ours, **_NOTHING}
        return {"trackers": {engine.runtime.spec.name: ours, **peers}}


@dataclass(frozen=True)
class OpenLineup:
    """Trackers that can run.

    Attributes:
        ours: the name of our tracker.
        trackers: by name.
        settings: what their boxes follow from, for `RunStore`.
    """

    ours: str
    trackers: dict[str, SequenceTracker]
    settings: dict[str, Any]

    @property
    def where(self) -> tuple[str, str]:
        """Runtime and device of our tracker."""
        ours = self.settings["trackers"][self.ours]
        return ours["runtime"], ours["device"]
