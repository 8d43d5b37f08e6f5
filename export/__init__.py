"""Floor 4: from a PyTorch model to a bundle that other runtimes run, with proof that they agree."""
