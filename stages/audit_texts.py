"""Stage audit_texts checks texts that others wrote, all that were given for an object: facts, and a line-up for each.

It writes nothing: the first text becomes the row's `expression`, as if it had been written here, and the stages that
follow decide what becomes of the row. What was found of every text, also of the first before a repair, is kept in
`given_texts`.
"""

import asyncio

from manifests.lineup import ALONE, AMBIGUOUS, MEASURED, SINGLED_OUT
from manifests.row_results import Reject, RowError, Update
from manifests.schema import GivenText, Reason, Row
from stages.claims.colour_claims import names_a_kind
from stages.claims.contradictions import find_contradictions
from stages.claims.recognized import recognized
from stages.claims.short_form import as_sentences
from stages.judged import JudgeStage
from stages.lineup_trials import LineupConfig, drawn
from stages.writer import NO_ANSWER, JudgeWriter

GIVEN = "given"  # the column `writer` of a row whose text nobody here wrote


def why_failed(given: GivenText) -> tuple[Reason, str] | None:
    """Return the reason and the detail for which a checked text fails, or None if it passes."""
    if given.contradictions:
        return Reason.CONTRADICTED, "; ".join(
            f"{found.kind}: says {found.claim!r}, measured {found.measured}" for found in given.contradictions
        )
    if given.unanswered is not None:
        return given.unanswered, "the judge did not say which object it means"
    if given.lineup is None or given.lineup.decision in (SINGLED_OUT, ALONE):
        return None
    if given.lineup.decision == AMBIGUOUS:
        return Reason.AMBIGUOUS, f"fits {given.lineup.runner_up} as well"
    return Reason.NOT_FOUND, "no object was found by it"


def undecided(given: GivenText) -> bool:
    """Return whether a judge that measures found that a text fits another object, but the text names a kind of thing.

    Measurements know no kinds: "the dog" may well single out its object for a judge that sees.
    """
    held = given.lineup
    confused = held is not None and held.decision == AMBIGUOUS and held.judge == MEASURED
    return confused and not given.contradictions and names_a_kind(as_sentences(given.text))


class AuditTexts(JudgeStage):
    """Fill the checks of `given_texts`, and `expression`, `lineup` and its pictures by the first of them."""

    name = "audit_texts"
    reads = ("given_texts", "lineup_frames", "facts", "sibling_facts")
    writes = (
        *("given_texts", "expression", "lineup", "lineup_jpeg", "confuser_jpeg", "catch_trials"),
        *("calls", "writer", "prompt_ids"),
        "object_description",  # stays empty: repairs, which read it, are told what was measured (prompts.values_of)
    )
    asks = ("lineup",)

    def __init__(self, writer: JudgeWriter, config: LineupConfig | None, *, catch_frac: float = 0.0) -> None:
        super().__init__(writer, config or LineupConfig())
        self.judged = config is not None  # if not, texts are compared with the facts alone
        self.catch_frac = catch_frac  # share of the objects whose catch trials measure the judge

    async def write(self, row: Row) -> Update | Reject:
        """Check every text; none of them ends the row here, so that each is checked whatever the others are like."""
        if not row.given_texts or row.facts is None:
            raise ValueError(f"{row.object_id}: audit_texts needs given texts and facts; the manifest has the texts")
        checked, errors = [], []
        for given in row.given_texts:
            held = None
            found = {
                "claims": recognized(given.text),
                "contradictions": find_contradictions(as_sentences(given.text), row.facts),
            }
            try:
                held = await self.hold(row, given.text) if self.judged else None
            except RowError as error:
                found["unanswered"] = error.reason
                errors += [] if error.reason in NO_ANSWER else [error]
            checked.append(given.model_copy(update=found | {"lineup": held}))
        if errors:  # the next run asks for what has no answer; what is known of the other texts stays with the row
            row.given_texts = checked
            raise errors[0]
        first = checked[0]
        update = {"given_texts": checked, "expression": first.text, "writer": GIVEN}
        if first.lineup is None:
            return update
        update |= await asyncio.to_thread(self.seen, row, first.lineup)
        if self.looks and first.lineup.trials and drawn(row.object_id, self.catch_frac, self.config.seed):
            update["catch_trials"] = await self.catch(row, row.facts)
        return update
