"""What goes wrong in an export."""

from collections.abc import Sequence

_NAMED = 10  # ids in a message


class ExportError(ValueError):
    """Nothing was written: the rule, what was got, where, what to do."""


def named(ids: Sequence[str]) -> str:
    """A few ids for a message, and how many more there are."""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(ids[:_NAMED]) + more
