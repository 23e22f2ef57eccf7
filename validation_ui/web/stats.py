"""API of the project's figures: progress for everybody; reviewers and agreement for all roles but reviewers.

Who judges gets figures that are up to SNAPSHOT_S old: a number that moves, or does not, after an answer would tell gold
items from real ones. Fractions are from 0 to 1, times are seconds, and null means that there is no data yet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from sqlalchemy import Connection

from validation_ui.database import Database
from validation_ui.judging.team import read_team
from validation_ui.people.access import Caller
from validation_ui.schema import Role
from validation_ui.statistics.agreement import Agreement, agreement
from validation_ui.statistics.progress import PersonWork, Progress, Reviewer, progress, reviewers, work_of
from validation_ui.statistics.unstaffed import Unstaffed, unstaffed
from validation_ui.web.requests import AdminDep, DatabaseDep, ObserverDep, SomeoneDep
from validation_ui.web.settings_page import draw_state

router = APIRouter()
SNAPSHOT_S = 900.0
T = TypeVar("T")
_JUDGES = (Role.REVIEWER, Role.ADJUDICATOR)


@dataclass(frozen=True)
class ProgressView:
    """The response of `/api/progress`: how far the project is, what the caller did, what is still to be drawn."""

    project: Progress
    mine: PersonWork
    draw: dict[str, Any] | None


@dataclass(frozen=True)
class StatsView:
    """The response of `/api/stats`: everybody who judged something."""

    reviewers: list[Reviewer]


@dataclass(frozen=True)
class UnstaffedView:
    """The response of `/api/unstaffed`: items that wait for somebody who is not there."""

    items: list[Unstaffed]


@router.get("/api/progress")
def get_progress(request: Request, caller: SomeoneDep, database: DatabaseDep) -> ProgressView:
    """Return how far the project is; reviewers get null for `states` and `slots`, as these would give away gold items.

    `{"project": {"quotas": {"videos"|"long"|"short": {"accepted", "quota", "surplus", "reachable"}}, "ended",`
    `"per_h"|null, "eta_s"|null,`
    `"team": {"reviewers", "adjudicators", "needed_reviewers", "needed_adjudicators", "advice"|null},`
    `"states": {"long"|"short": {"sighted", "blind", "adjudicate", "accepted", "surplus", "dropped",`
    `"no_person_left"}}|null,`
    `"slots": {"sighted"|"blind"|"adjudicate": {"open", "leased"}}|null},`
    `"mine": {"judged", "hours", "per_h"|null, "median_s": {"sighted": s, …}}, "draw": as in `/api/settings`}`
    """
    project = _figures(request, caller, database, progress.__name__, lambda c: progress(c, database.now()))
    with database.read() as connection:
        mine = work_of(connection, caller.id)
    shown = project.without_states() if caller.role == Role.REVIEWER else project
    return ProgressView(shown, mine, draw_state(request, database))


@router.get("/api/unstaffed")
def get_unstaffed(_caller: AdminDep, database: DatabaseDep) -> UnstaffedView:
    """Return the items that nobody of the team may judge any more, with the reason and the way out.

    `{"items": [{"public_id", "video_id", "kind", "state", "reason", "way_out"}]}`
    """
    with database.read() as connection:
        return UnstaffedView(unstaffed(connection, read_team(connection)))


@router.get("/api/stats")
def get_stats(request: Request, caller: ObserverDep, database: DatabaseDep) -> StatsView:
    """Return the figures of every reviewer; gold items count in `work` and `gold` only.

    `{"reviewers": [{"id", "name", "role", "standing", "work": {"judged", "hours", "per_h"|null,`
    `"median_s": {pass: s}},`
    `"judged", "accept_frac"|null, "edit_frac"|null, "gold": SHARE (the last 40), "blind_hit": SHARE,`
    `"final_accepts", "final_frac"|null}]}` with `SHARE = {"hits", "n", "frac"|null, "low"|null, "high"|null}`
    """
    return StatsView(_figures(request, caller, database, reviewers.__name__, reviewers))


@router.get("/api/agreement")
def get_agreement(request: Request, caller: ObserverDep, database: DatabaseDep) -> Agreement:
    """Return the agreement with 95% intervals (bootstrap over videos; Wilson for a SHARE, as in `/api/stats`).

    `{"sighted": {"decision"|"object"|"scene"|"video"|"short": COMPARISON}, "sighted_blind": the same,`
    `"blind_pairs": the same and "hit",`
    `"blind": {"hit": SHARE, "chance_area_frac"|null, "chance_object_frac"|null},`
    `"strata": {"kind"|"size"|"length"|…: {value: {"items", "accepted": SHARE, "sighted": COMPARISON, "blind_hit":`
    `SHARE}}}}` with `COMPARISON = {"n", "videos", "figures": {"raw"|"kappa"|"alpha"|"ac1": {"value"|null, "low"|null,`
    `"high"|null}}}`
    """
    return _figures(request, caller, database, agreement.__name__, agreement)


def _figures(request: Request, caller: Caller, database: Database, name: str, compute: Callable[[Connection], T]) -> T:
    """Compute figures, or for people who judge return those of up to SNAPSHOT_S ago."""
    if caller.role in _JUDGES:
        kept: dict[str, tuple[float, Any]] = request.app.state._state.setdefault("snapshots", {})
        at, value = kept.get(name, (float("-inf"), None))
        if database.now() - at < SNAPSHOT_S:
            figures: T = value
            return figures
    with database.read() as connection:
        figures = compute(connection)
    if caller.role in _JUDGES:
        kept[name] = database.now(), figures
    return figures
