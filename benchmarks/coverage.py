"""Does the corrected share of good texts lie in its interval as often as it says?

Whole runs are simulated: videos with two to five objects, a text of a known kind for each, catch texts for as many
objects as a run takes, and a judge with known errors (`simulated_judge.py`), whose answers are decided by the real
trials. The real estimator gets the counts by video. Texts of a video share its difficulty, for the judge and for the
writer.

Beside it stands what one would say without the correction: the share that the judge kept, with its interval.
"""

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.simulated_judge import COLUMNS, CONFUSION, Manner
from manifests.lineup import SINGLED_OUT, LineupHeat
from manifests.text_tables import text_table
from pipeline.verification.corrected import Rate, quality
from pipeline.verification.counts import JudgedCounts
from stages.lineup_trials import LineupConfig, drawn, hold_trials, tally

SIZES = (10, 15, 25, 50, 100, 200, 400)  # videos
GOAL_FRAC = (0.93, 0.97)  # of the runs, at the last of SIZES
GIVEN_FRAC = 0.99  # of the runs of a size must have an interval: the others are said to be too few
RAW_FRAC = 0.5  # of the intervals of the uncorrected share may hold the truth, or the correction would be for nothing
_DRAWS = 2000
_CATCH_FRAC = 0.8  # of the objects that are drawn for catch trials, how many have a text of a kind
_CONCENTRATION = 8.0  # of the share of good texts over videos: beta-distributed, with a standard deviation of 0.13


@dataclass(frozen=True)
class Setting:
    """Describes the texts and the judge of simulated runs.

    Attributes:
        name: what is special about it.
        good_frac: share of the texts that single out their object.
        several_frac: share of the others that fit several objects, this one too; of the rest half fit another one
            alone, if `others`, and half fit nothing.
        manner: how the judge answers.
        harder: by how much more the judge errs on the texts of the run than on the catch texts.
    """

    name: str
    good_frac: float = 0.8
    several_frac: float = 0.5
    others: bool = False
    manner: Manner = Manner()
    harder: float = 1.0


_LEANING = Manner("leans to the left, likes number 1", CONFUSION, number_frac=0.1, place_frac=0.7)
SETTINGS = (
    Setting("bad texts as mixed as catch texts"),
    Setting("the judge likes number 1 and what is left", manner=_LEANING),
    Setting("good texts are rare", good_frac=0.5),
    Setting("bad texts of three kinds", several_frac=1 / 3, others=True),
    Setting("the judge errs half as often again on the run's texts", harder=1.5),
)


class Simulated(NamedTuple):
    """A simulated run: what the estimator gets, and of its texts how many are good, and good and kept."""

    judged: JudgedCounts
    good: int
    good_passed: int


async def simulate(seed: int, videos: int, setting: Setting) -> Simulated:
    """Write, judge and catch in a run of so many videos."""
    rng, config = random.Random(f"{setting.name}/{videos}/{seed}"), LineupConfig(seed=seed)
    groups = [[f"{video}/manual/{n}" for n in range(rng.randint(2, 5))] for video in range(videos)]
    catch_share = config.catch_share(sum(map(len, groups)))
    counts = {name: np.zeros(videos, np.int64) for name in JudgedCounts.__dataclass_fields__}
    good = good_passed = 0
    for video, group in enumerate(groups):
        factor = setting.manner.factor(f"{seed}/{video}")
        good_frac = rng.betavariate(_CONCENTRATION * setting.good_frac, _CONCENTRATION * (1 - setting.good_frac))
        columns = {name: rng.randrange(len(COLUMNS)) for name in group}
        for name in group:
            judge = partial(_passes, name, group, setting.manner, config, columns)
            other = rng.choice([each for each in group if each != name])
            fits = _fits(name, other, good_frac, setting, rng)
            passed = await judge(fits, factor * setting.harder, "text")
            counts["texts"][video] += 1
            counts["passed"][video] += passed
            good += fits == [name]
            good_passed += fits == [name] and passed
            if drawn(name, catch_share, seed):
                for kind, truth in (("unique", [name]), ("other", [name, other]), ("other", [])):
                    if rng.random() < _CATCH_FRAC:
                        counts[kind][video] += 1
                        counts[f"{kind}_passed"][video] += await judge(truth, factor, f"{kind} {len(truth)}")
    return Simulated(JudgedCounts(**counts), good, good_passed)


def _fits(name: str, other: str, good_frac: float, setting: Setting, rng: random.Random) -> list[str]:
    if rng.random() < good_frac:
        return [name]
    if rng.random() < setting.several_frac:
        return [name, other]
    return [other] if setting.others and rng.random() < 0.5 else []


async def _passes(
    name: str,
    group: Sequence[str],
    manner: Manner,
    config: LineupConfig,
    columns: dict[str, int],
    fits: Sequence[str],
    factor: float,
    text: str,
) -> bool:
    """Return whether the real decision finds that a text singles out the object `name`."""
    seed = f"{config.seed}/{name}/{text}"

    async def ask(shown: Sequence[str], trial: int) -> LineupHeat:
        picked = manner.answer(shown, fits, manner.mind(seed, trial), factor, columns)
        return LineupHeat.model_construct(shown=[*shown], picked=picked, evidence="")

    candidates = [name, *(each for each in group if each != name)]
    trials = await hold_trials(candidates, ask, config, seed)
    return tally(name, trials, config.min_pick_rate).decision == SINGLED_OUT


