"""`KeptScenes`: the scenes of live sources on disk, in rounds of snapshots as sessions are"""

from __future__ import annotations

from ..engine import Engine
from ..engine.autosave import Keeping
from .hub import Hub
from .live_scene import LiveScene
from .state_folder import SESSIONS

ENDING = ".scene"


class KeptScenes(Keeping[LiveScene]):
    """Writes the scenes of one model, each whole, beside the files of its sessions.

    Args:
        hub: that has them, and a state folder.
        model: its name.
        engine: of the model.

    Raises:
        OptionError: the folder cannot be made.
    """

    def __init__(self, hub: Hub, model: str, engine: Engine) -> None:
        state = hub.settings.state_dir
        assert state is not None, "there is one"
        super().__init__(state / SESSIONS / engine.bundle_hash[:16], ENDING, hub.settings.snapshot_s, 1)
        self._hub, self._model, self._engine = hub, model, engine

    def opened(self) -> list[LiveScene]:
        """Those of the model."""
        found: list[object] = [one.session for one in self._hub.entries() if one.model == self._model]
        return [one for one in found if isinstance(one, LiveScene)]

    def taken_up(self, key: str, blob: bytes) -> LiveScene:
        """See ``Scene.restore``."""
        return self._hub.scenes.restored(key, self._engine, blob)

    def mark(self, one: LiveScene) -> object:
        """What it remembers."""
        return one.mark
