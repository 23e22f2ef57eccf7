"""A small team finishes a project on the real queue: the small form of `benchmarks/team.py`."""

import pytest

from benchmarks.team import run

pytestmark = pytest.mark.long


def test_three_reviewers_and_an_adjudicator_get_through() -> None:
    result, _ = run(3, 1, videos=30, late=True)  # the adjudicator begins before the others
    assert result.stuck == 0
    assert result.no_person_left_frac <= 0.03  # 2 % on 100 videos and more
    assert result.unfound == 0
    assert result.accepted >= 0.7 * result.items
    assert result.judgements_per_accepted <= 2.85
