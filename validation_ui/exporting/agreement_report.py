"""The report on agreement: figures, gates and reviewers, as `agreement.md` for people and `agreement.csv` for programs.

The thresholds of the gates, and where they come from: docs/validation.md, "Where the numbers come from".
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from manifests.text_tables import markdown_table, safe_cell
from validation_ui.exporting.benchmark import BenchmarkExpression
from validation_ui.schema import SlotKind
from validation_ui.statistics.agreement import Agreement, Comparison, NoTarget
from validation_ui.statistics.progress import IDLE_S, TOO_FEW, Progress, Reviewer, Share

ReportRow = tuple[
    str, str, str, float | None, float | None, float | None, int
]  # section, what, figure, value, low, high, n
HEAD = ("section", "what", "figure", "value", "low", "high", "n")


@dataclass(frozen=True)
class Gate:
    """A rule that a published split should meet, and whether this one does."""

    name: str
    rule: str
    got: str
    n: int
    passed: bool


def markdown(
    figures: Agreement,
    people: Sequence[Reviewer],
    raters: Mapping[int, str],
    project: Progress,
    checks: Sequence[Gate],
    notes: Sequence[str],
    chosen: Sequence[BenchmarkExpression],
    no_target: NoTarget,
) -> str:
    """Return the text of `agreement.md`."""
    quotas = [
        (name, str(quota.accepted), str(quota.quota), str(quota.surplus)) for name, quota in project.quotas.items()
    ]
    blind = figures.blind
    sections = [
        "# How far people agree on this split",
        "Intervals are 95%: of figures of agreement by resampling videos, of rates after Wilson. Raters differ by "
        "item, so Cohen's kappa is of the first against the second judgement. An edit counts as keeping the text, "
        "a flag as no verdict. Gold items, texts that a gate of the run rejected or that have no target, and "
        "judgements that were undone are not in these figures. A figure from "
        f"fewer than {TOO_FEW} answers says nothing: it is shown as too few.",
        "## Gates",
        markdown_table(
            ("gate", "rule", "got", "n", "passed"),
            ((gate.name, gate.rule, gate.got, str(gate.n), "yes" if gate.passed else "**no**") for gate in checks),
        ),
        *(f"Note: {note}" for note in notes),
        "## What was accepted",
        markdown_table(("", "accepted", "quota", "more than the quota"), quotas),
        "## Two sighted reviewers",
        markdown_table(_COMPARISON_HEAD, _comparisons(figures.sighted)),
        "## Sighted and blind reviewer of the same text",
        "Only what the first accepted comes to the second: kappa and alpha of the decision are near 0 by construction.",
        markdown_table(_COMPARISON_HEAD, _comparisons(figures.sighted_blind)),
        "## Found from the text alone",
        markdown_table(
            ("first blind answers", "hit", "chance: a random point", "chance: a random object"),
            [
                (
                    str(blind.hit.n),
                    share_text(blind.hit),
                    percent_text(blind.chance_area_frac, blind.hit.n),
                    percent_text(blind.chance_object_frac, blind.hit.n),
                )
            ],
        ),
        "Two people who were asked to find the same text, apart from each other:",
        markdown_table(_COMPARISON_HEAD, _comparisons(figures.blind_pairs)),
        f"Of {len(chosen)} exported texts, {sum(one.blind_hits > 0 for one in chosen)} were found by somebody from "
        "exactly their final wording. Answers on the final wording, by text:",
        markdown_table(
            ("hits on the final wording", "answers", "exported texts"),
            (
                (str(hits), str(answers), str(count))
                for (hits, answers), count in sorted(Counter((o.blind_hits, o.blind_answers) for o in chosen).items())
            ),
        ),
        *_no_target(no_target),
        "## By stratum",
        markdown_table(
            ("stratum", "value", "items", "kept at first sight", "n of two", "raw", "AC1", "blind hit"),
            (
                (
                    *(name, value, str(stratum.items), share_text(stratum.accepted), str(stratum.sighted.n)),
                    *(coefficient_text(stratum.sighted, figure, interval=False) for figure in ("raw", "ac1")),
                    share_text(stratum.blind_hit),
                )
                for name, values in figures.strata.items()
                for value, stratum in values.items()
            ),
        ),
        "## Reviewers",
        markdown_table(
            ("reviewer", "role", "judged", "accepted", "edited", "gold right", "blind hit", "final accepts"),
            (
                (
                    *(raters[who.id], who.role, str(who.judged)),
                    *(percent_text(frac, who.judged) for frac in (who.accept_frac, who.edit_frac)),
                    *(share_text(who.gold), share_text(who.blind_hit)),
                    f"{who.final_accepts} ({percent_text(who.final_frac, sum(each.final_accepts for each in people))})",
                )
                for who in sorted(people, key=lambda who: who.id)
            ),
        ),
        "## Reviewer time",
        *_time(people, raters, chosen),
    ]
    return "\n\n".join(sections) + "\n"


def _no_target(answers: NoTarget) -> Iterator[str]:
    """Yield how many of the texts that fit nothing in their video were answered rightly, if any were asked."""
    if not answers.absent.n:
        return
    yield "## Texts without a target"
    yield markdown_table(
        ("first blind answers", "absent, which is right", "said to be ambiguous", "pointed at an object"),
        [
            (
                str(answers.absent.n),
                f"{answers.absent.hits}: {share_text(answers.absent)}",
                str(answers.ambiguous),
                str(answers.pointed),
            )
        ],
    )


def _time(
    people: Sequence[Reviewer], raters: Mapping[int, str], chosen: Sequence[BenchmarkExpression]
) -> Iterator[str]:
    """Yield how long people worked: all together, for an exported text, and for a judgement of each pass."""
    hours = sum(who.work.hours for who in people)
    each = f"{60 * hours / len(chosen):.1f} minutes for an exported text" if chosen else "nothing was exported"
    yield (
        f"{len(people)} people worked {hours:.1f} hours in all, gold items and dropped ones included: {each}. A gap of "
        f"more than {IDLE_S / 60:g} minutes is no work. The median is from the claim to the answer."
    )
    yield markdown_table(
        ("reviewer", "hours", "judgements", "an hour", *(f"median s, {kind}" for kind in SlotKind)),
        (
            (
                *(raters[who.id], f"{who.work.hours:.1f}", str(who.work.judged)),
                too_few_text(who.work.judged) or number_text(who.work.per_h, 1),
                *(f"{who.work.median_s[kind]:.0f}" if kind in who.work.median_s else "none" for kind in SlotKind),
            )
            for who in sorted(people, key=lambda who: who.id)
        ),
    )


def as_csv(figures: Agreement, people: Sequence[Reviewer], raters: Mapping[int, str]) -> str:
    """Return the text of `agreement.csv`, with one row for every figure."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(HEAD)
    for section, what, figure, *numbers, n in _rows(figures, people, raters):
        cells = ["" if number is None else f"{number:.6f}" for number in numbers]
        writer.writerow([*map(safe_cell, (section, what, figure)), *cells, n])
    return lines.getvalue()


