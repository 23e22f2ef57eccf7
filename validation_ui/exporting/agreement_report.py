"""The report on agreement: figures, gates and people, for readers (Markdown) and for programs (CSV)."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from validation_ui.statistics.agreement import Agreement, Comparison
from validation_ui.statistics.progress import Progress, Reviewer, Share

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins so

Row = tuple[str, str, str, float | None, float | None, float | None, int]  # section, what, figure, value, low, high, n
HEAD = ("section", "what", "figure", "value", "low", "high", "n")


@dataclass(frozen=True)
class Gate:
    """A rule that a published split should meet."""

    name: str
    rule: str
    got: str
    n: int
    passed: bool


def markdown(
    found: Agreement,
    people: Sequence[Reviewer],
    raters: Mapping[int, str],
    project: Progress,
    checks: Sequence[Gate],
    notes: Sequence[str],
) -> str:
    """`agreement.md`."""
    quotas = [(name, str(each.accepted), str(each.quota), str(each.surplus)) for name, each in project.quotas.items()]
    blind = found.blind
    sections = [
        "# How far people agree on this split",
        "Intervals are 95%: of figures of agreement by resampling videos, of rates after Wilson. Raters differ by "
        "item, so Cohen's kappa is of the first against the second judgement. An edit counts as keeping the text, "
        "a flag as no verdict. Gold items and judgements that were undone are not in these figures.",
        "## Gates",
        table_text(
            ("gate", "rule", "got", "n", "passed"),
            ((each.name, each.rule, each.got, str(each.n), "yes" if each.passed else "**no**") for each in checks),
        ),
        *(f"Note: {note}" for note in notes),
        "## What was accepted",
        table_text(("", "accepted", "quota", "more than the quota"), quotas),
        "## Two sighted reviewers",
        table_text(_COMPARISON_HEAD, _comparisons(found.sighted)),
        "## Sighted and blind reviewer of the same text",
        "Only what the first accepted comes to the second: kappa and alpha of the decision are near 0 by construction.",
        table_text(_COMPARISON_HEAD, _comparisons(found.sighted_blind)),
        "## Found from the text alone",
        table_text(
            ("first blind answers", "hit", "chance: a random point", "chance: a random object"),
            [
                (
                    str(blind.hit.n),
                    share_text(blind.hit),
                    percent_text(blind.chance_area_frac),
                    percent_text(blind.chance_object_frac),
                )
            ],
        ),
        "## By stratum",
        table_text(
            ("stratum", "value", "items", "kept at first sight", "n of two", "raw", "AC1", "blind hit"),
            (
                (
                    *(name, value, str(each.items), share_text(each.accepted), str(each.sighted.n)),
                    *(number_text(each.sighted.figures[figure].value) for figure in ("raw", "ac1")),
                    share_text(each.blind_hit),
                )
                for name, values in found.strata.items()
                for value, each in values.items()
            ),
        ),
        "## Reviewers",
        table_text(
            ("reviewer", "role", "judged", "an hour", "accepted", "edited", "gold right", "blind hit", "final accepts"),
            (
                (
                    *(raters[each.id], each.role, str(each.judged), number_text(each.work.per_h, 1)),
                    *(
                        percent_text(each.accept_frac),
                        percent_text(each.edit_frac),
                        share_text(each.gold),
                        share_text(each.blind_hit),
                    ),
                    f"{each.final_accepts} ({percent_text(each.final_frac)})",
                )
                for each in sorted(people, key=lambda each: each.id)
            ),
        ),
    ]
    return "\n\n".join(sections) + "\n"


def as_csv(found: Agreement, people: Sequence[Reviewer], raters: Mapping[int, str]) -> str:
    """`agreement.csv`: every figure in a row."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(HEAD)
    for section, what, figure, *numbers, n in _rows(found, people, raters):
        cells = ["" if number is None else f"{number:.6f}" for number in numbers]
        writer.writerow([*map(safe_cell, (section, what, figure)), *cells, n])
    return lines.getvalue()


