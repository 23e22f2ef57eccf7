"""Shows how far a run is, and estimates what it takes: before the first request, and again after the first rows.

In a terminal it is a tqdm bar, elsewhere a log line every 30 s.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tqdm import tqdm

from pipeline.run.recipes import TOKENS_PER_LINEUP
from pipeline.run.run_config import RunConfig

logger = logging.getLogger(__name__)

_BAR_PERIOD_S, _LOG_PERIOD_S = 0.5, 30.0
_HOUR_S = 3600
_STAGES_ASK = 6  # requests for an object without a repair: two captions, consistency, scene, video, expression
_LINEUP_ASKS = 3  # two trials, more where they disagree, and its part of the catch trials: the recipe's figure
_SHORT_ASKS = 2  # the trials of a short text
_CORRECT_FRAC = 0.05  # share of the rows after which their figures replace the first estimate


@dataclass(frozen=True)
class Seen:
    """Counts what was done so far.

    Attributes:
        states: number of rows by state.
        described: rows that were worked on; the others were rejected before any request.
        requests: requests that were sent for these rows.
        tokens_in: tokens of these requests.
        tokens_out: tokens of the replies to them.
    """

    states: Mapping[str, int]
    described: int = 0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class RunProgress:
    """Shows how many rows are done, rows per second, time left, and rows by state."""

    def __init__(self, total: int, correct: Callable[[Seen, float], str] | None = None) -> None:
        """Keep what to show.

        Args:
            total: rows of the run.
            correct: returns a new estimate, as a sentence, from what was done and the seconds passed; logged once.
        """
        self._total, self._correct = total, correct

    @contextmanager
    def watching(self, look: Callable[[], Seen]) -> Iterator[None]:
        """Show what `look` returns, again and again, until the block ends."""
        stop = threading.Event()
        watch = self._bar if sys.stderr.isatty() else self._log
        thread = threading.Thread(target=watch, args=(look, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=10)

    def _bar(self, look: Callable[[], Seen], stop: threading.Event) -> None:
        started_s = time.monotonic()
        with tqdm(total=self._total, unit="row", smoothing=0.05) as bar:
            ended = False
            while not ended:
                ended = stop.wait(_BAR_PERIOD_S)
                seen = look()
                bar.set_postfix(seen.states, refresh=False)
                bar.update(sum(seen.states.values()) - bar.n)
                with bar.external_write_mode(file=sys.stderr):
                    self._correct_once(seen, time.monotonic() - started_s)

    def _log(self, look: Callable[[], Seen], stop: threading.Event) -> None:
        started_s = logged_s = time.monotonic()
        ended = False
        while not ended:
            ended = stop.wait(_BAR_PERIOD_S)
            if not ended and time.monotonic() - logged_s < _LOG_PERIOD_S and self._correct is None:
                continue
            seen, now_s = look(), time.monotonic()
            self._correct_once(seen, now_s - started_s)
            if ended or now_s - logged_s >= _LOG_PERIOD_S:
                logged_s = now_s
                self._log_line(seen.states, now_s - started_s)

    def _log_line(self, states: Mapping[str, int], passed_s: float) -> None:
        done = sum(states.values())
        rate = done / passed_s
        left = f"{(self._total - done) / rate:.0f} s left" if rate else "time left unknown"
        counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        logger.info("%d of %d rows (%s), %.2f rows/s, %s", done, self._total, counts or "none", rate, left)

    def _correct_once(self, seen: Seen, passed_s: float) -> None:
        done = sum(seen.states.values())
        if self._correct and seen.requests and _CORRECT_FRAC * self._total <= seen.described and done < self._total:
            logger.info("%s", self._correct(seen, passed_s))
            self._correct = None


@dataclass(frozen=True)
class RunEstimate:
    """Holds the requests and tokens that a number of objects (rows) takes."""

    rows: int
    requests: int
    tokens_in: int
    tokens_out: int

    def __str__(self) -> str:
        """Return the figures in words."""
        return f"{self.requests:,} requests, {self.tokens_in:,} tokens in, {self.tokens_out:,} out"


def estimate_run(config: RunConfig, rows: int, texts: int | None = None) -> RunEstimate:
    """Estimate, from the figures of the recipe, what a run takes.

    Args:
        config: settings of a run that asks models.
        rows: number of pending objects.
        texts: number of their given texts, where texts are audited.
    """
    given = config.texts_sha256 is not None  # then nothing is written, and a repair is the exception
    roles = () if given else ("vlm", "llm")
    writers = [config.models[role] for role in roles if role == "vlm" or config.llm != config.vlm]
    # if the recipe has one model for both roles, its figure covers both
    figures = [*{model.tokens_per_object for model in writers}]
    requests = 0 if given else _STAGES_ASK + config.short
    if config.lineup:
        questions = _LINEUP_ASKS + (0 if given else _SHORT_ASKS * config.short)
        stated = config.judge.tokens_per_object if config.judge else TOKENS_PER_LINEUP
        figures.append((round(stated[0] * questions / _LINEUP_ASKS), round(stated[1] * questions / _LINEUP_ASKS)))
        requests += questions
    tokens_in, tokens_out = (sum(figure[at] for figure in figures) for at in (0, 1))
    times = rows if texts is None else texts
    return RunEstimate(rows, requests * times, tokens_in * times, tokens_out * times)


def estimate_h(plan: RunEstimate, in_flight: int, seconds_s: float, tokens_out: int) -> float:
    """Estimate the hours that a run takes from one request that was timed.

    Args:
        plan: what will be asked.
        in_flight: requests that are open at a time.
        seconds_s: time that the request took.
        tokens_out: tokens of its reply; the time for a longer reply is taken to be proportional.
    """
    times = max(1.0, plan.tokens_out / max(1, plan.requests) / tokens_out) if tokens_out else 1.0
    return plan.requests * seconds_s * times / max(1, min(in_flight, plan.rows)) / _HOUR_S


def corrected_estimate(plan: RunEstimate, seen: Seen, passed_s: float) -> str:
    """Say, in a sentence, what the whole run will take, from the objects that are done.

    Args:
        plan: the estimate before the run.
        seen: what was done and asked so far, for at least one object.
        passed_s: seconds since the first request.
    """
    times = plan.rows / seen.described
    figures = (round(figure * times) for figure in (seen.requests, seen.tokens_in, seen.tokens_out))
    estimate = f"{RunEstimate(plan.rows, *figures)}, {in_words(passed_s * times / _HOUR_S)}"
    return f"by the first {seen.described} of {plan.rows} objects the whole takes {estimate}"


def in_words(span_h: float) -> str:
    """Format a time in hours, or in minutes if it is below one hour."""
    return f"{span_h:,.1f} h" if span_h >= 1 else f"{max(1.0, span_h * 60):.0f} min"
