"""Stage check_facts compares the text of an expression with what was measured of its object.

What counts as a contradiction is decided by `claims/contradictions.py`.
"""

from collections.abc import Sequence
from typing import Literal

from manifests.row_results import Reject, Update
from manifests.schema import Facts, Reason, Row
from stages.base import Result, Stage
from stages.claims.contradictions import find_contradictions
from stages.claims.short_form import as_sentences


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
