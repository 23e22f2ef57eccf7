"""Tells how far the judge and the gates of a run are to be believed, by catch texts and by people's verdicts."""
