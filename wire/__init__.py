"""Floor 0: what engine, server and client say to one another: answers, and how they look on the wire."""

from .answers import Classification, Made, Output, Status, Timings, Track, stamped

__all__ = ["Classification", "Made", "Output", "Status", "Timings", "Track", "stamped"]
