"""Training any model: the loop and its checkpoints."""
