"""Train a Sa2VA: a run, its steps, its checkpoints, its metrics. None of it knows of Ray (`ray_train.py` does)."""
