"""Compares what a text says of its object with what was measured of it: the claims that masks and pixels rule out.

Claims are found by word lists and patterns, without a model: words that the patterns do not understand are no claim.
A false contradiction costs a good object, a missed one only leaves the text to later checks, so every reading of a
claim that a person may mean is tried before it counts as contradicted.
"""

from manifests.schema import Contradiction, Facts
from stages.claims.clauses import clauses, tidy
from stages.claims.colour_claims import colour_contradictions
from stages.claims.direction import direction_contradictions
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
