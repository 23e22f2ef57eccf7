"""Writes the golden masks anew: `python -m tests.pipeline.sa2va.infer.golden`. Only for a change that is meant."""

import json

from tests.pipeline.sa2va.infer.clip import taught_sa2va
from tests.pipeline.sa2va.infer.test_segment import GOLDEN, OFFICIAL, OURS, masks_of

if __name__ == "__main__":
    model = taught_sa2va()
    content = {config.path: masks_of(model, config) for config in (OURS, OFFICIAL)}
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n")
