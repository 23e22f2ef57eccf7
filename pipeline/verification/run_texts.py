"""The texts of a run as its gates saw them: which of the gates each text reached, and which it passed.

A gate is a place where a run rejects a text. `consistency` compares the two captions of an object, `composer` is told
by the writer that its text fits another object as well, `facts` compares the text with what was measured, `lineup` puts
it to a judge, and `short` is every check of a short text. Rows that ended for other reasons (a file, a refusal, an
error) are not here.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from manifests.expression import check_short
from manifests.lineup import ALONE, SINGLED_OUT
from manifests.schema import Reason, Status
from pipeline.verification.counts import RowReader

CONSISTENCY, COMPOSER, FACTS, LINEUP, SHORT = "consistency", "composer", "facts", "lineup", "short"
GATES = (CONSISTENCY, COMPOSER, FACTS, LINEUP, SHORT)
KEPT = "kept"
COLUMNS = (
    *("object_id", "video_id", "status", "stage", "reason", "verdict", "expression", "contradictions", "lineup"),
    *("short_expression", "short_texts"),
)
_ENDED_BY = {
    Reason.INCONSISTENT: CONSISTENCY,
    Reason.UNRECOGNIZABLE: CONSISTENCY,
    Reason.AMBIGUOUS: LINEUP,
    Reason.NOT_FOUND: LINEUP,
    Reason.CONTRADICTED: FACTS,
}
_STAGES = {  # in which a reason means something else, or does not reject a text
    (Reason.UNRECOGNIZABLE, "caption_object"): None,
    (Reason.AMBIGUOUS, "compose_expression"): COMPOSER,
    (Reason.AMBIGUOUS, "repair_expression"): COMPOSER,
}


@dataclass(frozen=True)
class RunText:
    """A text of a run.

    Attributes:
        object_id: the object that it was written for.
        video_id: its video.
        kind: long or short.
        text: the text, normalised; empty where there was none yet.
        end: KEPT, or the gate that rejected it.
        passed: gate -> whether it passed, for every gate that it reached.
        pick_rate: share of the trials of its line-up that ended with its object alone; None without a line-up.
        runner_up_rate: share of the trials that ended with the other object that was picked most often.
    """

    object_id: str
    video_id: str
    kind: str
    text: str
    end: str
    passed: Mapping[str, bool]
    pick_rate: float | None = None
    runner_up_rate: float = 0.0

    def singled_out(self, min_pick_rate: float) -> bool:
        """Return whether its line-up passes at a threshold, by the trials that were held."""
        rate = self.pick_rate or 0.0
        return rate >= min_pick_rate and self.runner_up_rate < rate


def plain(text: str) -> str:
    """Return a text as texts are compared: composed letters, single blanks."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def run_texts(annotations: RowReader) -> Iterator[RunText]:
    """Yield the long text of every row that a gate saw, and the short ones of kept rows."""
    for row in annotations.rows(COLUMNS):
        end = _end(row)
        if end is None:
            continue
        yield _long(row, end)
        if end == KEPT:
            yield from _short(row)


def _end(row: Mapping[str, Any]) -> str | None:
    if row["status"] == Status.KEPT:
        return KEPT
    if row["status"] != Status.REJECTED or row["reason"] not in {str(reason) for reason in _ENDED_BY}:
        return None
    reason = Reason(row["reason"])
    return _STAGES.get((reason, row["stage"]), _ENDED_BY[reason])


def _long(row: Mapping[str, Any], end: str) -> RunText:
    passed: dict[str, bool] = {}
    if row["verdict"] is not None:  # of texts that others wrote, no captions were compared
        passed[CONSISTENCY] = end != CONSISTENCY
        if end != CONSISTENCY:
            passed[COMPOSER] = end != COMPOSER
    if end not in (CONSISTENCY, COMPOSER):
        passed[FACTS] = not row["contradictions"]
    lineup = row["lineup"]
    asked = lineup is not None and lineup["decision"] != ALONE and end not in (CONSISTENCY, COMPOSER)
    if asked:
        passed[LINEUP] = lineup["decision"] == SINGLED_OUT
    of_this = asked and lineup["expression"] == row["expression"]  # and not of the text before it was written anew
    return RunText(
        *(row["object_id"], row["video_id"], "long", plain(row["expression"] or ""), end, passed),
        pick_rate=(lineup["pick_rate"] if of_this else 0.0) if asked else None,
        runner_up_rate=lineup["runner_up_rate"] if asked else 0.0,
    )


def _short(row: Mapping[str, Any]) -> Iterator[RunText]:
    about = row["object_id"], row["video_id"], "short"
    if row["short_expression"] is not None:
        yield RunText(*about, plain(row["short_expression"]), KEPT, {SHORT: True})
    for short in row["short_texts"] or ():
        if short["fault"] is not None and _has_form(short["text"]):
            yield RunText(*about, plain(short["text"]), SHORT, {SHORT: False})


def _has_form(text: str) -> bool:
    """Return whether a text is one that people could be asked about; a wrong length is no matter of judgement."""
    try:
        check_short(text)
    except ValueError:
        return False
    return True
