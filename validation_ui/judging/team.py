"""The people who judge: who they are, and how many a project needs."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, and_, or_, select

from validation_ui.schema import Account, Role, Standing, has_any, judgement, person
from validation_ui.settings import Settings

NEEDED_REVIEWERS = 3  # the sighted pass, the blind pass, and the blind pass of what is edited or adjudicated
NEEDED_ADJUDICATORS = 1
_MUCH_OVERLAP_FRAC = 0.3  # from here on one more reviewer is needed, for the second sighted judgement


def judges(who: FromClause) -> ColumnElement[bool]:
    """Build the condition that a row of `person`, or of an alias of it, is of somebody in the `Team`."""
    judged = select(judgement.c.id).where(judgement.c.person_id == who.c.id)
    return and_(
        has_any(who.c.standing, (Standing.ACTIVE, Standing.ENTRY)),
        who.c.account == Account.OPEN,
        or_(
            has_any(who.c.role, (Role.REVIEWER, Role.ADJUDICATOR)),
            and_(who.c.role == Role.ADMIN, judged.correlate(who).exists()),
        ),
    )


_TEAM = select(person.c.id, person.c.role).where(judges(person))


@dataclass(frozen=True, slots=True)
class Team:
    """The ids of the people who judge, or will after their entry test: nobody is used up in their place meanwhile.

    An admin is one of them once they have judged something.
    """

    reviewers: frozenset[int]
    adjudicators: frozenset[int]

    def without(self, who: int) -> frozenset[int]:
        """Return everybody but one person."""
        return (self.reviewers | self.adjudicators) - {who}

    @property
    def spares_adjudicators(self) -> bool:
        """Whether the blind pass can count on adjudicators: a single one is kept for adjudication."""
        return len(self.adjudicators) > 1

    def for_blind(self) -> frozenset[int]:
        """Return whom the blind pass can count on."""
        return self.reviewers | (self.adjudicators if self.spares_adjudicators else frozenset())

    @property
    def is_large_enough(self) -> bool:
        """Whether the team can take nearly every item through all passes."""
        return is_enough(len(self.reviewers), len(self.adjudicators), NEEDED_REVIEWERS)


def read_team(connection: Connection, me: Row[Any] | None = None) -> Team:
    """Read who judges; the person `me` who asks for work is one of them."""
    roles: dict[int, str] = dict(connection.execute(_TEAM).all())
    if me is not None:
        roles[me.id] = me.role
    reviewers = frozenset(who for who, role in roles.items() if role == Role.REVIEWER)
    return Team(reviewers, frozenset(roles) - reviewers)


def needed_reviewers(settings: Settings) -> int:
    """Return how many reviewers a project needs beside one adjudicator."""
    return NEEDED_REVIEWERS + (settings.overlap_frac > _MUCH_OVERLAP_FRAC) + (settings.blind_overlap_frac > 0)


def is_enough(reviewers: int, adjudicators: int, needed: int) -> bool:
    """Return whether a team has `needed` reviewers and an adjudicator; more adjudicators count as reviewers too."""
    return adjudicators >= NEEDED_ADJUDICATORS and reviewers + adjudicators - NEEDED_ADJUDICATORS >= needed


def advice(team: Team, settings: Settings) -> str | None:
    """Return what a team that is too small lacks, as a sentence; None if it is large enough."""
    reviewers, adjudicators, needed = len(team.reviewers), len(team.adjudicators), needed_reviewers(settings)
    if is_enough(reviewers, adjudicators, needed):
        return None
    return (
        f"the team is too small: it needs at least {needed} reviewers and {NEEDED_ADJUDICATORS} adjudicator, and has "
        f"{reviewers} and {adjudicators}; without them many items end with nobody left to judge them; invite people"
    )
