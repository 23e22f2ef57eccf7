"""The exact listener: which objects of a video satisfy every claim that can be measured?

It hears claims, or a text whose claims it reads by the patterns of `contradictions` and the words of `distinguish`. An
object is out only if a claim is clearly false of it; what is not known of an object never rules it out, and is
reported as such.

A claim of rank ("the leftmost") is about the objects that fit the claims of colour, as people say "the leftmost of
the red ones". What a text says of all colours of an unnamed thing also rules out what looks clearly otherwise than an
object of which people speak in just these colours: beside a red ball, an orange one is not "the red thing". So does a
single colour that others surely have.
"""

from collections.abc import Mapping, Sequence

from manifests.expression import OBJECT_OPENING
from manifests.schema import Claim, Facts, Ruling
from stages.claims.clauses import tidy
from stages.claims.colour_claims import spoken_colours_of, spoken_look
from stages.claims.contradictions import find_contradictions
from stages.claims.distinguish import COLOUR_MARGIN_FRAC, MOST_FRAC, look_alike, spoken_colours
from stages.claims.measurable import RULED_OUT, TRUE, UNKNOWN, claim, judge
from stages.claims.rank import outranked, read_ranks
from stages.claims.recognizable import changes_colour
from stages.claims.short_form import as_sentences, read_phrase
from stages.video.colour import MIN_SHARE_FRAC

_COLOURS = ("colour", "look")


def objects_that_fit(claims: Sequence[Claim], facts_by_object: Mapping[str, Facts]) -> list[str]:
    """Return the object_ids that every claim allows, in the order of `facts_by_object`.

    Args:
        claims: of one text, by `claim` of `stages.claims.measurable` or from `read_claims`.
        facts_by_object: object_id -> facts, of all separate objects of one video.
    """
    return [object_id for object_id, rulings in hear(claims, facts_by_object).items() if not ruled_out(rulings)]


def facts_of_video(facts: Facts, siblings: Sequence[Facts]) -> dict[str, Facts]:
    """Return object_id -> facts of all separate objects of a video, as a row has them: its own, and its siblings'."""
    return {one.object_id: one for one in (*siblings, facts)}


def ruled_out(rulings: Sequence[Ruling]) -> bool:
    """Return whether any of the rulings on one object rules it out."""
    return any(ruling.state == RULED_OUT for ruling in rulings)


def hear(claims: Sequence[Claim], facts_by_object: Mapping[str, Facts]) -> dict[str, list[Ruling]]:
    """Return, for every object, what is measured of every claim: true, ruled out, unknown, or hidden then."""
    heard: dict[str, list[Ruling]] = {object_id: [] for object_id in facts_by_object}
    for of in claims:
        if of.kind == "rank":
            continue
        if of.kind == "look":
            rulings = _look(of, facts_by_object)
        else:
            rulings = {object_id: _judge(of, facts) for object_id, facts in facts_by_object.items()}
        if of.kind == "colour":
            _compare(of, facts_by_object, rulings)
        for object_id, ruling in rulings.items():
            heard[object_id].append(ruling)
    coloured = {
        object_id: facts
        for object_id, facts in facts_by_object.items()
        if not ruled_out([ruling for ruling in heard[object_id] if ruling.kind in _COLOURS])
    }
    for of in claims:
        if of.kind == "rank":
            coloured = _rank(of, coloured, heard)
    return heard


def read_claims(text: str) -> list[Claim]:
    """Return the claims of a text that can be measured: what it says as a whole, its colours, and its ranks.

    A phrase that `short_form.phrase` wrote is read back claim by claim.

    Args:
        text: an expression in three parts, or a short one such as "the red ball that moves to the left".
    """
    whole = tidy(text)
    if (exactly := read_phrase(whole)) is not None:
        return exactly
    sentences = as_sentences(whole)
    said = Claim(kind="said", value=sentences, words=text)
    ranks = read_ranks(sentences)
    if not whole.lower().startswith(OBJECT_OPENING.lower()):
        first = sentences.split(". ")[0]
        return [said, *(claim("colour", f"{degree} {name}") for degree, name in spoken_colours_of(first)), *ranks]
    if (look := spoken_look(sentences)) is None:
        return [said, *ranks]
    most, names = look
    value = f"{most or 'no colour'}: {', '.join(sorted(names))}"
    return [said, Claim(kind="look", value=value, words=sentences.split(". ")[0].rstrip(".")), *ranks]


