"""Stage make_negatives: texts that differ from a true one in one claim, and fit no object of the video or another."""

from collections.abc import Sequence

from manifests.schema import Row
from stages.base import Result, Stage
from stages.claims.listener import facts_of_video
from stages.claims.negatives import negatives


class MakeNegatives(Stage):
    """Fill the column `negatives` of every object that has an expression, from facts alone."""

    name = "make_negatives"
    reads = ("expression", "facts", "sibling_facts")
    writes = ("negatives",)

    def __init__(self, pool: str = "cpu") -> None:
        """Configure where the stage runs.

        Args:
            pool: name of the workers that run the neighbouring stages, as in `Stage.pool`.
        """
        self.pool = pool

    def process(self, rows: Sequence[Row]) -> list[Result]:
        """Make the negatives of every row, as `Stage.process` asks; a row without facts fails alone."""
        return [self._make(row) for row in rows]

    def _make(self, row: Row) -> Result:
        if row.facts is None:
            return ValueError(f"{row.object_id}: make_negatives needs 'facts', got none; render_views comes first")
        return {"negatives": negatives(row.object_id, facts_of_video(row.facts, row.sibling_facts))}
