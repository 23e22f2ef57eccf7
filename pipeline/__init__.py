"""The acts: annotate, and everything that knows Ray, models and outputs."""