def _judge(of: Claim, facts: Facts) -> Ruling:
    if of.kind != "said":
        return judge(of, facts)
    found = find_contradictions(of.value, facts)
    if not found:
        return Ruling(
            object_id=facts.object_id, kind=of.kind, claim=of.words, state=UNKNOWN, measured="nothing against it"
        )
    quotes = "; ".join(f"{one.kind}: says {one.claim!r}, measured {one.measured}" for one in found)
    return Ruling(object_id=facts.object_id, kind=of.kind, claim=found[0].claim, state=RULED_OUT, measured=quotes)


def _look(of: Claim, facts_by_object: Mapping[str, Facts]) -> dict[str, Ruling]:
    """Rule out what looks clearly otherwise than every object of which people speak in just these colours."""
    most, names = of.value.split(": ")
    spoken = (most if most != "no colour" else None, frozenset(names.split(", ")))
    meant = [facts for facts in facts_by_object.values() if facts.colours and spoken_colours(facts.colours) == spoken]
    rulings = {}
    for object_id, facts in facts_by_object.items():
        measured = ", ".join(f"{colour.name} {colour.share_frac:.2f}" for colour in facts.colours) or "no colours"
        state = TRUE if facts in meant else UNKNOWN
        if meant and (_unlike(facts, meant) or not any(look_alike(facts, other) for other in meant)):
            state, measured = RULED_OUT, f"{measured}; another object is spoken of so"
        rulings[object_id] = Ruling(object_id=object_id, kind=of.kind, claim=of.words, state=state, measured=measured)
    return rulings


def _unlike(facts: Facts, meant: Sequence[Facts]) -> bool:
    """Return whether a mask that goes from one thing to another shows none that has the colours of those meant.

    Each of the things is seen in enough of the views to have a share of the colours. What is mostly white or black may
    be in glare or in the dark: of that nothing is known.
    """
    shares = {colour.name: colour.share_frac for colour in facts.colours}
    lit = max(shares.get("white", 0.0), shares.get("black", 0.0)) < MOST_FRAC <= sum(shares.values())
    common = (sum(shares.get(colour.name, 0.0) for colour in other.colours) for other in meant)
    return changes_colour(facts) and lit and max(common) < MIN_SHARE_FRAC


def _compare(of: Claim, facts_by_object: Mapping[str, Facts], rulings: Mapping[str, Ruling]) -> None:
    """Rule out what has a colour clearly less than all that surely have it: beside a red one, the orange one."""
    name = of.value.split()[1]
    shares = {
        object_id: max([one.share_frac for one in (*facts.colours, *facts.colours_best) if one.name == name] or [0.0])
        for object_id, facts in facts_by_object.items()
        if facts.colours_known
    }
    sure = [share_frac for object_id, share_frac in shares.items() if rulings[object_id].state == TRUE]
    for object_id, share_frac in shares.items():
        ruling = rulings[object_id]
        if sure and ruling.state == UNKNOWN and share_frac <= min(sure) - COLOUR_MARGIN_FRAC:
            ruling.state = RULED_OUT
            ruling.measured += f"; another object is {min(sure):.2f} {name}"


def _rank(of: Claim, among: Mapping[str, Facts], heard: dict[str, list[Ruling]]) -> dict[str, Facts]:
    """Add the rulings on a claim of rank to `heard`, and return the objects of `among` that it leaves."""
    certain = frozenset(
        object_id for object_id in among if all(one.state == TRUE for one in heard[object_id] if one.kind in _COLOURS)
    )
    out = outranked(of, among, certain)
    for object_id in heard:
        state = RULED_OUT if object_id in out or object_id not in among else UNKNOWN
        measured = "others are clearly before it" if object_id in out else "not among those that are ranked"
        if state == UNKNOWN:
            measured = "nothing against it"
        heard[object_id].append(
            Ruling(object_id=object_id, kind=of.kind, claim=of.words, state=state, measured=measured)
        )
    return {object_id: facts for object_id, facts in among.items() if object_id not in out}
