"""Scores predictions on a benchmark split: J, F and J&F for long, short and overall."""