class Found(NamedTuple):
    """Intervals of one simulated run, and what is true of its texts: (count of good, of all; of good kept, of kept)."""

    raw: Rate
    good: Rate
    of_passed: Rate
    counts: tuple[int, int, int, int]
    catch_texts: int


def find(seed: int, videos: int, setting: Setting) -> Found:
    """Simulate a run, and estimate."""
    run = asyncio.run(simulate(seed, videos, setting))
    judged, found = run.judged, quality(run.judged, seed, _DRAWS)
    counts = (run.good, int(judged.texts.sum()), run.good_passed, int(judged.passed.sum()))
    return Found(found.passed, found.good, found.good_of_passed, counts, int(judged.unique.sum() + judged.other.sum()))


class Coverage(NamedTuple):
    """How often intervals held the truth, over all simulated runs of one size.

    Attributes:
        videos: of a run.
        texts: of a run, on average; likewise the catch texts.
        true_good: share of good texts among all, and among those that were kept.
        raw: share of the runs in which the interval of the share that was kept holds the share of good texts.
        good: the same for the corrected interval, and its mean width.
        of_passed: the same for the share of good texts among those that were kept.
        given: share of the runs in which there was a corrected interval.
    """

    videos: int
    texts: float
    catch_texts: float
    true_good: tuple[float, float]
    raw: float
    good: tuple[float, float]
    of_passed: tuple[float, float]
    given: float


def cover(setting: Setting, videos: int, runs: int, pool: Executor) -> Coverage:
    """Simulate runs, and count; the truth is that of all of them together, from which each run is a sample."""
    found = [*pool.map(partial(find, videos=videos, setting=setting), range(runs), chunksize=8)]
    good, texts, good_passed, passed = np.array([each.counts for each in found]).sum(axis=0).tolist()
    true = (good / texts, good_passed / passed)
    given = [each for each in found if each.good.low is not None]
    return Coverage(
        videos,
        texts / runs,
        sum(each.catch_texts for each in found) / runs,
        true,
        _held([each.raw for each in given], true[0])[0],
        _held([each.good for each in given], true[0]),
        _held([each.of_passed for each in given], true[1]),
        len(given) / runs,
    )


def _held(rates: Sequence[Rate], true: float) -> tuple[float, float]:
    """Return in which share of the intervals a value lies, and their mean width."""
    ends = [(rate.low, rate.high) for rate in rates if rate.low is not None and rate.high is not None]
    if not ends:
        return 0.0, 0.0
    low, high = np.array(ends).T
    return float(((low <= true) & (true <= high)).mean()), float((high - low).mean())


HEAD = (
    *("videos", "texts", "catch texts", "given", "good", "raw covers", "corrected covers", "width"),
    *("kept: good", "corrected covers", "width"),
)


def show(runs: int, pool: Executor) -> dict[str, bool]:
    """Simulate and print; return what must hold, and whether it does.

    The first of SETTINGS is simulated in all SIZES, the others in the last, with a fifth of the runs.
    """
    first, *others = SETTINGS
    found = [cover(first, videos, runs, pool) for videos in SIZES]
    print(f"\n{first.name}: {runs:,} simulated runs of each size; 95 % intervals cover the truth in")
    print("\n".join(text_table([HEAD, *map(_line, found)], left=0)))
    enough = smallest(found)
    told = f"{enough} videos" if enough else f"none of {', '.join(map(str, SIZES))}"
    print(f"smallest run whose corrected intervals cover in {GOAL_FRAC[0]:.0%} to {GOAL_FRAC[1]:.0%}: {told}")
    runs = max(1, runs // 5)
    table = [(each.name, *_line(cover(each, SIZES[-1], runs, pool))) for each in others]
    print(f"\nother judges and texts, {runs:,} simulated runs each")
    print("\n".join(text_table([("", *HEAD), *table], left=1)))
    within = GOAL_FRAC[0] <= found[-1].good[0] <= GOAL_FRAC[1]
    return {
        f"at {SIZES[-1]} videos the corrected interval covers the truth as often as it says": within,
        "without the correction the interval does not cover it": found[-1].raw < RAW_FRAC,
    }


def _line(each: Coverage) -> tuple[str, ...]:
    counts = (f"{each.videos:,}", f"{each.texts:,.0f}", f"{each.catch_texts:,.0f}")
    shares = (each.given, each.true_good[0], each.raw, *each.good, each.true_good[1], *each.of_passed)
    return *counts, *(f"{share:.1%}" for share in shares)


def smallest(found: Sequence[Coverage]) -> int | None:
    """Return the number of videos from which on the corrected interval covers within GOAL_FRAC; None if none does."""
    held = None
    for each in reversed(found):
        if each.given < GIVEN_FRAC or not GOAL_FRAC[0] <= each.good[0] <= GOAL_FRAC[1]:
            break
        held = each.videos
    return held