def _rows(figures: Agreement, people: Sequence[Reviewer], raters: Mapping[int, str]) -> Iterator[ReportRow]:
    compared = {"sighted": figures.sighted, "sighted_blind": figures.sighted_blind, "blind_pairs": figures.blind_pairs}
    for section, comparisons in compared.items():
        for what, comparison in comparisons.items():
            yield from _figure_rows(section, what, comparison)
    yield _share_row("blind", "first answer", "hit", figures.blind.hit)
    for figure, chance in (
        ("chance_area", figures.blind.chance_area_frac),
        ("chance_object", figures.blind.chance_object_frac),
    ):
        yield ("blind", "first answer", figure, chance, None, None, figures.blind.hit.n)
    for name, values in figures.strata.items():
        for value, stratum in values.items():
            yield _share_row(f"stratum {name}", value, "accepted", stratum.accepted)
            yield from _figure_rows(f"stratum {name}", value, stratum.sighted)
            yield _share_row(f"stratum {name}", value, "blind_hit", stratum.blind_hit)
    for who in sorted(people, key=lambda person: person.id):
        yield _share_row("reviewer", raters[who.id], "gold", who.gold)
        yield _share_row("reviewer", raters[who.id], "blind_hit", who.blind_hit)
        for figure, frac in (("accept", who.accept_frac), ("edit", who.edit_frac), ("final_accepts", who.final_frac)):
            yield ("reviewer", raters[who.id], figure, frac, None, None, who.judged)


def _figure_rows(section: str, what: str, comparison: Comparison) -> Iterator[ReportRow]:
    for name, figure in comparison.figures.items():
        yield (section, what, name, figure.value, figure.low, figure.high, comparison.n)


def _share_row(section: str, what: str, figure: str, share: Share) -> ReportRow:
    return (section, what, figure, share.frac, share.low, share.high, share.n)


