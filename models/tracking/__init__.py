"""Training trackers: data, samples, losses, and the task that the training loop runs."""
