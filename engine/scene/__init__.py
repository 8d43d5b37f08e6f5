"""A scene: many targets in one video, followed always and detected now and then."""

from .answer import SceneAnswer, Sighting
from .detections import Detections
from .options import SceneOptions
from .scene import Scene
from .target import Target

__all__ = ["Detections", "Scene", "SceneAnswer", "SceneOptions", "Sighting", "Target"]
