"""Sessions over a runtime, one frame at a time."""
