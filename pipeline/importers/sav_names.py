"""Gives videos of a source ids that SA-V's layout and every file system can hold.

`<video_id>_manual.json` lies beside `<video_id>.mp4`, and object ids are `<video_id>/manual/0`: so an id has no slash,
is a file name everywhere, and does not end as an annotation file's name does. An id that is fine stays as it is; one
that is changed gets a hash of its own id at the end. So two ids never become one, and what a video is called does not
depend on the other videos.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

MAX_CHARACTERS = 80
_FINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_ENDS = ("_manual", "_auto")  # of annotation files
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)  # no file names on Windows
_HASH_CHARACTERS = 8


def video_ids(source_ids: Sequence[str]) -> dict[str, str]:
    """Return own id of a video -> its id in the shard, all different, also where case does not count."""
    twins = Counter(one.casefold() for one in source_ids)
    return {one: one if _fits(one) and twins[one.casefold()] == 1 else _mapped(one) for one in source_ids}


def _fits(name: str) -> bool:
    return (
        bool(_FINE.fullmatch(name))
        and len(name) <= MAX_CHARACTERS
        and not name.endswith(_ENDS)
        and not _RESERVED.fullmatch(name)
        and "_copy" not in name
    )


def _mapped(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[: MAX_CHARACTERS - _HASH_CHARACTERS - 1] or "video"
    return f"{words}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:_HASH_CHARACTERS]}"
