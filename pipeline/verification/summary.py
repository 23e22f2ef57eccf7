"""Puts into words what the line-ups of a run came to, for the dataset card and the report."""

from collections.abc import Sequence
from typing import Protocol

from manifests.lineup import AMBIGUOUS, DROPPED, MEASURED, NO_TARGET, NOT_FOUND, SINGLED_OUT, UNIQUE
from pipeline.verification.corrected import Rate, quality
from pipeline.verification.counts import CatchKind, LineupCounts, Picks, RowReader, count_lineups

CATCH_HEAD = ("catch texts", "right answer", "texts", "decided rightly", "passed")
PICKS_HEAD = ("", "shown", "picked", "expected", "picked / expected")
EASIER = (
    "Catch texts are short and made of a few plain claims, so they are easier than real ones: the judge errs more "
    "often on the texts of this run than the figures say, and the corrected shares are too good by as much."
)
METHOD = (
    "Corrected as Rogan and Gladen (1978) do, with the judge's rates on the catch texts; the intervals hold 95 %, by a "
    "Bayesian bootstrap over videos (Rubin 1981) with Jeffreys' half counts."
)
_EXACT = (
    "The judge is a measurement: it keeps a text if no other object of the video satisfies every claim that can be "
    "measured. It is exact in this, and says nothing of claims that cannot be measured."
)
_KINDS = {
    UNIQUE: ("one object, proven by measurement", "that object"),
    DROPPED: ("the same without a decisive claim: several", "several"),
    NO_TARGET: ("ruled out for every object", "none"),
}
_BIASED_RATIO, _LEAST_EXPECTED = 1.5, 20.0  # picks beyond this ratio of what is expected are pointed out


class Findings(Protocol):
    """What a run found out about its texts, as the dataset card, the report and the end of a run tell it."""

    def lines(self) -> list[tuple[str, str]]:
        """Return the names and values of the figures of the whole run."""
        ...

    def as_text(self) -> str:
        """Format the figures as plain text, for the end of a run."""
        ...

    def tables(self) -> list[list[Sequence[str]]]:
        """Return tables, each with its head first."""
        ...

    def remarks(self) -> list[str]:
        """Return what a reader must know to read the figures."""
        ...


class Verification:
    """What the line-ups of a run came to: the counts, and what they say of the judge and of the texts."""

    def __init__(self, counts: LineupCounts) -> None:
        self.counts, self.quality = counts, quality(counts.judged)

    @property
    def exact(self) -> bool:
        """Whether the judge is a measurement, of which there is nothing to test or correct."""
        return self.counts.judges == (MEASURED,)

    def lines(self) -> list[tuple[str, str]]:
        """Return the names and values of the figures of the whole run."""
        counts, found = self.counts, self.quality
        judged = int(counts.judged.texts.sum())
        lines = [("judge", ", ".join(counts.judges) or "none: every object was alone")]
        ends = ((SINGLED_OUT, "single out their object"), (AMBIGUOUS, "fit another one"), (NOT_FOUND, "were not found"))
        told = ", ".join(f"{counts.decisions.get(end, 0):,} {words}" for end, words in ends)
        lines.append(("texts judged", f"{judged:,}: {told}; {counts.trials:,} trials in all"))
        if counts.alone:
            objects = f"{counts.alone:,} object{'s' * (counts.alone != 1)}"
            lines.append(("alone", f"{objects} without another in the video: nothing was asked"))
        if counts.repaired:
            lines.append(
                ("repaired", f"{counts.saved:,} of {counts.repaired:,} confused texts were saved by a new one")
            )
        if self.exact:
            return lines
        tested = "of the catch texts that single out their object passed", "of those that fit several or none did not"
        lines.append(("sensitivity", f"{rate_words(found.sensitivity)} {tested[0]}"))
        lines.append(("specificity", f"{rate_words(found.specificity)} {tested[1]}"))
        good, kept = self._corrected(found.good), self._corrected(found.good_of_passed)
        lines.append(("texts that single out", f"{rate_words(found.passed)} by the judge; corrected {good}"))
        passed = "all by the judge" if counts.judged.passed.any() else "none passed"
        lines.append(("of those that passed", f"{passed}; corrected {kept}"))
        return lines

    def as_text(self) -> str:
        """Format the figures as plain text, for the end of a run."""
        return "\n".join(f"{name.ljust(23)}{value}" for name, value in self.lines())

    def tables(self) -> list[list[Sequence[str]]]:
        """Return tables, each with its head first: catch texts, picks by number, picks by place."""
        tables: list[list[Sequence[str]]] = []
        if self.exact:
            return tables
        if any(kind.texts for kind in self.counts.catches):
            tables.append([CATCH_HEAD, *map(_catch_line, self.counts.catches)])
        for head, picks in (
            ("number", self.counts.numbers),
            ("place, of objects that a text fits equally", self.counts.places),
        ):
            if picks:
                tables.append([(head, *PICKS_HEAD[1:]), *map(_picks_line, picks)])
        return tables

    def remarks(self) -> list[str]:
        """Return what a reader must know to read the figures, and what is wrong with the judge if anything is."""
        if self.exact:
            return [_EXACT]
        told = []
        for picks, what in ((self.counts.numbers, "number"), (self.counts.places, "place")):
            for each in _biased(picks):
                often = f"{each.picked / each.expected:.1f} times as often as it should be"
                told.append(f"The judge is biased: the {what} {each.name} is picked {often}.")
        if any(kind.texts for kind in self.counts.catches):
            told += [EASIER, METHOD]
        else:
            told.append("The judge was not put to the test: no catch texts were shown to it.")
        return told

    def _corrected(self, rate: Rate) -> str:
        return self.quality.why_not or rate_words(rate)


def verify(annotations: RowReader) -> Verification | None:
    """Count the line-ups of a run and judge their judge; None if there was no line-up."""
    counts = count_lineups(annotations)
    return Verification(counts) if counts else None


def rate_words(rate: Rate) -> str:
    """Return a share in words, with its interval, or that the counts do not carry one."""
    if rate.value is None:
        return "none"
    if rate.low is None or rate.high is None:
        return f"{rate.value:.1%} (too few for an interval)"
    return f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"


def _biased(picks: Sequence[Picks]) -> list[Picks]:
    """Return what is picked far too often; if nothing is, what is picked far too seldom: that takes more to tell."""
    often = [each for each in picks if each.expected >= _LEAST_EXPECTED and each.picked > _BIASED_RATIO * each.expected]
    seldom = [
        each for each in picks if each.expected >= 2 * _LEAST_EXPECTED and each.picked < each.expected / _BIASED_RATIO
    ]
    return often or seldom


def _catch_line(kind: CatchKind) -> tuple[str, ...]:
    fits, right = _KINDS[kind.kind]
    share = f"{kind.right / kind.texts:.1%}" if kind.texts else "none"
    return fits, right, f"{kind.texts:,}", share, f"{kind.passed:,}"


def _picks_line(picks: Picks) -> tuple[str, ...]:
    ratio = f"{picks.picked / picks.expected:.2f}" if picks.expected else "none expected"
    return picks.name, f"{picks.shown:,}", f"{picks.picked:,}", f"{picks.expected:,.1f}", ratio
