"""Texts that are mixed into the real items, unmarked: what a gate of the run rejected, and what fits nothing.

What people say of rejected texts measures the gates (`python -m pipeline.calibrate`). Texts without a target, of the
run's `negatives.json`, tell whether people notice that nothing fits. None of them counts for a quota.

Long ones stand in the queue among the others, at random places. Short ones come to the blind pass just before the long
expression of their object (`judging.items`), where a short expression comes that somebody wrote. All are of benchmark
videos whose other expressions are judged as well.
"""

import json
import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any

import pyarrow.compute as pc

from manifests.expression import check_short
from manifests.io import Folder
from manifests.outputs import NEGATIVES_FILE, brief
from manifests.schema import Reason, Status
from validation_ui.importing.candidates import Candidate, Run, read_columns, read_facts, split
from validation_ui.importing.sample import Drawn
from validation_ui.importing.strata import levels
from validation_ui.judging.lengths import length_level
from validation_ui.judging.verdict import clean_short
from validation_ui.schema import ItemState, Source
from validation_ui.settings import Settings, seeded_frac

# The stages that reject a row for what its text says, with the reasons. A row without an expression, e.g. one whose two
# captions are not about the same thing, has no text that people could judge.
_REASONS = (Reason.AMBIGUOUS, Reason.CONTRADICTED, Reason.NOT_FOUND)
_DESCRIPTIONS = ("object_description", "scene_description", "video_description")
_ROW = ("object_id", "video_id", "stage", "reason", "expression", *_DESCRIPTIONS, "facts")


