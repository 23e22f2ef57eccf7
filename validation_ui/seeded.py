"""Chance that can be repeated: what the seed decides, whatever else is there."""

import hashlib


def place(seed: int, *names: object) -> float:
    """A number in [0, 1) that looks random but follows from the seed and the names."""
    digest = hashlib.sha256("\n".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56
