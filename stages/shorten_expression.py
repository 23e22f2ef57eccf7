"""Stage shorten_expression: writes up to three short texts of a kept object and takes the shortest that passes.

Without a model the texts are minimal, and the proof is stored. What a model writes is checked against the facts; a
text that does not pass is stored with its fault. A later check that finds a fault sets `fault`, and asks `shortest`
again. An object without a short text is kept all the same.
"""

from collections.abc import Mapping, Sequence

from manifests.expression import check_short
from manifests.row_results import Reject, RowError, Update
from manifests.schema import Facts, Row, ShortText
from prompts.replies import Shortenings
from stages.claims.contradictions import find_contradictions
from stages.claims.listener import objects_that_fit, read_claims
from stages.claims.minimal import minimal_texts
from stages.claims.recognizable import seen_objects
from stages.claims.short_form import as_sentences
from stages.writer import WriterStage


def check_text(text: str, object_id: str, facts_by_object: Mapping[str, Facts]) -> ShortText:
    """Return a short text with what its checks say: its form, the facts of its object, and whom its claims leave.

    Args:
        text: a noun phrase.
        object_id: the object that it is to mean.
        facts_by_object: object_id -> facts, of all separate objects of the video.
    """
    found = find_contradictions(as_sentences(text), facts_by_object[object_id])
    fits = objects_that_fit(read_claims(text), facts_by_object)
    fault = "; ".join(f"{one.kind}: says {one.claim!r}, measured {one.measured}" for one in found) or None
    if fault is None and object_id not in fits:
        fault = f"its claims leave {', '.join(fits) or 'no object'}"
    try:
        check_short(text)
    except ValueError as error:
        fault = str(error)
    return ShortText(text=text, fault=fault, contradictions=found, fits=fits)


def shortest(texts: Sequence[ShortText]) -> str | None:
    """Return the text with the fewest words of those without a fault, the first of several; None if there is none."""
    return min((one.text for one in texts if one.fault is None), key=lambda text: len(text.split()), default=None)


class ShortenExpression(WriterStage):
    """Fill `short_expression`, `short_texts` and, where the writer measures, `minimal`."""

    name = "shorten_expression"
    reads = ("expression", "facts", "sibling_facts")
    writes = ("short_expression", "short_texts", "minimal", "calls", "writer", "prompt_ids")
    asks = ("shorten_expression",)

    async def write(self, row: Row) -> Update | Reject:
        """Ask once; a reply that cannot be used leaves the object without a short text."""
        if row.facts is None:
            raise ValueError(f"{row.object_id}: shorten_expression needs 'facts', got none; render_views comes first")
        try:
            reply: Shortenings = await self.ask("shorten_expression", row)
        except RowError as error:
            return {"short_texts": [ShortText(text="", fault=str(error), contradictions=[], fits=[])]}
        facts_by_object = seen_objects(row.facts, row.sibling_facts)
        texts = [check_text(text, row.object_id, facts_by_object) for text in dict.fromkeys(reply.texts)]
        chosen = shortest(texts)
        proven = minimal_texts(row.object_id, facts_by_object) if self.writer.name == "measured" else []
        minimal = next((made for made in proven if made.text == chosen), None)
        return {"short_expression": chosen, "short_texts": texts, "minimal": minimal}
