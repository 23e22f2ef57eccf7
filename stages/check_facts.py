"""Stage check_facts: the measured facts check the model's text."""

from collections.abc import Sequence
from typing import Literal

from manifests.schema import Contradiction, Facts, Reason, Row
from stages.base import Reject, Result, Stage, Update
from stages.claims.clauses import clauses, tidy
from stages.claims.colour import colour
from stages.claims.direction import direction
from stages.claims.side import side
from stages.claims.size import size
from stages.claims.visibility import visibility


def contradictions(text: str, facts: Facts) -> list[Contradiction]:
    """What `text` says of its object that `facts` rule out, in the order of the text; empty if there is nothing.

    Checked are the object's own side, direction, size change, visibility and colour; never those of its neighbours
    and parts. Left and right are the viewer's.

    Args:
        text: an expression, beginning with 'The object is'; any other text has few claims or none.
        facts: measured of the same object.
    """
    words = tidy(text)
    said = list(clauses(words))
    found = [*colour(words, facts)]
    for check in (side, direction, size, visibility):
        found += check(said, facts)
    return sorted(found, key=lambda each: words.find(each.claim))


def settle(text: str, facts: Facts, on_contradiction: Literal["report", "reject"]) -> Update | Reject:
    """What becomes of a row with this text: `contradictions` in an update, or a rejection that quotes them."""
    found = contradictions(text, facts)
    update = {"contradictions": found}
    if not found or on_contradiction == "report":
        return update
    quoted = "; ".join(f"{each.kind}: says {each.claim!r}, measured {each.measured}" for each in found)
    return Reject(Reason.CONTRADICTED, quoted, update)


class CheckFacts(Stage):
    """Fill `contradictions`; by choice reject a text that has any."""

    name = "check_facts"
    reads = ("expression", "facts")
    writes = ("contradictions",)

    def __init__(self, on_contradiction: Literal["report", "reject", "repair"], pool: str = "cpu") -> None:
        """Choose what a contradiction costs.

        Args:
            on_contradiction: report: the row goes on; reject: it ends here; repair: it goes on to a stage that mends
                its text and settles it.
            pool: the workers of the stages around it.
        """
        if on_contradiction not in ("report", "reject", "repair"):
            raise ValueError(f"on_contradiction must be report, reject or repair, got {on_contradiction!r}")
        self.on_contradiction, self.pool = on_contradiction, pool

    def process(self, rows: Sequence[Row]) -> list[Result]:
        """See Stage.process; a row without text or facts fails alone."""
        return [self._check(row) for row in rows]

    def _check(self, row: Row) -> Result:
        if row.expression is None or row.facts is None:
            missing = "expression" if row.expression is None else "facts"
            return ValueError(f"{row.object_id}: check_facts needs {missing!r}, got none; it comes after its writer")
        return settle(row.expression, row.facts, "reject" if self.on_contradiction == "reject" else "report")
