"""Checks claims of visibility: that the object is always seen, comes, goes or is hidden, against when it has a mask."""

import re
from collections.abc import Iterator, Sequence

from manifests.schema import Contradiction, Facts
from stages.claims.clauses import ADVERBS, VIEW, Clause, quoted

# An object that is out of sight for less than either, in seconds or of the duration, may well be called always visible.
_CLEAR_S, _CLEAR_FRAC = 1.0, 0.08
_GONE_FRAC = 0.15  # of the duration: an object last seen less than this before the end "never leaves", it may be hidden
_BORDER_FRAC = 0.15  # an object whose edge is nearer to the border of the frame may come in or go out in part

_ANCHOR = rf"(?:^|, | and | then |, then |, before |\bbefore ){ADVERBS}"
_OUT = rf"out of (?:sight|view|the (?:{VIEW}|field of view))"
_IN = rf"(?:visible|in (?:view|sight|full view|the {VIEW}))"
_WHOLE = (
    r"(?:throughout|(?:for |during )?the (?:whole|entire) (?:time|video|duration|clip|scene|sequence)|at all times"
    r"|from (?:start|beginning) to (?:finish|end))"
)
_ALWAYS = re.compile(
    rf"{_ANCHOR}(?:(?:is|remains?|stays?|can be seen|remaining|staying) {ADVERBS}(?:{_IN} )?{ADVERBS}{_WHOLE}"
    rf"|never (?:goes|moves|passes) {_OUT}|(?:is|remains|stays) always {_IN}"
    rf"|(?:remains?|stays?|remaining|staying) {ADVERBS}{_IN}(?=$))",
    re.IGNORECASE,
)
_SEEN = re.compile(rf"can be seen|{_IN}|never", re.IGNORECASE)
_NEVER_LEAVES = re.compile(rf"{_ANCHOR}never leaves the (?:{VIEW}|field of view)", re.IGNORECASE)
_TIMES = r"(?:for|from about|from the start|at about|once|twice|\w+ times)\b"
_GOES = re.compile(
    rf"{_ANCHOR}(?:(?:disappear|vanish)(?:s|es|ing)\b"
    rf"|(?:goes|moves|walks|runs|drives|flies|rolls|going|moving) {ADVERBS}{_OUT}"
    rf"|(?:leaves|leaving|exits|exiting) the (?:{VIEW}|field of view))",
    re.IGNORECASE,
)
_HIDDEN = re.compile(
    # "briefly hidden" is also said of an object of which a third is covered, and so small a loss is not measured
    rf"{_ANCHOR}(?:(?:is|becomes) (?:then |briefly |temporarily |momentarily )*"
    rf"(?:(?:completely|fully|entirely|totally) (?:hidden|obscured|{_OUT})|{_OUT})|is (?:hidden|{_OUT}) {_TIMES})",
    re.IGNORECASE,
)
_COMES = re.compile(
    rf"{_ANCHOR}(?:(?:enters|entering) the (?:{VIEW}|field of view)|comes into (?:view|sight|the {VIEW})"
    r"|first appears (?:at|after|right|from)\b)",
    re.IGNORECASE,
)
_NOT_ALWAYS = re.compile(
    r"hidden|hides|disappear|vanish|out of (?:sight|view)|leav|exit|enter|appears|into view|until|except|before"
    r"|obscured|occluded|covered|most of",
    re.IGNORECASE,
)
_IN_PART = re.compile(r"part(?:ly|ial)|almost|nearly|about to", re.IGNORECASE)


def visibility_contradictions(clauses: Sequence[Clause], facts: Facts) -> Iterator[Contradiction]:
    """Yield claims that an object is always seen if it is not, and that it comes, goes or is hidden if it never is."""
    clear_s = max(_CLEAR_S, _CLEAR_FRAC * facts.duration_s)
    unseen_s = facts.duration_s - facts.leaves_s if facts.leaves_s is not None else 0.0
    gaps_s = [*(span.end_s - span.start_s for span in facts.hidden_spans), facts.enters_s or 0.0, unseen_s]
    for clause in clauses:
        text = f"{clause.words}{clause.rest}"
        always = list(_ALWAYS.finditer(clause.words))
        if always and max(gaps_s) >= clear_s and not _restricted(clause, always, clauses):
            yield from (_contradiction(match, facts) for match in always if _SEEN.search(match.group()))
        if unseen_s >= max(clear_s, _GONE_FRAC * facts.duration_s):
            yield from (_contradiction(match, facts) for match in _NEVER_LEAVES.finditer(clause.words))
        if not any(gaps_s) and not facts.occluded_spans and not _IN_PART.search(text):
            yield from (_contradiction(match, facts) for match in _HIDDEN.finditer(clause.words))
            if _inside(facts, facts.centre_end_frac) and _inside(facts, facts.centre_start_frac):
                yield from (_contradiction(match, facts) for match in _GOES.finditer(clause.words))
            if _inside(facts, facts.centre_start_frac) and facts.size_change != "grows":
                yield from (_contradiction(match, facts) for match in _COMES.finditer(clause.words))


def _restricted(clause: Clause, always: Sequence[re.Match[str]], clauses: Sequence[Clause]) -> bool:
    """Return whether the text itself restricts the claim: 'until it leaves', 'although it is briefly hidden'."""
    text = f"{clause.words}{clause.rest}"
    for match in always:
        text = text.replace(match.group(), " ")
    others = " ".join(f"{other.words}{other.rest}" for other in clauses if other is not clause)
    return bool(_NOT_ALWAYS.search(text) or _NOT_ALWAYS.search(re.sub(rf"never \w+ {_OUT}", " ", others)))


def _inside(facts: Facts, centre_frac: Sequence[float]) -> bool:
    """Return whether the object, with its centre there, is well within the frame; its extent is taken from its area."""
    least = _BORDER_FRAC + facts.area_best_frac**0.5 / 2
    return bool(min(*centre_frac, *(1 - at for at in centre_frac)) > least)


def _contradiction(match: re.Match[str], facts: Facts) -> Contradiction:
    spans = [f"{span.start_s:.1f} to {span.end_s:.1f} s" for span in facts.hidden_spans]
    parts = [f"out of sight {', '.join(spans)}"] if spans else []
    if facts.enters_s is not None:
        parts.append(f"first seen at {facts.enters_s:.1f} s")
    if facts.leaves_s is not None:
        parts.append(f"last seen at {facts.leaves_s:.1f} s")
    measured = f"{'; '.join(parts) or 'seen all the time, never much covered'}; of {facts.duration_s:.1f} s"
    return Contradiction(kind="visibility", claim=quoted(match), measured=measured)
