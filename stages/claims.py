"""The claims of a text about its object that the measured facts rule out.

Word lists and patterns, no model: what they do not understand is no claim. A false contradiction costs a good object,
a missed one only leaves the text to the later checks. So of every claim all readings that a person may mean are tried.
"""

from manifests.schema import Contradiction, Facts
from stages.text.clauses import clauses, tidy
from stages.text.colour import colour
from stages.text.motion import direction
from stages.text.place import side
from stages.text.sight import visibility
from stages.text.size import size


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
