"""The task ``stream``: any recurrent model of frames, by its manifest alone."""

from .task import StreamMemory, Streaming
from .views import StreamView

__all__ = ["StreamMemory", "StreamView", "Streaming"]
