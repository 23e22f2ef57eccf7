"""Writes a comparison as text: on the screen, in Markdown, as CSV; and the paper's figures to hold beside it."""

import csv
import io
from collections.abc import Iterable, Sequence

from manifests.text_tables import markdown_table, text_table
from pipeline.evaluation.compare import GROUP, FigureInterval, Line
from pipeline.evaluation.score import FIGURES, OVERALL, REJECTION
from pipeline.evaluation.split import NO_TARGET

# Table 10 of arXiv 2501.04001: J&F on the paper's own 1,147 videos, which are not those of another split.
PAPER: dict[str, dict[str, float]] = {
    "paper: Sa2VA-8B": {"long": 49.3, "short": 33.3, OVERALL: 41.3},
    "paper: Sa2VA-8B + Ref-SAV": {"long": 58.7, "short": 41.2, OVERALL: 50.0},
    "paper: UNINEXT": {OVERALL: 7.6},
    "paper: UniRef++": {OVERALL: 10.5},
    "paper: VISA": {OVERALL: 11.8},
}
_NAMES = {"JF": "J&F"}
_REJECTION_NAMES = (*REJECTION[:-1], "mean of both and J&F")
_CSV_HEAD = (
    *("model", "facet", "level", "expressions", "videos", "figure", "percent", "low", "high"),
    *("difference", "difference_low", "difference_high"),
)


def screen_text(lines: Sequence[Line]) -> str:
    """Return J, F and J&F of the groups, the last with its interval, as plain columns.

    If there are expressions without a target, N-acc, T-acc and their mean with J&F follow.
    """
    rows: list[tuple[str, ...]] = [("", "", "J", "F", "J&F", "95 % interval", "against the first")]
    for line in _of_groups(lines):
        jf, against = line.figures["JF"], line.differences
        low_high = "" if jf.low is None or jf.high is None else f"{jf.low:.2f} to {jf.high:.2f}"
        plain = (f"{line.figures[name].value:.2f}" for name in ("J", "F", "JF"))
        rows.append((line.model, line.level, *plain, low_high, _signed(against["JF"]) if against else ""))
    table = "\n".join(text_table(rows, left=2))
    without = [line for line in lines if line.facet == NO_TARGET]
    if not without:
        return table
    rejections = [("", *(f"{name} [95 % interval]" for name in _REJECTION_NAMES))]
    rejections += [(line.model, *(str(line.figures[name]) for name in REJECTION)) for line in without]
    return table + "\n\n" + "\n".join(text_table(rejections, left=1))


def markdown(lines: Sequence[Line], *, paper: bool = False) -> str:
    """Return the text of `comparison.md`: the groups, and the strata below.

    Args:
        lines: of `compare`.
        paper: add rows with the paper's figures.
    """
    groups = _of_groups(lines)
    levels, models = _in_order(line.level for line in groups), _in_order(line.model for line in groups)
    at = {(line.model, line.level): line for line in groups}
    shown = [name for name in FIGURES if name != "A"]
    head = ["model", *(f"{level} {_NAMES.get(name, name)}" for level in levels for name in shown)]
    rows = [[model, *(str(at[model, level].figures[name]) for level in levels for name in shown)] for model in models]
    if paper:
        for model, by_level in PAPER.items():
            theirs = (by_level.get(level) if name == "JF" else None for level in levels for name in shown)
            rows.append([model, *("" if value is None else f"{value:.1f}" for value in theirs)])
    sizes = {line.level: f"{line.level}: {line.expressions} in {line.videos}" for line in groups}
    parts = [
        "# Ref-SAV scores",
        "Percent. In brackets 95 % intervals by resampling videos. "
        f"Expressions and videos: {'; '.join(sizes.values())}. Overall is the mean of long and short.",
        markdown_table(head, rows),
    ]
    if paper:
        parts.append("Rows of the paper (table 10) are of its own evaluation videos: a size to expect, no comparison.")
    if len(models) > 1:
        differences = [
            [model, *(_signed((at[model, level].differences or {})["JF"]) for level in levels)] for model in models[1:]
        ]
        parts += [
            f"## J&F against {models[0]}",
            "On the same videos: an interval without 0 is a difference that other videos would show as well.",
            markdown_table(["model", *levels], differences),
        ]
    parts += _rejection([line for line in lines if line.facet == NO_TARGET])
    strata = [line for line in lines if line.facet not in (GROUP, NO_TARGET)]
    if strata:
        cells = {(line.facet, line.level, line.model): str(line.figures["JF"]) for line in strata}
        counts = {(line.facet, line.level): (str(line.expressions), str(line.videos)) for line in strata}
        rows = [[*key, *counts[key], *(cells[*key, model] for model in models)] for key in counts]
        parts += ["## J&F by kind", markdown_table(["facet", "level", "expressions", "videos", *models], rows)]
    return "\n\n".join(parts) + "\n"


def _rejection(lines: Sequence[Line]) -> list[str]:
    """Return the part on expressions without a target; nothing if there are none."""
    if not lines:
        return []
    rows = [[line.model, *(f"{line.figures[name]}{_against(line, name)}" for name in REJECTION)] for line in lines]
    return [
        "## Expressions without a target",
        f"{lines[0].expressions} in {lines[0].videos} videos, in none of the figures above. N-acc is the share of them "
        "whose masks are all empty, T-acc the share of all others with any mask; a mask is empty if it has no pixel.",
        markdown_table(["model", *_REJECTION_NAMES], rows),
    ]


def _against(line: Line, name: str) -> str:
    return f"; {_signed(line.differences[name])} against the first" if line.differences else ""


def as_csv(lines: Sequence[Line], *, paper: bool = False) -> str:
    """Return the text of `comparison.csv`: a figure a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_HEAD)
    for line in lines:
        for name, figure in line.figures.items():
            difference = line.differences[name] if line.differences else None
            of_line = (line.model, line.facet, line.level, line.expressions, line.videos, name)
            writer.writerow([*of_line, *_numbers(figure), *_numbers(difference)])
    for model, by_level in PAPER.items() if paper else ():
        for level, value in by_level.items():
            writer.writerow([model, GROUP, level, "", "", "JF", value, "", "", "", "", ""])
    return text.getvalue()


def _of_groups(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.facet == GROUP]


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _numbers(figure: FigureInterval | None) -> list[str]:
    values = (figure.value, figure.low, figure.high) if figure else (None, None, None)
    return ["" if value is None else f"{value:.4f}" for value in values]


def _signed(figure: FigureInterval) -> str:
    if figure.low is None or figure.high is None:
        return f"{figure.value:+.2f}"
    return f"{figure.value:+.2f} [{figure.low:+.2f}, {figure.high:+.2f}]"
