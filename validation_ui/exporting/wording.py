"""Figures as words and tables."""

from collections.abc import Iterable, Sequence

from validation_ui.stats import Share


def share_text(share: Share) -> str:
    """A share with its interval."""
    if share.frac is None or share.low is None or share.high is None:
        return "no data"
    return f"{share.frac:.1%} of {share.n} ({share.low:.1%} to {share.high:.1%})"


def percent_text(value: float | None) -> str:
    """A fraction as a percentage."""
    return "no data" if value is None else f"{value:.1%}"


def number_text(value: float | None, digits: int = 3) -> str:
    """A figure, or that it is undefined."""
    return "undefined" if value is None else f"{value:.{digits}f}"


def table_text(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
