"""Structured pruning: what goes together, what counts least, and a smaller model of the rest."""
