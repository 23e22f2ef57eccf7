"""Counts line-ups and catch trials by video, and picks by number and by place in the frame.

Shapes: V videos; the counts of a video are columns.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from manifests.lineup import ALONE, DROPPED, NO_TARGET, SINGLED_OUT, UNIQUE

KINDS = (UNIQUE, DROPPED, NO_TARGET)
COLUMNS = ("lineup", "lineup_before", "catch_trials", "video_id", "status", "repairs", "given_texts")


class RowReader(Protocol):
    """Reads the annotations of a run; `Annotations` of `pipeline/export` is one."""

    def rows(self, columns: Sequence[str]) -> Iterable[Mapping[str, Any]]:
        """Yield some columns of the rows, row by row."""
        ...


@dataclass(frozen=True, eq=False)
class JudgedCounts:
    """What is needed of every video to say how many texts single out their objects; all have the shape (V,).

    Attributes:
        texts: texts that a judge decided on, the last one of each object; of an audit all that were given.
        passed: of these, texts that it found to single out their object.
        unique: catch texts that single out their object.
        unique_passed: of these, those that passed.
        other: catch texts that fit several objects, or none.
        other_passed: of these, those that passed, although they must not.
    """

    texts: NDArray[np.int64]
    passed: NDArray[np.int64]
    unique: NDArray[np.int64]
    unique_passed: NDArray[np.int64]
    other: NDArray[np.int64]
    other_passed: NDArray[np.int64]

    @property
    def videos(self) -> int:
        """The number of videos with a text that a judge decided on, or a catch text."""
        return len(self.texts)


class Picks(NamedTuple):
    """How often what has a name was shown to the judge, and picked.

    A judge without a bias picks as often as `expected`: a question that ended with picks gives each object that was
    shown the same share of them.
    """

    name: str
    shown: int
    picked: int
    expected: float


class CatchKind(NamedTuple):
    """Catch texts of one kind: how many there were, how many were decided rightly, and how many passed."""

    kind: str
    texts: int
    right: int
    passed: int


@dataclass
class LineupCounts:
    """What the line-ups of a run came to."""

    judged: JudgedCounts
    judges: tuple[str, ...]  # name@revision
    decisions: Mapping[str, int]
    trials: int
    alone: int
    repaired: int  # texts that were written anew after a line-up
    saved: int  # of these, texts that singled out their object then, and were kept
    catches: tuple[CatchKind, ...]
    numbers: tuple[Picks, ...]
    places: tuple[Picks, ...]


@dataclass
class _Counting:
    by_video: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    decisions: Counter[str] = field(default_factory=Counter)
    judges: set[str] = field(default_factory=set)
    trials: int = 0
    repaired: int = 0
    saved: int = 0
    catches: Counter[tuple[str, str]] = field(default_factory=Counter)
    shown: Counter[tuple[str, str]] = field(default_factory=Counter)
    picked: Counter[tuple[str, str]] = field(default_factory=Counter)
    expected: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))

    def row(self, row: Mapping[str, Any]) -> None:
        """Count a row with the columns COLUMNS."""
        of_video = self.by_video[row["video_id"]]
        lineup = row["lineup"]
        texts = _given(row)
        if lineup is not None:
            self.repaired += row["lineup_before"] is not None
            self.saved += "lineup" in row["repairs"] and row["status"] == "kept"
        for held in texts or filter(None, [lineup]):
            self.decisions[held["decision"]] += 1
            if held["decision"] != ALONE:
                of_video["texts"] += 1
                of_video["passed"] += held["decision"] == SINGLED_OUT
        for held in [*texts, *(one for one in (lineup, row["lineup_before"]) if one and one not in texts)]:
            self._held(held)
        for catch in row["catch_trials"] or ():
            passed = catch["lineup"]["decision"] == SINGLED_OUT
            known = UNIQUE if catch["kind"] == UNIQUE else "other"
            of_video[known] += 1
            of_video[f"{known}_passed"] += passed
            self.catches[catch["kind"], "texts"] += 1
            self.catches[catch["kind"], "passed"] += passed
            self.catches[catch["kind"], "right"] += catch["lineup"]["decision"] == _RIGHT[catch["kind"]]
            self._held(catch["lineup"])
            self._places(catch)

    def _held(self, held: Mapping[str, Any]) -> None:
        if held["decision"] == ALONE:
            return
        self.trials += len(held["trials"])
        self.judges.add("@".join(filter(None, (held["judge"], held["revision"]))))
        for trial in held["trials"]:
            for heat in trial["heats"]:
                for number, name in enumerate(heat["shown"], 1):
                    self._pick("number", str(number), name in heat["picked"], heat)

    def _places(self, catch: Mapping[str, Any]) -> None:
        """Count by place, among the objects that a catch text fits equally: a judge without a bias names them alike."""
        if catch["kind"] != DROPPED:
            return
        place_of = dict(zip(catch["lineup"]["candidates"], catch["lineup"]["places"], strict=True))
        for trial in catch["lineup"]["trials"]:
            for heat in trial["heats"]:
                fitting = [name for name in heat["shown"] if name in catch["truth"]]
                picked = [name for name in fitting if name in heat["picked"]]
                for name in fitting:
                    among = {"shown": fitting, "picked": picked}
                    self._pick("place", place_of[name].split()[-1], name in picked, among)

    def _pick(self, by: str, name: str, picked: bool, heat: Mapping[str, Any]) -> None:
        self.shown[by, name] += 1
        self.picked[by, name] += picked
        self.expected[by, name] += len(heat["picked"]) / len(heat["shown"])

    def picks(self, by: str, names: Iterable[str]) -> tuple[Picks, ...]:
        """Return the picks by number or by place, of those names that were shown."""
        return tuple(
            Picks(name, self.shown[by, name], self.picked[by, name], self.expected[by, name])
            for name in names
            if self.shown[by, name]
        )


def _given(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the line-ups of the texts that were given for an object, as they were given."""
    return [given["lineup"] for given in row["given_texts"] or () if given["lineup"]]


_RIGHT = {UNIQUE: SINGLED_OUT, DROPPED: "ambiguous", NO_TARGET: "not_found"}


def count_lineups(annotations: RowReader) -> LineupCounts | None:
    """Count the line-ups of a run; None if there was none."""
    counting = _Counting()
    for row in annotations.rows(COLUMNS):
        if row["lineup"] is not None or row["catch_trials"] or _given(row):
            counting.row(row)
    if not counting.decisions:
        return None
    videos = [*counting.by_video.values()]
    return LineupCounts(
        judged=JudgedCounts(
            **{name: np.array([of[name] for of in videos], np.int64) for name in JudgedCounts.__dataclass_fields__}
        ),
        judges=tuple(sorted(counting.judges)),
        decisions=dict(counting.decisions),
        trials=counting.trials,
        alone=counting.decisions[ALONE],
        repaired=counting.repaired,
        saved=counting.saved,
        catches=tuple(
            CatchKind(kind, *(counting.catches[kind, what] for what in ("texts", "right", "passed"))) for kind in KINDS
        ),
        numbers=counting.picks("number", map(str, range(1, 10))),
        places=counting.picks("place", ("left", "centre", "right")),
    )
