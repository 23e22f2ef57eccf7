"""Figures of the project: progress for everybody, people and agreement for those who do not only judge.

Fractions are 0 to 1, times seconds, and null means that there is nothing yet to say.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends

from validation_ui.database import Database
from validation_ui.people.access import Caller, database_of, need
from validation_ui.schema import Role
from validation_ui.statistics.agreement import Agreement, agreement
from validation_ui.statistics.progress import Own, Progress, Reviewer, own, progress, reviewers

router = APIRouter()

Watcher = Annotated[Caller, Depends(need(Role.READER, Role.ADJUDICATOR))]


@dataclass(frozen=True)
class ProgressView:
    """How far the project is, and what the caller did."""

    project: Progress
    mine: Own


@dataclass(frozen=True)
class StatsView:
    """Everybody who judged something."""

    reviewers: list[Reviewer]


@router.get("/api/progress")
def get_progress(
    caller: Annotated[Caller, Depends(need())], database: Annotated[Database, Depends(database_of)]
) -> ProgressView:
    """How far the project is; `states` and `slots` are null for reviewers, whom they would tell which items are gold.

    `{"project": {"quotas": {"videos"|"long"|"short": {"accepted", "quota", "surplus"}}, "per_h", "eta_s"|null,`
    `"states": {"long"|"short": {"sighted", "blind", "adjudicate", "accepted", "surplus", "dropped"}}|null,`
    `"slots": {"sighted"|"blind"|"adjudicate": {"open", "leased"}}|null},`
    `"mine": {"judged", "per_h"|null, "median_s": {"sighted": s, …}}}`
    """
    with database.read() as connection:
        whole = progress(connection, database.now())
        mine = own(connection, caller.id)
    return ProgressView(whole.without_states() if caller.role == Role.REVIEWER else whole, mine)


@router.get("/api/stats")
def get_stats(_caller: Watcher, database: Annotated[Database, Depends(database_of)]) -> StatsView:
    """How each reviewer does; gold items count in `work` and `gold` alone.

    `{"reviewers": [{"id", "name", "role", "standing", "work": {"judged", "per_h"|null, "median_s": {pass: s}},`
    `"judged", "accept_frac"|null, "edit_frac"|null, "gold": SHARE (the last 40), "blind_hit": SHARE,`
    `"final_accepts", "final_frac"|null}]}` with `SHARE = {"hits", "n", "frac"|null, "low"|null, "high"|null}`
    """
    with database.read() as connection:
        return StatsView(reviewers(connection))


@router.get("/api/agreement")
def get_agreement(_caller: Watcher, database: Annotated[Database, Depends(database_of)]) -> Agreement:
    """Agreement with 95% intervals (bootstrap by video; Wilson for a SHARE, as in `/api/stats`).

    `{"sighted": {"decision"|"object"|"scene"|"video"|"short": COMPARISON}, "sighted_blind": the same,`
    `"blind": {"hit": SHARE, "chance_area_frac"|null, "chance_object_frac"|null},`
    `"strata": {"kind"|"size"|"length"|…: {value: {"items", "accepted": SHARE, "sighted": COMPARISON, "blind_hit":`
    `SHARE}}}}` with `COMPARISON = {"n", "videos", "figures": {"raw"|"kappa"|"alpha"|"ac1": {"value"|null, "low"|null,`
    `"high"|null}}}`
    """
    with database.read() as connection:
        return agreement(connection)
