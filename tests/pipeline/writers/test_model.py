"""Everything that an engine can do wrong, against a real server: rows end in the right state for the right reason."""

import json
from pathlib import Path

import pytest

from manifests.row_results import FatalError
from manifests.schema import Reason, Row, Status
from pipeline.engines.models import Sampling
from pipeline.run.run_stages import finish, run_stages
from stages.describe_scene import DescribeScene
from tests.misbehaving import (
    EXPRESSION,
    Do,
    Rule,
    good,
    half_a_body,
    never,
    raw,
    reply,
    reset,
    serve,
    status,
)
from tests.pipeline.writers.asking import PROMPTS, quick, text_rows, through, writer_of

pytestmark = pytest.mark.usefixtures("quick")
__all__ = ["quick"]

SCENE, EXPRESS = "describe_scene", "compose_expression"
LONG = " ".join(f"word{number}" for number in range(50))
LOOP = "It is next to a bench, and " * 20


def scene(text: str) -> str:
    return json.dumps({"description": text})


STUMBLES = {
    "429": status(429, retry_after_s=0.05),
    "500": status(500),
    "502": status(502),
    "503": status(503, retry_after_s=0.05),
    "reset": reset(),
    "half a body": half_a_body(),
    "broken JSON": raw(b'{"choices": [{"mess'),
    "a page of HTML": raw(b"<html>sign in</html>", "text/html"),
    "no bytes": raw(b""),
    "JSON that is no completion": raw(b'{"choices": []}'),
    "a list": raw(b"[1, 2]"),
    "not UTF-8": raw(b'{"choices": "\xff\xfe"}'),
    "too deep": raw(b"[" * 100_000),
    "an error behind status 200": raw(b'{"error": {"message": "the host behind failed", "code": 502}}'),
}

# behaviour -> (prompt, what is done, what the fault tells, how a row ends if it never stops)
FAULTS: dict[str, tuple[str, Do, str, Reason]] = {
    "reply is no JSON": (SCENE, reply("It is on a lawn."), "Invalid JSON", Reason.BAD_REPLY),
    "reply is half JSON": (SCENE, reply('{"description": "It is'), "Invalid JSON", Reason.BAD_REPLY),
    "wrong schema": (SCENE, reply('{"caption": "A dog."}'), "description: Field required", Reason.BAD_REPLY),
    "wrong type": (SCENE, reply('{"description": 7}'), "description: Input should be a valid string", Reason.BAD_REPLY),
    "empty": (SCENE, reply(""), "empty", Reason.BAD_REPLY),
    "null": (SCENE, reply(None), "empty", Reason.BAD_REPLY),
    "empty field": (SCENE, reply(scene(" ")), "must not be empty", Reason.BAD_REPLY),
    "cut off": (SCENE, reply(scene("It is"), "length"), "ended by 'length'", Reason.BAD_REPLY),
    "ended as nobody else does": (SCENE, reply(scene("It is"), "abort"), "ended by 'abort'", Reason.BAD_REPLY),
    "huge": (SCENE, reply("word " * 600_000), "Invalid JSON", Reason.BAD_REPLY),
    "huge text": (SCENE, reply(scene(" ".join(map(str, range(400_000))))), "at most", Reason.BAD_REPLY),
    "NUL": (SCENE, reply(scene("It is on a\x00 lawn.")), "U+0000", Reason.BAD_REPLY),
    "half a character": (SCENE, reply('{"description": "It is \\ud83d"}'), "Invalid JSON", Reason.BAD_REPLY),
    "loop": (SCENE, reply(scene(LOOP)), "repeats itself", Reason.BAD_REPLY),
    "content filter": (SCENE, reply(None, "content_filter"), "refused", Reason.REFUSED),
    "refusal": (SCENE, reply(None, refusal="I will not."), "refused: 'I will not.'", Reason.REFUSED),
    "refusal as text": (SCENE, reply("I'm sorry, but I can't help with that."), "refused", Reason.REFUSED),
    "refusal as JSON": (SCENE, reply(scene("I cannot describe persons.")), "refused in description", Reason.REFUSED),
    "marker leak": (SCENE, reply(scene("It is inside a yellow contour.")), "'contour'", Reason.MARKER_LEAK),
    "expression too short": (EXPRESS, good(expression="The object is a dog."), "has 5", Reason.BAD_REPLY),
    "expression too long": (EXPRESS, good(expression=f"{EXPRESSION} It is {LONG}."), "to 110 words", Reason.BAD_REPLY),
    "expression begins otherwise": (EXPRESS, good(expression="A dog."), "must begin", Reason.BAD_REPLY),
    "expression refused": (EXPRESS, good(expression="I can’t assist with that."), "refused", Reason.REFUSED),
    "expression leaks": (EXPRESS, good(expression=f"{EXPRESSION} A crop."), "'crop'", Reason.MARKER_LEAK),
    "nothing described": ("check_consistency", good(object_description=" "), "got an empty one", Reason.BAD_REPLY),
}