def safe_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _rows(found: Agreement, people: Sequence[Reviewer], raters: Mapping[int, str]) -> Iterator[Row]:
    for section, comparisons in (("sighted", found.sighted), ("sighted_blind", found.sighted_blind)):
        for what, comparison in comparisons.items():
            yield from _figure_rows(section, what, comparison)
    yield _share_row("blind", "first answer", "hit", found.blind.hit)
    for figure, chance in (
        ("chance_area", found.blind.chance_area_frac),
        ("chance_object", found.blind.chance_object_frac),
    ):
        yield ("blind", "first answer", figure, chance, None, None, found.blind.hit.n)
    for name, values in found.strata.items():
        for value, each in values.items():
            yield _share_row(f"stratum {name}", value, "accepted", each.accepted)
            yield from _figure_rows(f"stratum {name}", value, each.sighted)
            yield _share_row(f"stratum {name}", value, "blind_hit", each.blind_hit)
    for who in sorted(people, key=lambda each: each.id):
        yield _share_row("reviewer", raters[who.id], "gold", who.gold)
        yield _share_row("reviewer", raters[who.id], "blind_hit", who.blind_hit)
        for figure, frac in (("accept", who.accept_frac), ("edit", who.edit_frac), ("final_accepts", who.final_frac)):
            yield ("reviewer", raters[who.id], figure, frac, None, None, who.judged)


def _figure_rows(section: str, what: str, comparison: Comparison) -> Iterator[Row]:
    for name, figure in comparison.figures.items():
        yield (section, what, name, figure.value, figure.low, figure.high, comparison.n)


def _share_row(section: str, what: str, figure: str, share: Share) -> Row:
    return (section, what, figure, share.frac, share.low, share.high, share.n)


_COMPARISON_HEAD = ("question", "items", "videos", "raw", "Cohen's kappa", "Krippendorff's alpha", "Gwet's AC1")


def _comparisons(comparisons: Mapping[str, Comparison]) -> Iterator[tuple[str, ...]]:
    for name, each in comparisons.items():
        figures = (
            number_text(figure.value)
            if figure.low is None
            else f"{number_text(figure.value)} ({number_text(figure.low)} to {number_text(figure.high)})"
            for figure in each.figures.values()
        )
        yield (name, str(each.n), str(each.videos), *figures)


RELIABLE = 0.8  # alpha or AC1
TENTATIVE = 0.667
BLIND_HIT_FRAC = 0.9
MAX_FINAL_FRAC = 0.25


def gates(
    found: Agreement, people: Sequence[Reviewer], raters: Mapping[int, str], gold_right_frac: float
) -> list[Gate]:
    """The gates of the protocol; one that nothing was measured for is not passed."""
    decision = found.sighted["decision"]
    alpha, ac1 = (decision.figures[name].value for name in ("alpha", "ac1"))
    best = max((value for value in (alpha, ac1) if value is not None), default=None)
    advice = "; train the reviewers and judge again" if best is not None and TENTATIVE <= best < RELIABLE else ""
    hit = found.blind.hit
    tested = [each for each in people if each.judged]
    weak = [raters[each.id] for each in tested if each.gold.frac is None or each.gold.frac < gold_right_frac]
    top = max(people, key=lambda each: each.final_accepts, default=None)
    most = top.final_frac if top else None
    return [
        Gate(
            "agreement of two sighted reviewers",
            f"alpha or AC1 >= {RELIABLE}",
            f"alpha {number_text(alpha)}, AC1 {number_text(ac1)}{advice}",
            decision.n,
            best is not None and best >= RELIABLE,
        ),
        Gate(
            "blind hits before adjudication",
            f">= {BLIND_HIT_FRAC:.0%}",
            share_text(hit),
            hit.n,
            hit.frac is not None and hit.frac >= BLIND_HIT_FRAC,
        ),
        Gate(
            "gold items of each reviewer",
            f">= {gold_right_frac:.0%} of their last ones",
            f"below or untested: {', '.join(weak)}" if weak else "all reviewers",
            sum(each.gold.n for each in tested),
            bool(tested) and not weak,
        ),
        Gate(
            "final accepts of one reviewer",
            f"<= {MAX_FINAL_FRAC:.0%}",
            "none" if top is None or most is None else f"{most:.1%} ({raters[top.id]})",
            sum(each.final_accepts for each in people),
            most is not None and most <= MAX_FINAL_FRAC,
        ),
    ]


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
