"""Near-duplicate videos: a 256-bit picture hash of sampled frames, and the rule for when two videos share seconds.

The hash (dHash) says for 16 x 16 places of the grey picture whether it gets brighter to the right. It hardly changes
with size, coding and brightness; a mirrored picture has another. One side of a comparison is sampled DENSE_FPS, the
other SPARSE_FPS times a second: wherever a cut begins, each sparse frame then has a dense one at most 1/24 s away.

Measured on the demo's clips and four real-looking ones: frames of copies (coded anew at CRF 28 to 35, half the size,
brighter by 40, darker by 30 %, cut at the start by a whole number of frames) differ from the nearest in 0 to 23 bits,
in 37 at most where the camera turns fast; different clips of one background in 30 or more, other clips in 60, mirrored
ones in 55. 1,147 videos against 37,311 are 10^11 pairs of frames: about 1,700 s of a core, so a quarter of an hour on
two (extrapolated from 3 * 10^8 pairs).

Shapes: D frames of the dense side, S of the sparse side; 32 bytes each.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

DENSE_FPS = 12.0
SPARSE_FPS = 1.0
BYTES = 32
_SAME_BITS = 28  # two frames that differ in at most this many of 256 show the same
_SAME_FRAMES = 3  # sparse frames, so seconds, that must be found in the other video; all, if it has fewer
_FLAT_LEVELS = 5.0  # standard deviation of the 16 x 17 grey levels; below it, noise decides the bits
_BLOCK = 4096  # frames of each side that are compared at once: 64 MB


def of_frame(grey_HW: NDArray[np.uint8]) -> bytes:
    """32 bytes for an upright grey picture; none if it is flat (a black or white frame)."""
    small = np.asarray(cv2.resize(grey_HW, (17, 16), interpolation=cv2.INTER_AREA), np.int16)
    if small.std() < _FLAT_LEVELS:
        return b""
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes()


def near_duplicates(dense: Mapping[str, bytes], sparse: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Pairs (dense video, sparse video) that share seconds.

    Args:
        dense: video id -> fingerprints at DENSE_FPS, as the benchmark's videos have them.
        sparse: video id -> fingerprints at SPARSE_FPS, as the train videos have them.
    """
    dense_names, dense_D32, dense_video_D = _stack(dense)
    names, sparse_S32, video_S = _stack(sparse)
    needed_V = np.minimum(np.bincount(video_S, minlength=len(names)), _SAME_FRAMES)
    pairs = np.concatenate(  # (dense video, sparse frame), each once
        [np.unique(np.stack([dense_video_D[d], s], axis=1), axis=0) for d, s in _same(dense_D32, sparse_S32)]
        or [np.zeros((0, 2), np.int64)]
    )
    pairs = np.unique(pairs, axis=0)
    videos, shared = np.unique(np.stack([pairs[:, 0], video_S[pairs[:, 1]]], axis=1), axis=0, return_counts=True)
    return [
        (dense_names[a], names[b])
        for (a, b), n in zip(videos.tolist(), shared.tolist(), strict=True)
        if n >= needed_V[b]
    ]


def _stack(fingerprints: Mapping[str, bytes]) -> tuple[Sequence[str], NDArray[np.uint8], NDArray[np.int64]]:
    """(names, all fingerprints, video of each)."""
    names = list(fingerprints)
    counts = [len(fingerprints[name]) // BYTES for name in names]
    bytes_F32 = np.frombuffer(b"".join(fingerprints.values()), np.uint8).reshape(-1, BYTES)
    return names, bytes_F32, np.repeat(np.arange(len(names)), counts)


def _same(
    dense_D32: NDArray[np.uint8], sparse_S32: NDArray[np.uint8]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Indices (dense, sparse) of frames that show the same, block by block.

    The bits as -1 and 1: a product of matrices then counts equal less unequal ones, four times as fast as XOR.
    """
    found = []
    for first in range(0, len(sparse_S32), _BLOCK):
        sparse_256S = _signs(sparse_S32[first : first + _BLOCK]).T
        for start in range(0, len(dense_D32), _BLOCK):
            agree_DS = _signs(dense_D32[start : start + _BLOCK]) @ sparse_256S
            d, s = np.nonzero(agree_DS >= 8 * BYTES - 2 * _SAME_BITS)
            if len(d):
                found.append((d + start, s + first))
    return found


def _signs(bytes_F32: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.unpackbits(bytes_F32, axis=1).astype(np.float32) * 2 - 1