@dataclass(frozen=True)
class MixedIn:
    """A text to be mixed in.

    Attributes:
        candidate: the object and the parts of the text.
        gate: what rejected it, a stage of the run; empty for a text without a target.
        kind: long or short.
        source: REJECTED or NO_TARGET.
        priority: that of the drawn item at whose place in the queue it comes.
        overlap: whether two people judge it in the sighted pass.
        wants_short: whether its reviewer is asked for a short expression.
        is_second: a short one whose object may get another from its reviewer; taken last, as otherwise none has two.
    """

    candidate: Candidate
    gate: str
    kind: str
    source: Source
    priority: int = 0
    overlap: bool = False
    wants_short: bool = False
    is_second: bool = False

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of its item; the key `parts` has the text."""
        return {
            "public_id": secrets.token_hex(12) if self.kind == "long" else secrets.token_urlsafe(9),  # as others have
            "kind": self.kind,
            "source": self.source,
            "state": ItemState.SIGHTED if self.kind == "long" else ItemState.BLIND,
            "priority": self.priority,
            "overlap": self.overlap,
            "wants_short": self.wants_short,
            "parts": self.candidate.parts,
        }


def numbers_wanted(drawn: int, settings: Settings) -> dict[Source, int]:
    """Return how many texts are mixed in of each kind among so many drawn items, if the run has them."""
    no_target = math.ceil(settings.no_target / max(settings.pass_frac, 1e-9))
    return {Source.REJECTED: math.ceil(settings.rejected_frac * drawn), Source.NO_TARGET: no_target}


def choose(out: Folder, run: Run, drawn: Sequence[Drawn], settings: Settings) -> list[MixedIn]:
    """Choose what is mixed in among the drawn items, by the seed; nothing if the settings ask for nothing.

    Raises:
        ValueError: texts without a target are asked for, and `negatives.json` is not there or not readable.
    """
    chosen: list[MixedIn] = []
    numbers = numbers_wanted(len(drawn), settings)
    if settings.rejected_frac:
        rejected = [*_rejected_long(out, drawn), *_rejected_short(out, drawn)]
        chosen += _spread(rejected, numbers[Source.REJECTED], settings, lambda one: one.gate)
        chosen = [_placed(one, run, drawn, settings) if one.kind == "long" else one for one in chosen]
    if settings.no_target:
        chosen += _spread(
            _no_targets(out, drawn, settings), numbers[Source.NO_TARGET], settings, lambda one: one.candidate.video_id
        )
    return chosen


def _spread(texts: Sequence[MixedIn], number: int, settings: Settings, by: Any) -> list[MixedIn]:
    """Take texts in seeded order, from every group by turns, so that none is left out because another has more."""
    groups: dict[str, list[MixedIn]] = {}

    def place(one: MixedIn) -> tuple[bool, float]:
        return one.is_second, seeded_frac(settings.seed, "mixed in", one.candidate.object_id, one.gate)

    for one in sorted(texts, key=place):
        groups.setdefault(by(one), []).append(one)
    turns = chain.from_iterable(zip_longest(*groups.values()))
    return [one for one in turns if one is not None][:number]


def _placed(one: MixedIn, run: Run, drawn: Sequence[Drawn], settings: Settings) -> MixedIn:
    """Give a long text a place in the queue, and what else a drawn item has by chance."""
    name = one.candidate.object_id
    suggests = any(candidate.short for candidate in run.candidates)  # without a suggestion it would be the only one
    short_frac = 0.0 if suggests else sum(each.wants_short for each in drawn) / len(drawn)
    return replace(
        one,
        priority=drawn[int(seeded_frac(settings.seed, "place", name) * len(drawn))].priority,
        overlap=seeded_frac(settings.seed, "overlap", name) < settings.overlap_frac,
        wants_short=seeded_frac(settings.seed, "short", name) < short_frac,
    )


def _rejected_long(out: Folder, drawn: Sequence[Drawn]) -> Iterator[MixedIn]:
    videos = sorted({one.candidate.video_id for one in drawn})
    rule = (pc.field("status") == Status.REJECTED) & pc.field("reason").isin(list(map(str, _REASONS)))
    rule &= pc.is_valid(pc.field("expression")) & pc.is_valid(pc.field("facts")) & pc.field("video_id").isin(videos)
    facts = read_facts(out, videos)
    for row in read_columns(out, _ROW, rule):
        others = [other for other in facts[row["video_id"]] if other["object_id"] != row["object_id"]]
        try:
            parts = split(row["expression"], [row[name] for name in _DESCRIPTIONS])
        except ValueError:
            continue
        candidate = Candidate(
            *(row["object_id"], row["video_id"], parts), levels(row["facts"], parts, others), clean=False, alike=()
        )
        yield MixedIn(candidate, row["stage"], "long", Source.REJECTED)


def _rejected_short(out: Folder, drawn: Sequence[Drawn]) -> Iterator[MixedIn]:
    """Yield the short texts of drawn objects that were not taken for what they say."""
    by_id = {one.candidate.object_id: one for one in drawn}
    rule = (pc.field("status") == Status.KEPT) & pc.field("object_id").isin(list(by_id))
    for row in read_columns(out, ("object_id", "short_texts"), rule):
        for short in row["short_texts"]:
            if short["fault"] is not None and _is_short(short["text"]):
                yield _short(by_id[row["object_id"]], short["text"], "verify_short", Source.REJECTED)
                break


def _is_short(text: str) -> bool:
    try:
        check_short(text)
    except ValueError:
        return False
    return True


def _no_targets(out: Folder, drawn: Sequence[Drawn], settings: Settings) -> list[MixedIn]:
    by_id = {one.candidate.object_id: one for one in drawn}
    found: dict[str, MixedIn] = {}  # one of an object
    for negative in chain.from_iterable(_negatives(out).values()):
        drawn_item = by_id.get(negative["object_id"])
        if drawn_item is None or negative["kind"] != "no_target" or negative["unseen_twin_possible"]:
            continue
        try:
            text = clean_short(negative["text"], settings)
        except ValueError:
            continue
        found.setdefault(negative["object_id"], _short(drawn_item, text, "", Source.NO_TARGET))
    return list(found.values())


def _negatives(out: Folder) -> Mapping[str, list[Mapping[str, Any]]]:
    try:
        content = json.loads(out.read_bytes(NEGATIVES_FILE))
        for negative in chain.from_iterable(content.values()):
            if not isinstance(negative["text"], str) or not isinstance(negative["unseen_twin_possible"], bool):
                raise TypeError(f"a negative has a text and the flag unseen_twin_possible, got {negative!r:.80}")
            negative["object_id"], negative["kind"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"texts without a target are read from {out.path(NEGATIVES_FILE)}, which `make annotate` writes, got "
            f"{brief(error)}: run it again, or import with no_target=0"
        ) from error
    negatives: Mapping[str, list[Mapping[str, Any]]] = content
    return negatives


def _short(drawn: Drawn, text: str, gate: str, source: Source) -> MixedIn:
    parts = {"short": text}
    strata = drawn.candidate.strata | {"length": length_level("short", parts)}
    candidate = replace(drawn.candidate, parts=parts, strata=strata)
    return MixedIn(candidate, gate, "short", source, drawn.priority, is_second=drawn.wants_short)
