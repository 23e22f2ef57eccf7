"""Training: the loop of one worker, its checkpoints, and what is told along the way."""
