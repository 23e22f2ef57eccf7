"""What can be chosen of a validation project. Fixed at import and kept in the database, but for `Serving`."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any, Self

from sqlalchemy import Connection, Text, cast, select

from validation_ui.schema import meta

REASONS = (
    "wrong_object",
    "ambiguous",
    "wrong_attribute",
    "wrong_action",
    "hallucinated",
    "mask_bad",
    "mask_part_or_whole",
    "language",
    "unsafe",
    "other",
)
PARTS = {"long": ("object", "scene", "video"), "short": ("short",)}
MAX_TEXT_CHARS = 2000
_KINDS = {int: "a whole number", float: "a number"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """A project's settings; defaults are the paper's figures or those of facts/validation.md, section 5.

    Raises:
        ValueError: a value is out of its range.
    """

    seed: int = 0
    videos: int = 1147  # quota, paper section 3.3
    long: int = 1694  # quota of long expressions
    short: int = 251  # quota of short ones
    per_video: int = 3  # objects of one video in the split
    pass_frac: float = 0.65  # share of candidates expected to be accepted: how many more than the quota are drawn
    overlap_frac: float = 0.15  # items with a second sighted judgement
    gold_frac: float = 0.05  # of sighted claims that are gold items
    entry_items: int = 20
    entry_right_frac: float = 0.85
    gold_right_frac: float = 0.85  # over the last `gold_window` gold answers, or the last judgements are asked again
    gold_window: int = 40
    max_edits: int = 2  # one more goes to the adjudicator
    lease_s: float = 900.0
    prefetch_lease_s: float = 120.0
    undo_last: int = 20
    short_words_min: int = 3
    short_words_max: int = 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_frac") and not 0 <= value <= 1:
                raise ValueError(f"{field.name} must be in [0, 1], got {value}")
            if value < 0:
                raise ValueError(f"{field.name} must not be negative, got {value}")

    def as_dict(self) -> dict[str, Any]:
        """Every setting by its name."""
        return asdict(self)

    def changed(self, pairs: Sequence[str]) -> Self:
        """These settings with some of them changed.

        Args:
            pairs: `name=value`, e.g. `overlap_frac=0.3`.

        Raises:
            ValueError: no such setting, or a value that it cannot have.
        """
        kinds = {name: type(value) for name, value in asdict(self).items()}
        given: dict[str, Any] = {}
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name not in kinds:
                raise ValueError(f"a setting must be one of {', '.join(kinds)}, got {pair!r}")
            try:
                given[name] = kinds[name](value)
            except ValueError as error:
                raise ValueError(f"{name} must be {_KINDS[kinds[name]]}, got {value!r}") from error
        return replace(self, **given)

    def save(self, connection: Connection) -> None:
        """Write them; an import does this once."""
        connection.execute(meta.delete().where(meta.c.key == "settings"))
        connection.execute(meta.insert().values(key="settings", value=self.as_dict()))

    @staticmethod
    def load(connection: Connection) -> "Settings":
        """The project's settings; the defaults if nothing was imported yet."""
        return _parsed(connection.execute(_STORED).scalar() or "{}")


_STORED = select(cast(meta.c.value, Text)).where(meta.c.key == "settings")


@lru_cache(maxsize=8)  # the same text each time, but after a change by whatever process
def _parsed(stored: str) -> Settings:
    return Settings(**json.loads(stored))


def seeded_frac(seed: int, *names: object) -> float:
    """A number in [0, 1) that looks random but follows from the seed and the names."""
    digest = hashlib.sha256("\n".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56
