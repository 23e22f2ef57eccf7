"""Counts what came of the line-ups of a run, and how far their judge is to be believed."""
