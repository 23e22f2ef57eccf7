"""Which masklets of an annotation file cannot be used."""

from stages.video.masklets import Masklets


def bad_columns(masklets: Masklets, size: tuple[int, int]) -> dict[int, str]:
    """Position -> what is wrong: malformed, or not of the upright video's `size` (height, width), in any frame."""
    bad = dict(masklets.errors)
    other_TN = (masklets.sizes_TN2 != size).any(axis=2)
    for n in range(other_TN.shape[1]):
        if n not in bad and other_TN[:, n].any():
            t = int(other_TN[:, n].argmax())
            got = masklets.sizes_TN2[t, n].tolist()
            bad[n] = f"masklet[{t}][{n}]: size must be that of the video, {list(size)}, got {got}"
    return bad
