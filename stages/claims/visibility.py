"""Claims of visibility: that the object is seen all the time, comes, goes or is hidden, against when it has a mask."""

import re
from collections.abc import Iterator, Sequence

from manifests.schema import Contradiction, Facts
from stages.claims.clauses import ADVERBS, VIEW, Clause, quoted

_CLEAR_S, _CLEAR_FRAC = 1.0, 0.08  # out of sight for less, it may well be said to be seen throughout
_GONE_FRAC = 0.15  # "never leaves": what is last seen this long before the end may be hidden until then
_BORDER_FRAC = 0.15  # a centre nearer to the border, plus half its extent: it may come in or go out in part

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
    # "briefly hidden" is said of a third of it too, which is no dip that would be measured
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


def visibility(said: Sequence[Clause], facts: Facts) -> Iterator[Contradiction]:
    """Claims of being always seen of what is not, and of coming, going or being hidden of what always is."""
    clear_s = max(_CLEAR_S, _CLEAR_FRAC * facts.duration_s)
    unseen_s = facts.duration_s - facts.leaves_s if facts.leaves_s is not None else 0.0
    gaps_s = [*(span.end_s - span.start_s for span in facts.hidden_spans), facts.enters_s or 0.0, unseen_s]
    for clause in said:
        whole = f"{clause.words}{clause.rest}"
        always = list(_ALWAYS.finditer(clause.words))
        if always and max(gaps_s) >= clear_s and not _restricted(clause, always, said):
            yield from (_contradiction(found, facts) for found in always if _SEEN.search(found.group()))
        if unseen_s >= max(clear_s, _GONE_FRAC * facts.duration_s):
            yield from (_contradiction(found, facts) for found in _NEVER_LEAVES.finditer(clause.words))
        if not any(gaps_s) and not facts.occluded_spans and not _IN_PART.search(whole):
            yield from (_contradiction(found, facts) for found in _HIDDEN.finditer(clause.words))
            if _inside(facts, facts.centre_end_frac) and _inside(facts, facts.centre_start_frac):
                yield from (_contradiction(found, facts) for found in _GOES.finditer(clause.words))
            if _inside(facts, facts.centre_start_frac) and facts.size_change != "grows":
                yield from (_contradiction(found, facts) for found in _COMES.finditer(clause.words))


def _restricted(clause: Clause, always: Sequence[re.Match[str]], said: Sequence[Clause]) -> bool:
    """Whether the text itself restricts the claim: 'until it leaves', 'although it is briefly hidden'."""
    whole = f"{clause.words}{clause.rest}"
    for found in always:
        whole = whole.replace(found.group(), " ")
    others = " ".join(f"{other.words}{other.rest}" for other in said if other is not clause)
    return bool(_NOT_ALWAYS.search(whole) or _NOT_ALWAYS.search(re.sub(rf"never \w+ {_OUT}", " ", others)))


def _inside(facts: Facts, centre_frac: Sequence[float]) -> bool:
    """Whether all of it is well within the view."""
    least = _BORDER_FRAC + facts.area_best_frac**0.5 / 2
    return bool(min(*centre_frac, *(1 - at for at in centre_frac)) > least)


def _contradiction(found: re.Match[str], facts: Facts) -> Contradiction:
    spans = [f"{span.start_s:.1f} to {span.end_s:.1f} s" for span in facts.hidden_spans]
    told = [f"out of sight {', '.join(spans)}"] if spans else []
    if facts.enters_s is not None:
        told.append(f"first seen at {facts.enters_s:.1f} s")
    if facts.leaves_s is not None:
        told.append(f"last seen at {facts.leaves_s:.1f} s")
    measured = f"{'; '.join(told) or 'seen all the time, never much covered'}; of {facts.duration_s:.1f} s"
    return Contradiction(kind="visibility", claim=quoted(found), measured=measured)