def kept(row: Row) -> bool:
    finish([row], max_attempts=3)
    return row.status is Status.KEPT and row.expression == EXPRESSION


def test_a_row_goes_through_and_everything_is_noted(tmp_path: Path) -> None:
    (row,) = text_rows(1)
    with serve() as server:
        through(server, tmp_path, [row])
    assert kept(row)
    assert [call.prompt.split("@")[0] for call in row.calls] == list(PROMPTS)
    assert [(asked.prompt, asked.model, asked.pictures) for asked in server.requests] == [
        ("caption_crop", "vlm", 1),
        ("caption_masked", "vlm", 1),
        ("check_consistency", "llm", 0),
        ("describe_scene", "vlm", 1),
        ("describe_video", "vlm", 2),
        ("compose_expression", "llm", 0),
    ]
    assert all(asked.pictures_first for asked in server.requests)
    assert sum(call.tokens_out for call in row.calls) == server.tokens_out > 0
    assert (
        sum(call.tokens_in for call in row.calls)
        == server.tokens_in
        > sum(call.tokens_cached for call in row.calls)
        > 0
    )
    assert {(call.temperature, call.seed, call.resent, call.fault) for call in row.calls} == {(0.3, 0, 0, None)}
    assert row.writer == "vlm + llm"


@pytest.mark.parametrize("do", STUMBLES.values(), ids=STUMBLES)
def test_what_is_sent_again_costs_the_row_nothing(do: Do, tmp_path: Path) -> None:
    (row,) = text_rows(1)
    with serve(Rule(do=do, prompt=SCENE, times=2)) as server:
        through(server, tmp_path, [row])
    assert kept(row)
    assert [call.resent for call in row.calls] == [0, 0, 0, 2, 0, 0]
    assert not any(call.fault for call in row.calls)
    assert [asked.seed for asked in server.requests if asked.prompt == SCENE] == [0, 0, 0], "the same question"


@pytest.mark.parametrize(("prompt", "do", "message", "_"), FAULTS.values(), ids=FAULTS)
def test_after_one_bad_reply_a_good_one_is_taken(prompt: str, do: Do, message: str, _: Reason, tmp_path: Path) -> None:
    (row,) = text_rows(1)
    with serve(Rule(do=do, prompt=prompt, times=1)) as server:
        through(server, tmp_path, [row])
    assert kept(row), row.detail
    first, second = (call for call in row.calls if call.prompt.startswith(prompt))
    assert message in (first.fault or "")
    assert second.fault is None
    assert (first.temperature, second.temperature) == (0.3, 0.6)
    assert first.seed != second.seed
    assert len(server.requests) == len(PROMPTS) + 1


@pytest.mark.parametrize(("prompt", "do", "message", "reason"), FAULTS.values(), ids=FAULTS)
def test_bad_replies_without_end(prompt: str, do: Do, message: str, reason: Reason, tmp_path: Path) -> None:
    (row,) = text_rows(1)
    with serve(Rule(do=do, prompt=prompt)) as server:
        through(server, tmp_path, [row])
    by_design = reason in (Reason.REFUSED, Reason.MARKER_LEAK)
    assert (row.status, row.reason) == (Status.REJECTED if by_design else Status.FAILED, reason)
    assert row.stage in (prompt, "check_consistency")
    assert message in (row.detail or "")
    tried = [asked for asked in server.requests if asked.prompt == prompt]
    assert [asked.temperature for asked in tried] == [0.3, 0.6, 0.8, 1.0]
    assert len({asked.seed for asked in tried}) == 4
    assert [bool(call.fault) for call in row.calls if call.prompt.startswith(prompt)] == [True] * 4


def test_faults_of_two_kinds_are_a_bad_reply(tmp_path: Path) -> None:
    (row,) = text_rows(1)
    rules = Rule(do=reply("I'm sorry."), prompt=SCENE, times=1), Rule(do=reply(""), prompt=SCENE)
    with serve(*rules) as server:
        through(server, tmp_path, [row])
    assert (row.status, row.reason) == (Status.FAILED, Reason.BAD_REPLY)
    assert "1. refused" in (row.detail or "")
    assert "2. empty" in (row.detail or "")


