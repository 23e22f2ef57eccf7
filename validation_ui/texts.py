"""What people may write: expressions, notes and reasons; and the versions of an item's text."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, insert, select

from validation_ui.schema import text_version
from validation_ui.settings import MAX_TEXT_CHARS, Settings

# Cc control, Cf format (direction marks, zero-width), Co private, Cs surrogate, Zl Zp line separators
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_PARTS = select(text_version.c.parts).where(text_version.c.id == bindparam("text_id"))


def clean(text: str, *, lines: bool = False, empty: bool = False) -> str:
    """The text as it is kept: NFC, without space around it.

    Args:
        text: as it came.
        lines: whether it may have more than one line.
        empty: whether it may be empty.

    Raises:
        ValueError: it is empty, too long, or has a character that cannot be seen.
    """
    kept = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    for character in kept:
        if unicodedata.category(character) in _HIDDEN and not (lines and character == "\n"):
            raise ValueError(f"must have visible characters only, got U+{ord(character):04X}; remove it")
    if not empty and not kept:
        raise ValueError("must not be empty")
    if len(kept) > MAX_TEXT_CHARS:
        raise ValueError(f"must have at most {MAX_TEXT_CHARS} characters, got {len(kept)}; shorten it")
    return kept


def clean_short(text: str, settings: Settings) -> str:
    """A short expression as it is kept.

    Raises:
        ValueError: as `clean`, or it has too few or too many words.
    """
    kept = clean(text)
    words, least, most = len(kept.split()), settings.short_words_min, settings.short_words_max
    if not least <= words <= most:
        raise ValueError(f"must have {least} to {most} words, got {words}")
    return kept


def sha256(parts: Mapping[str, str]) -> str:
    """What names a text: judgements hold for it alone."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def add(
    connection: Connection,
    item_id: int,
    parts: Mapping[str, str],
    *,
    author_id: int | None,
    parent_id: int | None,
    now: float,
) -> int:
    """Keep a new text of an item; its id. The item's current text stays what it is."""
    row = {
        "item_id": item_id,
        "parts": dict(parts),
        "sha256": sha256(parts),
        "author_id": author_id,
        "parent_id": parent_id,
        "created_at": now,
    }
    return int(connection.execute(insert(text_version).values(**row).returning(text_version.c.id)).scalar_one())


def parts_of(connection: Connection, text_id: int) -> dict[str, str]:
    """The parts of a text, by name."""
    parts: dict[str, str] = connection.execute(_PARTS, {"text_id": text_id}).scalar_one()
    return parts


def first_text_id(connection: Connection, item_id: int) -> int:
    """The text that an item started with."""
    texts = select(text_version.c.id).where(text_version.c.item_id == item_id).order_by(text_version.c.id).limit(1)
    return int(connection.execute(texts).scalar_one())
