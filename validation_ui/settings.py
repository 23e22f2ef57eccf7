"""The settings of a validation project: chosen at the import, kept in the database, changed by `set`."""

import hashlib
import json
import math
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
    """The settings of a project. Why the defaults are what they are: docs/validation.md, "Where the numbers come from".

    Raises:
        ValueError: a fraction is outside of [0, 1], or a value is negative.
    """

    seed: int = 0
    videos: int = 1147  # quota, paper section 3.3
    long: int = 1694  # quota of long expressions
    short: int = 251  # quota of short ones
    per_video: int = 3  # most objects of one video in the split
    pass_frac: float = 0.65  # fraction of candidates expected to be accepted: decides how many more are drawn
    overlap_frac: float = 0.15  # fraction of items with a second sighted judgement
    blind_overlap_frac: float = 0.0  # fraction of items that two people find: takes a team of one reviewer more
    gold_frac: float = 0.05  # fraction of all items that a person is given, outside of the entry test
    entry_items: int = 20  # gold items of the entry test
    entry_right_frac: float = 0.85  # fraction of right answers that passes the entry test
    gold_right_frac: float = 0.85  # of the last `gold_window` gold answers; below it the person is stopped
    gold_window: int = 40
    max_edits: int = 2  # the next edit sends the item to the adjudicator
    lease_s: float = 900.0
    prefetch_lease_s: float = 120.0  # for the item that is loaded before the person begins with it
    undo_last: int = 20  # judgements that a person can take back
    short_words_min: int = 3
    short_words_max: int = 20
    rejected_frac: float = 0.0  # texts that a gate of the run rejected, for each expression that is drawn
    no_target: int = 0  # texts that fit nothing in their video, expected to come to the blind pass

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_frac") and not 0 <= value <= 1:
                raise ValueError(f"{field.name} must be in [0, 1], got {value}")
            if value < 0:
                raise ValueError(f"{field.name} must not be negative, got {value}")
            if not math.isfinite(value):
                raise ValueError(f"{field.name} must be finite, got {value}")

    def as_dict(self) -> dict[str, Any]:
        """Return every setting by its name."""
        return asdict(self)

    def changed(self, pairs: Sequence[str]) -> Self:
        """Return a copy of these settings with some of them changed.

        Args:
            pairs: strings `name=value`, e.g. `overlap_frac=0.3`.

        Raises:
            ValueError: a name is not that of a setting, or a value is not allowed for it.
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
        """Write these settings into the database, in place of those that were there."""
        connection.execute(meta.delete().where(meta.c.key == "settings"))
        connection.execute(meta.insert().values(key="settings", value=self.as_dict()))

    @staticmethod
    def load(connection: Connection) -> "Settings":
        """Read the settings of the project; the defaults if nothing was imported yet."""
        return Settings.of(connection.execute(_STORED).scalar())

    @staticmethod
    def of(stored: str | None) -> "Settings":
        """Return the settings from the column `STORED_SETTINGS` of another statement's row."""
        return _parsed(stored or "{}")


_STORED = select(cast(meta.c.value, Text)).where(meta.c.key == "settings")
STORED_SETTINGS = _STORED.scalar_subquery().label("settings")  # a column, for statements that are needed with them


@lru_cache(maxsize=8)  # the text changes only when some process changes the settings
def _parsed(stored: str) -> Settings:
    try:
        return Settings(**json.loads(stored))
    except (ValueError, TypeError) as error:  # cut off, or with a name that this release does not have
        raise ValueError(
            f"the settings in this database cannot be read ({error}): restore a backup, or use the release of them"
        ) from error


def seeded_frac(seed: int, *names: object) -> float:
    """Return a number in [0, 1) that looks random but is always the same for the same seed and names."""
    digest = hashlib.sha256("\n".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56
