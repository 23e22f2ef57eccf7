"""Stage compose_expression: the referring expression in the paper's three parts, from the three descriptions."""

import re

from manifests.schema import Reason, Row
from prompts.replies import Expression
from stages.base import Reject, Update
from stages.writer import WriterStage

# Things of the world that happen to be called like a marker; anything else of that name counts as a leak.
_THINGS = re.compile(
    r"\b(?:(?:picture|photo|window|door|bed|bike|bicycle|metal|wooden|steel|glasses|eyeglass|climbing) frames?"
    r"|framed (?:picture|photo|photograph|poster|print|painting|mirror)s?"
    r"|(?:face|surgical|medical|gas|ski|diving|swim|sleep|hockey|halloween|carnival|protective) masks?"
    r"|border collies?|crop tops?|cropped (?:top|hair|jacket|trousers|pants|jeans)s?|mirror images?)\b",
    re.IGNORECASE,
)
_MARKERS = re.compile(
    r"\b(?:contour(?:s|ed)?|outlin(?:e|es|ed|ing)|border(?:s|ed|ing)?|highlight(?:s|ed|ing)?|fram(?:e|es|ed|ing)"
    r"|images?|crop(?:s|ped|ping)?|mask(?:s|ed|ing)?|bounding box(?:es)?|segmentation|annotat(?:ed|ion|ions)"
    r"|black(?:ed[- ]out)? background|yellow (?:line|edge|ring)"
    r"|(?:in|of|inside|across|within) (?:the|this) (?:picture|photo|photograph))\b",
    re.IGNORECASE,
)


def marker_leak(text: str) -> str | None:
    """The first words of `text` that speak of how the object was shown instead of what there is, or None."""
    found = _MARKERS.search(_THINGS.sub("thing", text))
    return found.group() if found else None


def accept(reply: Expression) -> Update | Reject:
    """The column `expression`, or why it must not be used."""
    written = {"expression": reply.expression}
    if leak := marker_leak(reply.expression):
        return Reject(Reason.MARKER_LEAK, f"{leak!r} in: {reply.expression}", written)
    if reply.ambiguous_with:
        return Reject(Reason.AMBIGUOUS, f"fits {', '.join(reply.ambiguous_with)} as well", written)
    return written


class ComposeExpression(WriterStage):
    """Fill `expression`; reject one that leaks the marker or that fits another object as well."""

    name = "compose_expression"
    reads = ("object_description", "scene_description", "video_description", "facts", "sibling_facts")
    writes = ("expression", "calls", "writer", "prompt_ids")
    asks = ("compose_expression",)

    async def write(self, row: Row) -> Update | Reject:
        """No pictures: whatever is said was said by an earlier stage."""
        return accept(await self.ask("compose_expression", row))
