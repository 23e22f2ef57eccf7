"""Stage check_facts compares the text of an expression with what was measured of its object.

Claims are found by word lists and patterns, without a model: words that the patterns do not understand are no claim.
A false contradiction costs a good object, a missed one only leaves the text to later checks, so every reading of a
claim that a person may mean is tried before it counts as contradicted.
"""

from collections.abc import Sequence
from typing import Literal

from manifests.row_results import Reject, Update
from manifests.schema import Contradiction, Facts, Reason, Row
from stages.base import Result, Stage
from stages.claims.clauses import clauses, tidy
from stages.claims.colour_claims import colour_contradictions
from stages.claims.direction import direction_contradictions
from stages.claims.short_form import as_sentences
from stages.claims.side import side_contradictions
from stages.claims.size import size_contradictions
from stages.claims.visibility import visibility_contradictions

_CHECKS = (side_contradictions, direction_contradictions, size_contradictions, visibility_contradictions)


def find_contradictions(text: str, facts: Facts) -> list[Contradiction]:
    """Return the claims of `text` about its object that `facts` rule out, in the order of the text.

    It checks the object's own side, direction, size change, visibility and colour, and never those of its neighbours
    and parts. Left and right are those of the viewer.

    Args:
        text: an expression, beginning with 'The object is'; in any other text few claims are found, or none.
        facts: measured of the same object.
    """
    words = tidy(text)
    about_object = list(clauses(words))
    result = [*colour_contradictions(words, facts)]
    for check in _CHECKS:
        result += check(about_object, facts)
    return sorted(result, key=lambda contradiction: words.find(contradiction.claim))


def check_expression(text: str, facts: Facts, on_contradiction: Literal["report", "reject"]) -> Update | Reject:
    """Return an update with the column `contradictions`, or a rejection that quotes them if they are to be rejected."""
    result = find_contradictions(as_sentences(text), facts)
    update = {"contradictions": result}
    if not result or on_contradiction == "report":
        return update
    quotes = (f"{found.kind}: says {found.claim!r}, measured {found.measured}" for found in result)
    return Reject(Reason.CONTRADICTED, "; ".join(quotes), update)


class CheckFacts(Stage):
    """Fill the column `contradictions`, and reject a text that has any if the run is configured so."""

    name = "check_facts"
    reads = ("expression", "facts")
    writes = ("contradictions",)

    def __init__(self, on_contradiction: Literal["report", "reject", "repair"], pool: str = "cpu") -> None:
        """Configure what happens to a row whose text contradicts the facts.

        Args:
            on_contradiction: with "report" the row goes on, with "reject" it ends here, and with "repair" it goes on
                to the stage repair_expression, which writes its text anew and checks it again.
            pool: name of the workers that run the neighbouring stages, as in `Stage.pool`.

        Raises:
            ValueError: `on_contradiction` is none of the three.
        """
        if on_contradiction not in ("report", "reject", "repair"):
            raise ValueError(f"on_contradiction must be report, reject or repair, got {on_contradiction!r}")
        self.on_contradiction, self.pool = on_contradiction, pool

    def process(self, rows: Sequence[Row]) -> list[Result]:
        """Check every row, as `Stage.process` asks; a row without text or facts fails alone."""
        return [self._check(row) for row in rows]

    def _check(self, row: Row) -> Result:
        if row.expression is None or row.facts is None:
            missing = "expression" if row.expression is None else "facts"
            return ValueError(f"{row.object_id}: check_facts needs {missing!r}, got none; it comes after its writer")
        return check_expression(row.expression, row.facts, "reject" if self.on_contradiction == "reject" else "report")
