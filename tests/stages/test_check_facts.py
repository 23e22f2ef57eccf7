"""What a contradiction costs: nothing but a note, the row, or a repair."""

from typing import Any, Literal

import pytest

from manifests.row_results import Reject
from manifests.schema import Contradiction, Reason, Row
from stages.check_facts import CheckFacts, check_expression
from tests.pipeline.facts_factory import make_facts, make_row

FACTS = make_facts(start=(0.2, 0.5))
TRUE, FALSE = "The object is a red cup. It is on the left.", "The object is a blue cup. It is on the right."


def row(text: str | None) -> Row:
    return make_row(FACTS, expression=text)


@pytest.mark.parametrize("choice", ["report", "reject", "repair"])
def test_a_text_without_contradiction_goes_on(choice: Literal["report", "reject", "repair"]) -> None:
    assert CheckFacts(choice).process([row(TRUE)]) == [{"contradictions": []}]


@pytest.mark.parametrize("choice", ["report", "repair"])
def test_contradictions_are_stored_and_the_row_goes_on(choice: Literal["report", "repair"]) -> None:
    (result,) = CheckFacts(choice).process([row(FALSE)])
    assert isinstance(result, dict)
    assert [(found.kind, found.claim) for found in result["contradictions"]] == [
        ("colour", "blue"),
        ("side", "is on the right"),
    ]
    assert all(isinstance(found, Contradiction) for found in result["contradictions"])


def test_a_rejection_quotes_claims_and_figures_and_keeps_them() -> None:
    (result,) = CheckFacts("reject").process([row(FALSE)])
    assert isinstance(result, Reject)
    assert result.reason == Reason.CONTRADICTED
    for words in ("'blue'", "red 0.90", "'is on the right'", "(0.20, 0.50)"):
        assert words in result.detail
    assert len(result.update["contradictions"]) == 2


def test_results_are_in_order_and_a_row_without_text_fails_alone() -> None:
    results = CheckFacts("reject").process([row(None), row(FALSE), row(TRUE), make_row(None, expression=TRUE)])
    assert [type(result) for result in results] == [ValueError, Reject, dict, ValueError]
    assert "sav_000001/manual/0" in str(results[0])
    assert "'facts'" in str(results[3])


def test_a_repaired_text_is_settled_alike() -> None:
    assert check_expression(TRUE, FACTS, "reject") == {"contradictions": []}
    assert isinstance(check_expression(FALSE, FACTS, "reject"), Reject)
    assert isinstance(check_expression(FALSE, FACTS, "report"), dict)


def test_contract() -> None:
    stage = CheckFacts("report", pool="gpu")
    assert (stage.name, stage.pool) == ("check_facts", "gpu")
    assert set(stage.writes) <= set(Row.model_fields) >= set(stage.reads)
    unknown: Any = "drop"
    with pytest.raises(ValueError, match="'drop'"):
        CheckFacts(unknown)
