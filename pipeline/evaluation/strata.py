"""What kinds of expression a split has, to see where a model fails: measured from the masks, and as split.json says."""

from collections.abc import Iterator, Sequence

from manifests.schema import SIZES_FRAC, size_name
from pipeline.evaluation.scores import ExpressionScore

_SHARES = ((0.5, "less than half"), (0.9, "most frames"))


def levels(row: ExpressionScore) -> dict[str, str]:
    """Facet -> level of an expression.

    - object size: by the median share of the frame that it covers where it is seen.
    - object seen: in what share of the frames.
    - those of split.json, by their own names.
    """
    return {
        "object size": size_name(row.area_frac),
        "object seen": next((name for limit, name in _SHARES if row.seen_frac < limit), "nearly always"),
        **dict(row.strata),
    }


def strata(rows: Sequence[ExpressionScore]) -> Iterator[tuple[str, str, list[bool]]]:
    """(facet, level, which rows) of all levels, small before large; facets that tell nothing apart are left out."""
    of_rows = [levels(row) for row in rows]
    order = [*SIZES_FRAC, *(name for _, name in _SHARES)]
    for facet in dict.fromkeys(facet for each in of_rows for facet in each):
        found = {each[facet] for each in of_rows if facet in each}
        if len(found) == 1 and all(facet in each for each in of_rows):
            continue
        for level in sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name)):
            yield facet, level, [each.get(facet) == level for each in of_rows]