_COMPARISON_HEAD = ("question", "items", "videos", "raw", "Cohen's kappa", "Krippendorff's alpha", "Gwet's AC1")


def _comparisons(comparisons: Mapping[str, Comparison]) -> Iterator[tuple[str, ...]]:
    for name, comparison in comparisons.items():
        figures = (coefficient_text(comparison, figure) for figure in comparison.figures)
        yield (name, str(comparison.n), str(comparison.videos), *figures)


RELIABLE = 0.8  # alpha or AC1
TENTATIVE = 0.667
BLIND_HIT_FRAC = 0.9
MAX_FINAL_FRAC = 0.25


def gates(
    figures: Agreement, people: Sequence[Reviewer], raters: Mapping[int, str], gold_right_frac: float
) -> list[Gate]:
    """Evaluate the gates of the protocol; a gate with fewer than TOO_FEW answers is not passed."""
    decision = figures.sighted["decision"]
    alpha, ac1 = (decision.figures[name].value for name in ("alpha", "ac1"))
    best = max((value for value in (alpha, ac1) if value is not None and decision.n >= TOO_FEW), default=None)
    advice = "; train the reviewers and judge again" if best is not None and TENTATIVE <= best < RELIABLE else ""
    hit = figures.blind.hit
    tested = [who for who in people if who.judged]
    untested = [f"{raters[who.id]} ({who.gold.n})" for who in tested if who.gold.n < TOO_FEW]
    enough = [who for who in tested if who.gold.n >= TOO_FEW]
    weak = [raters[who.id] for who in enough if who.gold.frac is None or who.gold.frac < gold_right_frac]
    top = max(people, key=lambda who: who.final_accepts, default=None)
    most = top.final_frac if top else None
    finals = sum(who.final_accepts for who in people)
    return [
        Gate(
            "agreement of two sighted reviewers",
            f"alpha or AC1 >= {RELIABLE}",
            too_few_text(decision.n) or f"alpha {number_text(alpha)}, AC1 {number_text(ac1)}{advice}",
            decision.n,
            best is not None and best >= RELIABLE,
        ),
        Gate(
            "blind hits before adjudication",
            f">= {BLIND_HIT_FRAC:.0%}",
            share_text(hit),
            hit.n,
            hit.n >= TOO_FEW and hit.frac is not None and hit.frac >= BLIND_HIT_FRAC,
        ),
        Gate(
            "gold items of each reviewer",
            f">= {gold_right_frac:.0%} of their last ones",
            "; ".join(
                f"{what}: {', '.join(who)}" for what, who in (("below", weak), ("too few answers", untested)) if who
            )
            or "all reviewers",
            sum(who.gold.n for who in tested),
            bool(tested) and not weak and not untested,
        ),
        Gate(
            "final accepts of one reviewer",
            f"<= {MAX_FINAL_FRAC:.0%}",
            "none" if top is None or most is None else too_few_text(finals) or f"{most:.1%} ({raters[top.id]})",
            finals,
            finals >= TOO_FEW and most is not None and most <= MAX_FINAL_FRAC,
        ),
    ]


def too_few_text(n: int) -> str | None:
    """Return what stands in place of a figure from `n` answers, or None if these are enough."""
    return f"too few (n = {n})" if n < TOO_FEW else None


def share_text(share: Share) -> str:
    """Format a rate with its interval."""
    if share.frac is None or share.low is None or share.high is None:
        return "no data"
    return too_few_text(share.n) or f"{share.frac:.1%} of {share.n} ({share.low:.1%} to {share.high:.1%})"


def coefficient_text(comparison: Comparison, name: str, *, interval: bool = True) -> str:
    """Format a coefficient of agreement, with its interval if that is wanted and known."""
    figure = comparison.figures[name]
    if comparison.n and (few := too_few_text(comparison.n)):
        return few
    if figure.low is None or not interval:
        return number_text(figure.value)
    return f"{number_text(figure.value)} ({number_text(figure.low)} to {number_text(figure.high)})"


def percent_text(value: float | None, n: int = TOO_FEW) -> str:
    """Format a fraction of `n` answers as a percentage."""
    return "no data" if value is None else too_few_text(n) or f"{value:.1%}"


def number_text(value: float | None, digits: int = 3) -> str:
    """Format a coefficient, or say that it is undefined."""
    return "undefined" if value is None else f"{value:.{digits}f}"
