"""Gold items: expressions whose right answer is known, to check the people who judge.

Half have their own text, in which the run found nothing wrong: accepting is right. Half have the text of the object of
the same video that is most easily taken for theirs: rejecting is right. All are of train videos, as whoever judges one
has seen the video's masks and could not judge it blind.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from validation_ui.importing.candidates import Candidate
from validation_ui.importing.sample import gold_wanted
from validation_ui.schema import Gold
from validation_ui.seeded import place
from validation_ui.settings import Settings


@dataclass(frozen=True)
class GoldItem:
    """A gold item to be made."""

    candidate: Candidate
    gold: Gold
    parts: dict[str, str]
    priority: int


def choose(candidates: Sequence[Candidate], videos: Sequence[str], settings: Settings) -> list[GoldItem]:
    """Gold items of some videos, good and swapped by turns, each object once.

    Videos are used up one after the other, from the end, where the seeded order has put what the benchmark does not
    want: few videos are enough, and only these need pictures.
    """
    by_id = {candidate.object_id: candidate for candidate in candidates}
    by_video: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_video.setdefault(candidate.video_id, []).append(candidate)
    found: list[tuple[float, Candidate, Gold, dict[str, str]]] = []
    wanted = gold_wanted(settings)
    for video in reversed(videos):
        for candidate in sorted(by_video[video], key=lambda c: place(settings.seed, "gold", c.object_id)):
            if len(found) == wanted:
                break
            turn = place(settings.seed, "turn", candidate.object_id)
            if len(found) % 2 and candidate.alike:
                found.append((turn, candidate, Gold.SWAPPED, by_id[candidate.alike[0]].parts))
            elif len(found) % 2 == 0 and candidate.clean:
                found.append((turn, candidate, Gold.GOOD, candidate.parts))
    found.sort(key=lambda entry: entry[0])  # no pattern of good and swapped can be learned
    return [GoldItem(candidate, gold, parts, n) for n, (_, candidate, gold, parts) in enumerate(found)]