def test_a_row_tried_again_goes_over_what_was_kept_and_asks_anew(tmp_path: Path) -> None:
    with serve(Rule(do=reply(""), prompt=SCENE)) as server:
        (first,) = text_rows(1)
        through(server, tmp_path, [first])
        asked_first = {asked.seed for asked in server.requests if asked.prompt == SCENE}
        server.rules, server.requests = [Rule(do=reply(""), prompt=SCENE, times=1)], []
        server.forget()
        (again,) = text_rows(1, attempts=1)
        through(server, tmp_path, [again])
    asked = [asked for asked in server.requests if asked.prompt == SCENE]
    assert [call.temperature for call in asked] == [0.3, 0.6]
    assert not {call.seed for call in asked} & asked_first
    assert again.status is Status.PENDING
    assert [call.stored for call in again.calls if call.prompt.startswith(SCENE)] == [True] * 4 + [False] * 2
    assert {asked.prompt for asked in server.requests} == {SCENE, "describe_video", EXPRESS}


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    with serve(Rule(do=reply(""), prompt=SCENE, times=3)) as server:
        first, again = text_rows(6), text_rows(6)
        through(server, tmp_path, first)
        server.forget()
        through(server, tmp_path, again)
        assert server.requests == []
        through(server, tmp_path, text_rows(6), revision="r2")
        assert len(server.requests) >= 6 * 4, "all with pictures; those without are the same for several rows"
    assert all(call.stored for row in again for call in row.calls)
    assert [row.expression for row in again] == [row.expression for row in first]
    assert [call.fault for row in again for call in row.calls] == [call.fault for row in first for call in row.calls]
    assert sum(call.tokens_out for row in again for call in row.calls) == sum(
        call.tokens_out for row in first for call in row.calls
    ), "what a reply cost is stated again, with `stored` beside it"


def test_only_what_changed_is_asked(tmp_path: Path) -> None:
    with serve() as server:
        through(server, tmp_path, text_rows(2))
        server.forget()
        rows = text_rows(2)
        rows[1].scene_jpeg = (rows[1].scene_jpeg or b"") + b"another"
        through(server, tmp_path, rows)
        assert [asked.prompt for asked in server.requests] == [SCENE]


@pytest.mark.parametrize("number", [1, 5], ids=["the last one in flight", "among others"])
def test_one_request_that_an_engine_cannot_answer(number: int, tmp_path: Path) -> None:
    rows = text_rows(number)
    with serve(Rule(do=status(500, "CUDA: bad luck"), telling=f"scene_jpeg <{number - 1}>")) as server:
        through(server, tmp_path, rows)
    poison = rows.pop()
    assert (poison.status, poison.stage, poison.reason) == (Status.FAILED, SCENE, Reason.ENGINE_ERROR)
    assert "bad luck" in (poison.detail or "")
    assert all(map(kept, rows))


def test_one_request_that_is_never_answered(tmp_path: Path) -> None:
    rows = text_rows(3)
    with serve(Rule(do=never(), telling="scene_jpeg <1>")) as server:
        through(server, tmp_path, rows, timeout_s=1.0)
    assert (rows[1].status, rows[1].reason) == (Status.FAILED, Reason.ENGINE_ERROR)
    assert "describe_scene: no answer" in (rows[1].detail or "")
    assert kept(rows[0])
    assert kept(rows[2])


def test_a_request_that_is_too_long_fails_its_row_at_once(tmp_path: Path) -> None:
    rows = text_rows(2)
    with serve(Rule(do=status(400, "maximum context length is 4096"), telling="scene_jpeg <0>")) as server:
        through(server, tmp_path, rows)
    assert (rows[0].status, rows[0].reason) == (Status.FAILED, Reason.ENGINE_ERROR)
    assert "maximum context length" in (rows[0].detail or "")
    assert kept(rows[1])
    assert [asked.prompt for asked in server.requests].count(SCENE) == 2, "not sent again"


@pytest.mark.parametrize("code", [401, 402, 403, 404])
def test_an_engine_that_does_not_serve_us_stops_the_run(code: int, tmp_path: Path) -> None:
    with serve(Rule(do=status(code, "not you"), prompt=EXPRESS)) as server, pytest.raises(FatalError, match="not you"):
        through(server, tmp_path, text_rows(2))


def test_limits_without_end_stop_the_run(tmp_path: Path) -> None:
    with serve(Rule(do=status(429, "quota")), Rule(do=status(429))) as server, pytest.raises(FatalError, match="quota"):
        through(server, tmp_path, text_rows(2), patience_s=1.0)


@pytest.mark.parametrize("trouble", [None, status(500), reset(), reply(""), status(429, retry_after_s=0.02)])
def test_the_number_in_flight_is_held_and_used(trouble: Do | None, tmp_path: Path) -> None:
    rows = text_rows(40, object_description="The object is a dog.")
    slow = Rule(do=good(0.05))
    rules = [slow] if trouble is None else [Rule(do=trouble, first=7, times=12), slow]
    with serve(*rules) as server:
        run_stages([DescribeScene(writer_of(server.url, tmp_path, in_flight=7))], rows)
    assert server.max_in_flight == 7
    assert all(row.scene_description for row in rows)


def test_one_temperature_is_one_attempt(tmp_path: Path) -> None:
    (row,) = text_rows(1)
    with serve(Rule(do=reply(""), prompt=SCENE)) as server:
        through(server, tmp_path, [row], sampling=Sampling(temperatures=(0.0,), seed=5))
    assert row.reason is Reason.BAD_REPLY
    assert [(asked.temperature, asked.seed) for asked in server.requests][-1] == (0.0, 5)


def test_a_disk_that_takes_no_reply_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "replies").write_text("a file where a folder should be")
    with serve() as server, pytest.raises(FatalError, match="replies"):
        through(server, tmp_path, text_rows(3))
