"""A judge whose errors and likings are known: it answers questions of a line-up by the truth, and errs at set rates.

It stands in for a model: what it is shown, and how its answers are decided on, is that of the real stage.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from manifests.schema import Row
from prompts import Prompt
from stages.writer import Model

RIGHT, ONE, OTHER, MORE, NOBODY = "exactly those", "one of those", "another", "one too many", "none"
CONFUSION: dict[str, Mapping[str, float]] = {  # what the text fits of what is shown -> answer -> how often
    "none": {RIGHT: 0.80, OTHER: 0.20},
    "one": {RIGHT: 0.84, OTHER: 0.06, MORE: 0.06, NOBODY: 0.04},
    "several": {RIGHT: 0.62, ONE: 0.32, OTHER: 0.03, NOBODY: 0.03},
}
COLUMNS = ("left", "centre", "right")  # of the frame
_MOST_ERRORS_FRAC = 0.95  # of its answers, in the hardest video


@dataclass(frozen=True)
class Manner:
    """How a simulated judge answers.

    Attributes:
        name: of the judge.
        confusion: like CONFUSION.
        number_frac: share of the questions that it answers with number 1, whatever it is shown.
        place_frac: share of the times that it names one of several which it then takes from the left.
        stubborn_frac: share of the texts on which it never changes its mind: more trials do not help.
        spread: of its errors over videos: the standard deviation of the factor, whose mean is 1, by which they grow.
    """

    name: str = "fair"
    confusion: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: CONFUSION)
    number_frac: float = 0.0
    place_frac: float = 0.0
    stubborn_frac: float = 0.5
    spread: float = 0.5

    def factor(self, video_id: str) -> float:
        """Return by what its errors grow in a video: some are hard to see for all texts."""
        if not self.spread:
            return 1.0
        return random.Random(f"{self.name}/{video_id}").gammavariate(self.spread**-2, self.spread**2)

    def mind(self, seed: str, trial: int) -> random.Random:
        """Return what decides its answer to a text in a trial: the same in every trial if it is stubborn."""
        stubborn = random.Random(seed).random() < self.stubborn_frac
        return random.Random(f"{seed}/{0 if stubborn else trial}")

    def answer(
        self, shown: Sequence[str], fits: Sequence[str], mind: random.Random, factor: float, columns: Mapping[str, int]
    ) -> list[str]:
        """Return which of the objects that are shown it names.

        Args:
            shown: object_ids by their numbers.
            fits: object_ids of all objects that the text fits.
            mind: decides on chance.
            factor: of its errors in this video.
            columns: object_id -> place from left to right.
        """
        right, others = sorted(set(shown) & set(fits)), sorted(set(shown) - set(fits))
        mind.shuffle(right)
        mind.shuffle(others)
        at, leans, likes = mind.random(), mind.random() < self.place_frac, mind.random() < self.number_frac
        if likes:
            return [shown[0]]
        if leans:
            right.sort(key=lambda name: columns[name])
        rates = self.confusion["none" if not right else "one" if len(right) == 1 else "several"]
        factor = min(factor, _MOST_ERRORS_FRAC / max(1 - rates[RIGHT], _MOST_ERRORS_FRAC / 100))
        wrong = {ONE: right[:1], OTHER: others[:1], MORE: right + others[:1], NOBODY: []}
        for kind, answer in wrong.items():
            at -= factor * rates.get(kind, 0.0)
            if at < 0:
                return answer
        return right


class Truth(NamedTuple):
    """What a text fits; and how likely it is that a claim of it that is wrong is overlooked, and what it fits then."""

    fits: Sequence[str]
    overlooked: Sequence[str] = ()
    overlooks_frac: float = 0.0


class SimulatedJudge:
    """Answers the requests of the stages that hold line-ups, as a model does; it looks at nothing."""

    name, pool, looks = "simulated", "cpu", True

    def __init__(self, manner: Manner, truth: Callable[[Row], Truth]) -> None:
        """Tell it how to answer, and what is true of the text of a row as it is asked."""
        self.manner, self.truth, self.judge = manner, truth, Model(manner.name, "simulated")

    async def write(self, prompt: Prompt[Any], row: Row, images: Sequence[bytes]) -> Any:
        """Return the numbers that it names, as `JudgeWriter.write` asks; it knows one prompt."""
        if prompt.name != "lineup" or not images:
            raise ValueError(f"a simulated judge answers line-ups with pictures, got {prompt.name} with {len(images)}")
        truth, seed = self.truth(row), f"{self.manner.name}/{row.object_id}/{row.expression}"
        overlooks = random.Random(f"{seed}/overlooks").random() < truth.overlooks_frac
        columns = {one.object_id: COLUMNS.index(one.place_best.split()[-1]) for one in row.sibling_facts}
        picked = self.manner.answer(
            row.lineup_shown,
            truth.overlooked if overlooks else truth.fits,
            self.manner.mind(seed, row.trial),
            self.manner.factor(row.video_id),
            columns,
        )
        numbers = [row.lineup_shown.index(name) + 1 for name in picked]
        return prompt.reply.model_validate({"evidence": "", "numbers": numbers})
