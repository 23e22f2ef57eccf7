"""Tables as text, for people: in Markdown, as aligned columns on a screen, or as cells of a CSV; values in YAML."""

import json
import re
from collections.abc import Iterable, Sequence

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes a cell that begins with these for a formula
_YAML_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")  # in YAML 1.1 these are no texts


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table in Markdown.

    Args:
        head: names of the columns.
        rows: cells, as many in each row as `head` has; a `|` in a cell is escaped.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def text_table(rows: Sequence[Sequence[str]], *, left: int = 1, rule: bool = False) -> list[str]:
    """Align columns with spaces; returns one line of text for each row.

    Args:
        rows: cells, the same number in each row; the first row is the head.
        left: how many of the first columns are aligned to the left, the others are to the right.
        rule: whether a line of dashes, a stretch for each column, follows the head.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [*rows[:1], *([["-" * width for width in widths]] if rule else []), *rows[1:]]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def safe_cell(text: str) -> str:
    """Return the text so that no spreadsheet takes it for a formula: a quote is put before it if needed."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def plain_cell(cell: str) -> str:
    """Return the text of a cell that `safe_cell` may have written."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULAS) else cell


def yaml_value(value: object) -> str:
    """Return a text or number as YAML takes it for itself: a text that could be read as something else is quoted."""
    if not isinstance(value, str):
        return str(value)
    plain = re.fullmatch(r"[a-z][\w./*-]*", value, re.ASCII) and value not in _YAML_WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)
