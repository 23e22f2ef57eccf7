"""What the models of a run cost, from rows whose requests are known one by one."""

import re
from typing import Any

import pytest

import prompts
from manifests.arrow import to_table
from manifests.schema import AnnotationRow, Reason, Status
from pipeline.export.card import card
from pipeline.export.cost import Cost, as_text, cost, ended_lines, prompt_lines, summary
from pipeline.run.run_json import RunInfo
from tests.pipeline import model_rows as made
from tests.pipeline import rows


def bill_of(*found: AnnotationRow, **engine: Any) -> Cost:
    measured: Any = {**(made.RUN["engine"] or {}), **engine}
    info: RunInfo = {**made.RUN, "engine": measured}
    bill = cost(rows.Held(to_table(found, AnnotationRow)), info)
    assert bill is not None
    return bill


def test_a_request_is_paid_once_and_by_who_sent_it() -> None:
    sent = made.kept(0, 0, calls=[made.call("caption_crop", "same", tokens_in=700, tokens_out=30)])
    found = made.kept(0, 1, calls=[made.call("caption_crop", "same", tokens_in=700, tokens_out=30, stored=True)])
    for order in ((sent, found), (found, sent)):
        bill = bill_of(*order)
        assert (bill.paid.requests, bill.paid.tokens_in, bill.paid.tokens_out) == (1, 700, 30)
        assert (bill.now.requests, bill.found.requests, bill.found.tokens) == (1, 1, 730)
    both = bill_of(sent, sent)  # by two processes at a time
    assert (both.paid.requests, both.paid.tokens) == (2, 1460)
    failed = made.lost(0, 1, Status.FAILED, "describe_scene", Reason.BAD_REPLY, found.calls)
    (first, second) = bill_of(failed, sent).ended
    assert (first.status, first.spent.tokens) == ("kept", 730)
    assert (second.status, second.spent.tokens) == ("failed", 0)


def test_what_a_killed_pass_paid_counts_though_its_row_is_gone() -> None:
    bill = bill_of(made.kept(0, 0, calls=[made.call("caption_crop", "k", stored=True)]))
    assert (bill.paid.requests, bill.now.requests, bill.found.requests) == (1, 0, 1)
    assert dict(summary(bill))["speed"] == "unknown: nothing was sent"


def test_where_the_tokens_went_adds_up() -> None:
    bill = cost(rows.Held(made.table()), made.RUN)
    assert bill is not None
    assert sum(each.spent.tokens for each in bill.ended) == bill.paid.tokens
    assert sum(each.spent.tokens for each in bill.prompts) == bill.paid.tokens
    assert sum(each.spent.requests for each in bill.prompts) == bill.paid.requests
    assert bill.now.requests + bill.found.requests == sum(len(calls) for calls in made.table()["calls"].to_pylist())
    assert bill.ended[0].status == "kept"
    assert dict(summary(bill))["not kept"].startswith(f"{sum(each.spent.tokens for each in bill.ended[1:]):,} tokens")
    spent = [each.spent.tokens for each in bill.ended[1:]]
    assert spent == sorted(spent, reverse=True)


def test_prompts_come_in_the_order_of_the_stages_with_attempts_for_each_reply() -> None:
    bill = cost(rows.Held(made.table()), made.RUN)
    assert bill is not None
    names = [each.prompt.partition("@")[0] for each in bill.prompts]
    assert names == [name for name in prompts.NAMES if name in names]
    lines = {line[0].partition("@")[0]: line for line in prompt_lines(bill)}
    assert lines["caption_crop"][1:3] == ("10", "1.43")  # of 10 requests 3 had a fault: 7 replies
    assert lines["caption_masked"][2] == "1.00"
    assert made.LLM in lines["check_consistency"][0]


def test_a_prompt_that_never_was_answered_has_no_attempts_for_a_reply() -> None:
    fault = made.call("caption_crop", "f", fault="empty")
    bill = bill_of(made.lost(0, 0, Status.FAILED, "caption_object", Reason.BAD_REPLY, [fault]))
    assert prompt_lines(bill)[0][2] == "none"
    assert bill.tokens_per_kept is None
    assert dict(summary(bill))["a kept object"].startswith("costs unknown")


@pytest.mark.parametrize(("gpus", "per_hour", "unit"), [(4, 5.0, "per GPU-hour"), (0, 20.0, "per hour, no GPU")])
def test_kept_objects_by_the_hour(gpus: int, per_hour: float, unit: str) -> None:
    bill = bill_of(*(made.kept(0, position) for position in range(10)), gpus=gpus)  # in half an hour
    assert bill.kept_per_hour == per_hour
    assert unit in dict(summary(bill))["kept objects"]
    assert bill.tokens_per_kept == 6 * 1100


def test_the_prefix_cache_is_the_engines_count_or_else_that_of_its_replies() -> None:
    half = made.kept(0, 0, calls=[made.call("caption_crop", "h", tokens_cached=500)])
    assert bill_of(half).prefix_frac == 0.6
    assert bill_of(half, prefix_hits=None, prefix_queries=None).prefix_frac == 0.5
    silent = bill_of(made.kept(0, 0), prefix_hits=None, prefix_queries=None)
    assert dict(summary(silent))["prefix cache"] == "not told"


def test_repair_counts_those_kept_and_its_own_tokens_only() -> None:
    bill = cost(rows.Held(made.table()), made.RUN)
    assert bill is not None
    assert (bill.repair.asked, bill.repair.saved, bill.repair.spent.tokens) == (2, 1, 2200)
    assert "1 of 2 objects saved; 2,200 tokens" in dict(summary(bill))["repair"]
    assert "repair" not in dict(summary(bill_of(made.kept(0, 0))))


def test_the_text_has_all_of_it_in_columns() -> None:
    bill = cost(rows.Held(made.table()), made.RUN)
    assert bill is not None
    text = as_text(bill)
    head, by_prompt, by_end = text.split("\n\n")
    assert re.search(r"^kept objects +2\.5 per GPU-hour \(5 in 1,800 s of 4 GPUs\)$", head, flags=re.MULTILINE)
    assert re.search(r"^not kept +\S+ tokens \(23\.1%\) for 3 objects$", head, flags=re.MULTILINE)
    assert by_prompt.startswith("prompt")
    assert re.search(r"^rejected at repair_object: inconsistent +1 ", by_end, flags=re.MULTILINE)
    assert len({len(line) for line in by_end.splitlines()}) == 1
    assert len(ended_lines(bill)) == len(by_end.splitlines()) - 2


def test_a_run_that_asked_no_model_has_no_bill() -> None:
    assert cost(rows.Held(rows.thousand()), rows.RUN) is None
    assert as_text(cost(rows.Held(rows.thousand()), rows.RUN)) == ""


def test_the_card_says_who_was_asked_what_and_how() -> None:
    text = card(rows.Held(made.table()), made.RUN, made.STAGES, cost(rows.Held(made.table()), made.RUN))
    assert "machine-made" in text
    for model, revision in ((made.VLM, "1f2e3d"), (made.LLM, "9a8b7c")):
        assert f"{model}@{revision}" in text
    assert "temperatures 0.3, 0.6" in text
    crop = prompts.load("caption_crop").id
    assert re.search(rf"\| `?{crop}[^|]*\| 10 \| 1\.43 \|", text)
    assert "What the models were asked" not in card(rows.Held(rows.thousand()), rows.RUN, rows.STAGES, None)
