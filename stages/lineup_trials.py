"""Holds and decides a line-up: who bears which number in which trial, when enough were held, what they amount to.

Nothing here draws or knows a model: whoever asks the judge is given as a function.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from manifests.lineup import AMBIGUOUS, MAX_SHOWN, NOT_FOUND, SINGLED_OUT, LineupHeat, LineupTrial

Ask = Callable[[Sequence[str], int], Awaitable[LineupHeat]]  # object_ids by their numbers, number of the trial


@dataclass(frozen=True, kw_only=True, slots=True)
class LineupConfig:
    """Sets how texts are put to the judge, and how often the judge itself is tested."""

    frames: int = 6  # that the judge sees in every question
    trials: int = 2  # each with other numbers: a judge that likes a number disagrees with itself
    max_trials: int = 5  # while the trials disagree
    min_pick_rate: float = 0.6  # share of the trials that must end with the right object alone: 3 of 5
    seed: int = 0  # of the numbers, and of the choice of objects for catch trials
    catch_frac: float = 0.1  # share of the objects that get catch trials
    catch_least: int = 100  # at least so many objects, or all; some of them end before the line-up

    def __post_init__(self) -> None:
        for name in ("frames", "trials", "catch_least"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of a line-up must be at least 1, got {getattr(self, name)}")
        if self.max_trials < self.trials:
            raise ValueError(f"max_trials of a line-up must be at least trials {self.trials}, got {self.max_trials}")
        if not 0 < self.min_pick_rate <= 1 or not 0 <= self.catch_frac <= 1:
            raise ValueError(f"min_pick_rate must be in (0, 1] and catch_frac in [0, 1], got {self}")

    def catch_share(self, objects: int) -> float:
        """Return the share of the objects that get catch trials, if there are so many objects to describe."""
        return max(self.catch_frac, min(1.0, self.catch_least / max(1, objects)))


@dataclass(frozen=True)
class Tally:
    """What trials amount to.

    Attributes:
        pick_rate: share of them that ended with the right object alone.
        runner_up: the other object with which most of them ended, alone or among several; None if with none.
        runner_up_rate: share of them that ended with it.
        decision: SINGLED_OUT, AMBIGUOUS or NOT_FOUND of manifests/lineup.py.
    """

    pick_rate: float
    runner_up: str | None
    runner_up_rate: float
    decision: str


async def hold_trials(
    candidates: Sequence[str], ask: Ask, config: LineupConfig, seed: str, *, exact: bool = False
) -> list[LineupTrial]:
    """Ask a judge as often as it takes to decide, and return the trials; none if there is only one candidate.

    Args:
        candidates: object_ids, the right one first.
        ask: puts one question to the judge.
        config: how many trials there are.
        seed: of the numbers.
        exact: whether the judge always says the same of the same text: then one trial is as good as several.
    """
    trials: list[LineupTrial] = []
    while len(candidates) > 1 and not (enough(candidates[0], trials, config) or (trials and exact)):
        heats = numbering(candidates, len(trials), seed)
        trials.append(await _trial(heats, ask, len(trials), seed))
    return trials


async def _trial(heats: Sequence[Sequence[str]], ask: Ask, number: int, seed: str) -> LineupTrial:
    """Hold a trial: its heats, and as long as several of them have winners, further heats for the winners."""
    held = [await ask(heat, number) for heat in heats]
    winners = [name for heat in held for name in heat.picked]
    while len(heats) > 1 and len(winners) > 1:
        heats = numbering(sorted(winners), number, f"{seed}/{len(held)}")
        again = [await ask(heat, number) for heat in heats]
        held += again
        picked = [name for heat in again for name in heat.picked]
        if len(picked) == len(winners):  # all of them again: the text fits them all
            break
        winners = picked
    return LineupTrial(heats=held, picked=sorted(winners))


def tally(target: str, trials: Sequence[LineupTrial], min_pick_rate: float) -> Tally:
    """Count how trials ended, and decide.

    The text singles out `target` if at least `min_pick_rate` of the trials, of which there is one at least, ended with
    it alone, and no other object was named as often. Else it is ambiguous with the other object that was named most
    often; or, if there is none or more trials ended with no object, it was not found.
    """
    alone = sum(trial.picked == [target] for trial in trials)
    nobody = sum(not trial.picked for trial in trials)
    named = Counter(name for trial in trials for name in trial.picked if name != target)
    runner_up, times = min(named.items(), key=lambda item: (-item[1], item[0])) if named else (None, 0)
    decision = AMBIGUOUS if runner_up and times >= nobody else NOT_FOUND
    if alone / len(trials) >= min_pick_rate and times < alone:
        decision = SINGLED_OUT
    return Tally(alone / len(trials), runner_up, times / len(trials), decision)


def enough(target: str, trials: Sequence[LineupTrial], config: LineupConfig) -> bool:
    """Return whether no further trial is needed: all agree, or the remaining ones cannot change what is decided."""
    left = config.max_trials - len(trials)
    if len(trials) < config.trials:
        return False
    if left <= 0 or all(set(trial.picked) == set(trials[0].picked) for trial in trials):
        return True
    nobody, right = LineupTrial(heats=[], picked=[]), LineupTrial(heats=[], picked=[target])
    named = {name for trial in trials for name in trial.picked if name != target}
    ends = [right, nobody, *(LineupTrial(heats=[], picked=[name]) for name in sorted(named)[:MAX_SHOWN])]
    return len({tally(target, [*trials, *[end] * left], config.min_pick_rate).decision for end in ends}) == 1


def numbering(candidates: Sequence[str], trial: int, seed: str) -> list[list[str]]:
    """Return the objects of a trial in the order of their numbers, in heats of at most 9.

    Who meets whom in a heat is the same in all trials; the numbers are drawn anew for every trial. The first candidate,
    which is the right one, bears another number in every trial while there are numbers that it did not bear yet.

    Args:
        candidates: object_ids, the right one first.
        trial: its number, from 0.
        seed: of the line-up.
    """
    mixed = [*candidates[1:]]
    random.Random(seed).shuffle(mixed)
    heats = -(-len(candidates) // MAX_SHOWN)
    orders = [[candidates[0], *mixed][at::heats] for at in range(heats)]
    first, *others = orders[0]
    places = [*range(len(orders[0]))]
    random.Random(f"{seed}/places").shuffle(places)
    for at, order in enumerate([others, *orders[1:]]):
        random.Random(f"{seed}/{trial}/{at}").shuffle(order)
    others.insert(places[trial % len(places)], first)
    return [others, *orders[1:]]


def drawn(object_id: str, share: float, seed: int) -> bool:
    """Return whether an object belongs to a seeded share of all objects; a larger share holds every smaller one."""
    return random.Random(f"{seed}/{object_id}").random() < share
