"""How far the run is: a tqdm bar in a terminal, a log line now and then elsewhere."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tqdm import tqdm

from pipeline.run.config import RunConfig

logger = logging.getLogger(__name__)

_BAR_PERIOD_S, _LOG_PERIOD_S = 0.5, 30.0
_HOUR_S = 3600
_STAGES_ASK = 6  # both captions, consistency, scene, video, expression: what a kept object without a repair needs
_CORRECT_FRAC = 0.05  # of the rows: then the first figures say more than the estimate


@dataclass(frozen=True)
class Seen:
    """What was done so far.

    Attributes:
        states: rows by state.
        described: rows that were worked on; the others were rejected before any request.
        requests: that were sent for these rows.
        tokens_in: of these requests.
        tokens_out: of their replies.
    """

    states: Mapping[str, int]
    described: int = 0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class Progress:
    """Shows rows done of `total`, rows/s, time left, and rows by state."""

    def __init__(self, total: int, correct: Callable[[Seen, float], str] | None = None) -> None:
        """Prepare.

        Args:
            total: rows of the run.
            correct: says what the whole run takes, from what was seen and the seconds; logged once.
        """
        self._total, self._correct = total, correct

    @contextmanager
    def watching(self, look: Callable[[], Seen]) -> Iterator[None]:
        """Ask `look` now and then until the block ends."""
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
        started_s = told_s = time.monotonic()
        ended = False
        while not ended:
            ended = stop.wait(_BAR_PERIOD_S)
            if not ended and time.monotonic() - told_s < _LOG_PERIOD_S and self._correct is None:
                continue
            seen, now_s = look(), time.monotonic()
            self._correct_once(seen, now_s - started_s)
            if ended or now_s - told_s >= _LOG_PERIOD_S:
                told_s = now_s
                self._tell(seen.states, now_s - started_s)

    def _tell(self, states: Mapping[str, int], passed_s: float) -> None:
        done = sum(states.values())
        rate = done / passed_s
        left = f"{(self._total - done) / rate:.0f} s left" if rate else "time left unknown"
        told = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        logger.info("%d of %d rows (%s), %.2f rows/s, %s", done, self._total, told or "none", rate, left)

    def _correct_once(self, seen: Seen, passed_s: float) -> None:
        done = sum(seen.states.values())
        if self._correct and seen.requests and _CORRECT_FRAC * self._total <= seen.described and done < self._total:
            logger.info("%s", self._correct(seen, passed_s))
            self._correct = None


@dataclass(frozen=True)
class RunEstimate:
    """Requests and tokens of some objects."""

    rows: int
    requests: int
    tokens_in: int
    tokens_out: int

    def __str__(self) -> str:
        """The figures in words."""
        return f"{self.requests:,} requests, {self.tokens_in:,} tokens in, {self.tokens_out:,} out"


def estimate_run(config: RunConfig, rows: int) -> RunEstimate:
    """Estimate from the recipe's figures what `rows` pending objects take.

    Args:
        config: of the run; it asks models.
        rows: objects that will be rendered.
    """
    models = [model for role, model in config.models.items() if role == "vlm" or model != config.vlm]
    figures = {model.tokens_per_object for model in models}  # a recipe's one model has all, whatever took its roles
    tokens_in, tokens_out = (sum(figure[at] for figure in figures) for at in (0, 1))
    return RunEstimate(rows, _STAGES_ASK * rows, tokens_in * rows, tokens_out * rows)


def estimate_h(plan: RunEstimate, in_flight: int, seconds_s: float, tokens_out: int) -> float:
    """Estimate hours from one request that was timed.

    Args:
        plan: what is to be asked.
        in_flight: requests that the engine answers side by side.
        seconds_s: that the timed request took.
        tokens_out: of its reply; a longer reply takes longer in proportion.
    """
    times = max(1.0, plan.tokens_out / max(1, plan.requests) / tokens_out) if tokens_out else 1.0
    return plan.requests * seconds_s * times / max(1, min(in_flight, plan.rows)) / _HOUR_S


def corrected_estimate(plan: RunEstimate, seen: Seen, passed_s: float) -> str:
    """Say what the whole run will take, from the objects that are done.

    Args:
        plan: what was expected.
        seen: what was done and asked so far, of one object at least.
        passed_s: seconds since the first request.
    """
    times = plan.rows / seen.described
    figures = (round(figure * times) for figure in (seen.requests, seen.tokens_in, seen.tokens_out))
    whole = f"{RunEstimate(plan.rows, *figures)}, {in_words(passed_s * times / _HOUR_S)}"
    return f"by the first {seen.described} of {plan.rows} objects the whole takes {whole}"


def in_words(span_h: float) -> str:
    """A time in hours, or in minutes if it is short."""
    return f"{span_h:,.1f} h" if span_h >= 1 else f"{max(1.0, span_h * 60):.0f} min"
