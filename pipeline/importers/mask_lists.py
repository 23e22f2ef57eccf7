"""Reads an object's masks from a list over pictures, as COCO video JSON and MeViS's `mask_dict.json` have them."""

from collections.abc import Iterator
from typing import Any

from pipeline.importers.source_protocol import ImportFailedError, ImportReason
from stages.video.rle import Rle, from_coco


def read_masks_T(entries: Any, count: int, size: tuple[int, int], where: str) -> Iterator[tuple[int, Rle]]:
    """Give (position, mask) of every picture at which the object can be seen.

    Args:
        entries: a list with a mask of any form, or null, for each of `count` pictures.
        count: pictures.
        size: their (height, width).
        where: what errors call the object.

    Raises:
        ImportFailedError: it is no such list, or a mask makes no sense.
    """
    if not isinstance(entries, list) or len(entries) != count:
        got = f"{len(entries)}" if isinstance(entries, list) else type(entries).__name__
        raise ImportFailedError(
            ImportReason.MASK_MISSING, f"{where} must have a mask or null for each of {count} pictures, got {got}"
        )
    for at, entry in enumerate(entries):
        if entry:
            try:
                yield at, from_coco(entry, *size)
            except ValueError as error:
                detail = f"{where}: the mask of picture {at}: {error}"
                raise ImportFailedError(ImportReason.MASK_UNREADABLE, detail) from error
