"""Puts into words what an audit of given texts found: how many contradict what was measured, how many single one out.

Shares have 95 % intervals by a bootstrap over videos (pipeline/verification/corrected.py), where the counts carry one.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from manifests.lineup import ALONE, SINGLED_OUT
from manifests.schema import Reason
from pipeline.audit.given_texts import GivenTexts
from pipeline.audit.text_ends import TextEnd, TextState
from pipeline.verification.corrected import Rate, counted_share
from pipeline.verification.summary import Verification, rate_words

STATE_HEAD = ("texts of the file", "reason", "texts")
CLAIM_HEAD = ("claims that can be measured", "texts with one", "texts in which one is contradicted")
_KINDS = ("colour", "side", "direction", "size", "visibility", "rank")
_RECOGNIZED = (
    "A contradiction is found only where a claim is recognized: of colour, side, direction, size, visibility, and of "
    "rank among the others as the measured writer words it. A text without any of them may be wrong all the same."
)


_KIND_WORDS = "say what kind of thing they mean, which is not measured: a judge that sees could tell"


class Audit:
    """What an audit found: the texts' ends, and what their line-ups say.

    The card and the report show it as they show a `Verification`.
    """

    def __init__(
        self, given: GivenTexts, ends: Sequence[TextEnd], verified: Verification | None, *, repair: bool
    ) -> None:
        self.given, self.ends, self.verified, self.repair = given, ends, verified, repair
        self.audited = [end for end in ends if end.checked is not None]

    def lines(self) -> list[tuple[str, str]]:
        """Return the names and values of the figures of the whole audit."""
        states = Counter(end.state for end in self.ends)
        told = ", ".join(f"{states[state]:,} {_words(state)}" for state in TextState if states[state])
        texts = f"{len(self.ends):,} in {self.given.name} (sha256 {self.given.sha256[:12]}): {told}"
        claiming, wrong = self._with_claims(), self._contradicted()
        lines = [
            ("texts", texts),
            ("with a claim", f"{_of(claiming, self.audited)} carry a claim that can be measured"),
            ("contradicted", f"{_of(wrong, self.audited)} contradict what was measured: {self._share(wrong)}"),
        ]
        if self.verified and self.verified.exact:
            judged = [end for end in self.audited if _decision(end) not in (None, ALONE)]
            single = [end for end in judged if _decision(end) == SINGLED_OUT]
            words = f"{_of(single, judged)} single out their object by what is measured"
            value = f"{words}: {rate_words(_rate(single, judged))}; the judge is exact in that, nothing is corrected"
            lines.append(("single out", value))
            if states[TextState.UNDECIDED]:
                lines.append(("undecided", f"{states[TextState.UNDECIDED]:,} of the others {_KIND_WORDS}"))
        if self.repair:
            tried = states[TextState.REPAIRED] + sum(end.first and _mendable(end) for end in self.ends)
            lines.append(("texts repaired", f"{states[TextState.REPAIRED]:,} of {tried:,}"))
        return [*lines, *(self.verified.lines() if self.verified else [])]

    def as_text(self) -> str:
        """Format the figures as plain text, for the end of a run."""
        return "\n".join(f"{name.ljust(23)}{value}" for name, value in self.lines())

    def remarks(self) -> list[str]:
        """Return what a reader must know to read the figures."""
        return [_RECOGNIZED, *(self.verified.remarks() if self.verified else [])]

    def tables(self) -> list[list[Sequence[str]]]:
        """Return tables, each with its head first: ends of texts, kinds of claims, then those on the judge."""
        ended = Counter((end.state, end.reason or "") for end in self.ends)
        order = [*TextState]
        ranked = sorted(ended.items(), key=lambda item: (order.index(item[0][0]), -item[1], item[0][1]))
        states = [(_words(state), reason, f"{number:,}") for (state, reason), number in ranked]
        made, wrong = Counter[str](), Counter[str]()
        for end in self.audited:
            assert end.checked is not None
            made.update(end.checked.claims)
            wrong.update({found.kind for found in end.checked.contradictions})
        kinds = [(kind, f"{made[kind]:,}", f"{wrong[kind]:,}" if kind != "rank" else "") for kind in _KINDS]
        return [[STATE_HEAD, *states], [CLAIM_HEAD, *kinds], *(self.verified.tables() if self.verified else [])]

    def _with_claims(self) -> list[TextEnd]:
        return [end for end in self.audited if end.checked and end.checked.claims]

    def _contradicted(self) -> list[TextEnd]:
        return [end for end in self.audited if end.checked and end.checked.contradictions]

    def _share(self, wrong: Sequence[TextEnd]) -> str:
        """Return the share of contradicted texts, of all and of those that could be."""
        claiming = self._with_claims()
        of_all = rate_words(_rate(wrong, self.audited))
        if len(claiming) == len(self.audited):
            return of_all
        return f"{of_all}; of those with a claim {rate_words(_rate(wrong, claiming))}"


def _mendable(end: TextEnd) -> bool:
    """Return whether a text failed for a reason for which it is written anew."""
    return end.state in (TextState.REJECTED, TextState.UNDECIDED) and end.reason in (
        Reason.CONTRADICTED,
        Reason.AMBIGUOUS,
    )


def _decision(end: TextEnd) -> str | None:
    return end.checked.lineup.decision if end.checked and end.checked.lineup else None


def _of(some: Sequence[TextEnd], among: Sequence[TextEnd]) -> str:
    return f"{len(some):,} of {len(among):,}"


def _words(state: TextState) -> str:
    return state.replace("_", " ")


def _rate(hits: Sequence[TextEnd], among: Sequence[TextEnd]) -> Rate:
    """Return the share of texts, with an interval over their videos."""
    counts: dict[str, int] = defaultdict(int)
    hit: Counter[str] = Counter(end.entry.object_id.partition("/")[0] for end in hits)
    for end in among:
        counts[end.entry.object_id.partition("/")[0]] += 1
    videos = sorted(counts)
    return counted_share(
        np.array([hit[video] for video in videos], np.int64), np.array([counts[video] for video in videos], np.int64)
    )
