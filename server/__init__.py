"""Floor 4: the server: REST, WebSocket, metrics, and a page to see it work."""

from .app import create_app
from .run import Server
from .settings import Settings

__all__ = ["Server", "Settings", "create_app"]
