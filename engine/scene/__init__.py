"""A scene: many targets in one video, followed always and detected now and then."""

from ...wire import SceneAnswer, Sighting
from .delay import Delayed
from .detections import Detections
from .finder import Finder
from .memory import Known
from .options import SceneOptions
from .scene import Scene, can_follow
from .target import Target

__all__ = [
    "Delayed", "Detections", "Finder", "Known", "Scene", "SceneAnswer", "SceneOptions", "Sighting", "Target",
    "can_follow",
]  # fmt: skip
