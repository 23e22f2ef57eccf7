"""Bodies as servers send them, and the answer that is read from each: one table."""

import json
import time
from typing import Any

import pytest

from pipeline.engines import reading
from pipeline.engines.reading import ChatReply, is_whole, read_reply
from pipeline.engines.server_errors import ServerError

FIELDS = ("conflict", "verdict")
REPLY = {"conflict": "", "verdict": "consistent"}
JSON = json.dumps(REPLY)
USAGE = {"prompt_tokens": 90, "completion_tokens": 6}


def body(content: Any = JSON, finish: Any = "stop", usage: Any = USAGE, **message: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def stream(*pieces: dict[str, Any], end: str = "data: [DONE]\n\n", finish: Any = "stop", usage: Any = USAGE) -> bytes:
    events = [{"choices": [{"index": 0, "delta": piece, "finish_reason": None}]} for piece in pieces]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    events.append({"choices": [], "usage": usage})
    return ("".join(f"data: {json.dumps(event)}\n\n" for event in events) + end).encode()


# what came -> in which forms it counts
READ: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "plain": (body(), ()),
    "blanks around": (body(f"\n {JSON}\n"), ()),
    "fence": (body(f"```json\n{JSON}\n```"), (reading.FENCE,)),
    "fence without a language": (body(f"```\n{JSON}\n```"), (reading.FENCE,)),
    "fence among words": (body(f"Here you are:\n```JSON\r\n{JSON}\n```\nAnything else?"), (reading.FENCE,)),
    "tildes": (body(f"~~~json\n{JSON}\n~~~"), (reading.FENCE,)),
    "fence without an end": (body(f"```json\n{JSON}"), (reading.WORDS,)),
    "think": (body(f"<think>\nLet me {{carefully}} see.\n</think>\n\n{JSON}"), (reading.THINK,)),
    "think without a beginning": (body(f"Let me see.\n</think>\n{JSON}"), (reading.THINK,)),
    "think with a draft": (body(f'<think>{{"conflict": "x", "verdict": "y"}}</think>{JSON}'), (reading.THINK,)),
    "think, then a fence": (body(f"<think>x</think>\n```json\n{JSON}\n```"), (reading.THINK, reading.FENCE)),
    "another word for think": (body(f"<Reasoning>x</Reasoning>{JSON}"), (reading.THINK,)),
    "Magistral": (body(f"[THINK]x[/THINK]{JSON}"), (reading.THINK,)),
    "Kimi": (body(f"◁think▷x◁/think▷{JSON}"), (reading.THINK,)),
    "harmony": (
        body(f"<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>{JSON}"),
        (reading.THINK,),
    ),
    "words": (body(f"The answer is {JSON} as asked."), (reading.WORDS,)),
    "words with braces": (body(f'In {{short}}, not {{"a": 1}} but {JSON}'), (reading.WORDS,)),
    "a later object of others": (body(f'{JSON}\nSources: {{"page": 3}}'), (reading.WORDS,)),
    "byte order mark in the text": (body(f"\ufeff{JSON}"), (reading.BOM,)),
    "byte order mark of the body": (b"\xef\xbb\xbf" + body(), ()),
    "parts": (body([{"type": "text", "text": JSON[:9]}, {"type": "text", "text": JSON[9:]}]), (reading.PARTS,)),
    "parts that are strings": (body([JSON]), (reading.PARTS,)),
    "parts, one of them thought": (
        body([{"type": "thinking", "thinking": [{"type": "text", "text": "{}"}]}, {"type": "text", "text": JSON}]),
        (reading.PARTS,),
    ),
    "in reasoning_content": (body(None, reasoning_content=JSON), (reading.REASONING,)),
    "in reasoning": (body("", reasoning=f"So: {JSON}"), (reading.REASONING,)),
    "reasoning beside": (body(reasoning_content="I think so."), ()),
    "in a tool call": (
        body(None, "tool_calls", tool_calls=[{"function": {"name": "answer", "arguments": JSON}}]),
        (reading.TOOL, "finish reason 'tool_calls'"),
    ),
    "text of the old API": (
        json.dumps({"choices": [{"text": JSON, "finish_reason": "stop"}], "usage": USAGE}).encode(),
        (),
    ),
    "eos": (body(finish="eos"), ("finish reason 'eos'",)),
    "eos_token": (body(finish="eos_token"), ("finish reason 'eos_token'",)),
    "end_turn": (body(finish="end_turn"), ("finish reason 'end_turn'",)),
    "STOP": (body(finish="STOP"), ("finish reason 'STOP'",)),
    "FINISH_REASON_STOP": (body(finish="FINISH_REASON_STOP"), ("finish reason 'FINISH_REASON_STOP'",)),
    "no reason": (body(finish=None), (reading.NO_FINISH,)),
    "empty reason": (body(finish=""), (reading.NO_FINISH,)),
    "no usage": (body(usage=None), (reading.NO_USAGE,)),
    "usage of nulls": (body(usage={"prompt_tokens": None, "completion_tokens": None}), (reading.NO_USAGE,)),
    "usage of words": (body(usage={"prompt_tokens": "many", "completion_tokens": -1}), (reading.NO_USAGE,)),
    "usage that is a list": (body(usage=[1, 2]), (reading.NO_USAGE,)),
    "usage in other words": (body(usage={"input_tokens": 90, "output_tokens": 6}), ()),
    "usage beyond all bounds": (body(usage={"prompt_tokens": 1e30, "completion_tokens": 0}), (reading.NO_USAGE,)),
    "a reason that is an object": (body(finish={"type": "stop", "matched": 2}), ()),
    "content that is the object itself": (body(REPLY), ()),
    "in a tool call, as an object": (
        body(None, "stop", tool_calls=[{"function": {"name": "answer", "arguments": REPLY}}]),
        (reading.TOOL,),
    ),
    "think without an end, then the reply": (body(f"<think>So:\n{JSON}"), (reading.WORDS,)),
    "extra keys": (body(json.dumps({"thoughts": "x", **REPLY, "confidence": 0.9})), (reading.EXTRA,)),
    "in another object": (body(json.dumps({"check_consistency": REPLY})), (reading.WRAPPED,)),
    "in a list": (body(f"[{JSON}]"), ()),
    "as a string": (body(json.dumps(JSON)), ()),
    "a line break in a string": (body('{"conflict": "a\nb", "verdict": "consistent"}'), ()),
    "stream": (stream({"role": "assistant"}, {"content": JSON[:9]}, {"content": JSON[9:]}), ()),
    "stream with comments": (b": waiting\n\n: waiting\n\n" + stream({"content": JSON}), ()),
    "stream without an end": (stream({"content": JSON}, end=""), ()),
    "stream of a thought": (stream({"reasoning_content": "hm"}, {"content": JSON}), ()),
    "stream in the reasoning field": (
        stream({"reasoning_content": JSON[:9]}, {"reasoning_content": JSON[9:]}),
        (reading.REASONING,),
    ),
    "stream of parts": (stream({"content": [{"type": "text", "text": JSON}]}), (reading.PARTS,)),
    "stream with an event that is too deep": (b"data: " + b"[" * 50_000 + b"\n\n" + stream({"content": JSON}), ()),
    "stream of one message": (b"data: " + body() + b"\n\n", ()),
    "stream with Windows' line ends": (stream({"content": JSON}).replace(b"\n", b"\r\n"), ()),
    "stream of a tool call": (
        stream(
            {"tool_calls": [{"function": {"arguments": JSON[:9]}}]},
            {"tool_calls": [{"function": {"arguments": JSON[9:]}}]},
        ),
        (reading.TOOL,),
    ),
}


@pytest.mark.parametrize(("data", "forms"), READ.values(), ids=READ)
def test_a_right_reply_is_read_in_any_form(data: bytes, forms: tuple[str, ...]) -> None:
    answer = read_reply(data, FIELDS)
    conflict = "a\nb" if b"a\\\\nb" in data or b"a\\nb" in data else ""
    assert json.JSONDecoder(strict=False).decode(answer.text) == {**REPLY, "conflict": conflict}
    assert (answer.finish_reason, answer.refusal, answer.forms) == ("stop", None, forms)
    assert (answer.tokens_in, answer.tokens_out) == ((0, 0) if reading.NO_USAGE in forms else (90, 6))


# what came -> what is said, and how it ended
NOT_READ: dict[str, tuple[bytes, str, str]] = {
    "words alone": (body("It is on a lawn."), "It is on a lawn.", "stop"),
    "thoughts alone": (body("<think>x</think> I cannot."), "I cannot.", "stop"),
    "cut off": (body('{"conflict": "', "length"), '{"conflict": "', "length"),
    "cut off in another word": (body('{"conflict": "', "MAX_TOKENS"), '{"conflict": "', "length"),
    "whole, but at its length": (body(finish="length"), JSON, "length"),
    "filtered": (body("", "SAFETY"), "", "content_filter"),
    "half and no reason": (body('{"conflict": "', None), '{"conflict": "', "no reason"),
    "half and a strange reason": (body('{"conflict": "', "eos"), '{"conflict": "', "eos"),
    "aborted": (body(finish="abort"), JSON, "abort"),
    "stream cut in the middle": (
        b'data: {"choices": [{"delta": {"content": "{\\"con"}}]}\n\ndata: {"cho',
        '{"con',
        "no reason",
    ),
    "no content": (body(None), "", "stop"),
    "a draft in thoughts without an end": (body(f"<think>{JSON}? No, the"), f"<think>{JSON}? No, the", "stop"),
    "cut off, the reason an object": (body('{"conflict": "', {"type": "length"}), '{"conflict": "', "length"),
    "half a character": (body("It is \ud83d"), "It is \ufffd", "stop"),
    "content that is a number": (body(7), "", "stop"),
}


@pytest.mark.parametrize(("data", "text", "finish"), NOT_READ.values(), ids=NOT_READ)
def test_what_holds_no_reply_says_so(data: bytes, text: str, finish: str) -> None:
    answer = read_reply(data, FIELDS)
    assert (answer.text, answer.finish_reason) == (text, finish)


# what came -> what the server said, whether it may pass
ERRORS: dict[str, tuple[bytes, str, bool]] = {
    "error object": (b'{"error": {"message": "no vision part"}}', "no vision part", False),
    "error text": (b'{"error": "no vision part"}', "no vision part", False),
    "error with a code": (b'{"error": {"message": "host failed", "code": 502}}', "host failed", True),
    "error with a code as text": (b'{"error": {"message": "slow down", "code": "429"}}', "slow down", True),
    "code beside": (b'{"message": "host failed", "code": 503}', "host failed", True),
    "error in a stream": (
        b'data: {"error": {"message": "host failed", "code": 500}}\n\ndata: [DONE]\n\n',
        "host failed",
        True,
    ),
    "error in the middle of a stream": (
        stream({"content": "It is"}, end="")[:-120]
        + b'\n\ndata: {"object": "error", "message": "host failed", "code": 500}\n\ndata: [DONE]\n\n',
        "host failed",
        True,
    ),
    "error event with choices": (
        b'data: {"error": {"message": "host failed", "code": 502}, "choices": [{"delta": {"content": ""}}]}\n\n',
        "host failed",
        True,
    ),
    "error of a choice": (
        b'{"choices": [{"finish_reason": "error", "error": {"message": "host failed", "code": 502}}]}',
        "host failed",
        True,
    ),
    "half a character": (b'{"error": {"message": "no \\ud83d"}}', "no \ufffd", False),
    "detail": (b'{"detail": "no such model"}', "no such model", False),
    "page": (b"<!doctype html><title>Chat</title><body>Log in", "Chat Log in", True),
    "words": (b"upstream connect error", "upstream connect error", True),
    "nothing": (b"", "", True),
    "no choice": (b'{"choices": []}', '{"choices": []}', True),
    "a list": (b"[1]", "[1]", True),
    "too deep": (b"[" * 50_000, "[" * 500, True),
}


@pytest.mark.parametrize(("data", "words", "passes"), ERRORS.values(), ids=ERRORS)
def test_errors_behind_status_200(data: bytes, words: str, passes: bool) -> None:
    with pytest.raises(ServerError) as error:
        read_reply(data, FIELDS)
    assert (error.value.words, error.value.passes) == (words, passes)


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b", "a\u2029b"])
def test_a_line_of_a_stream_ends_at_line_ends_alone(text: str) -> None:
    events = [{"choices": [{"delta": {"content": piece}}]} for piece in ('{"conflict": "', text, '", "verdict": "x"}')]
    data = "".join(f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events) + "data: [DONE]\n\n"
    assert json.loads(read_reply(data.encode(), FIELDS).text)["conflict"] == text


def test_a_character_whose_halves_come_apart_is_put_together() -> None:
    data = stream({"content": '{"conflict": "\ud83d'}, {"content": '\ude00", "verdict": "x"}'})
    assert json.loads(read_reply(data, FIELDS).text)["conflict"] == "\U0001f600"


def test_a_stream_that_was_cut_is_not_whole() -> None:
    whole = stream({"content": JSON})
    assert is_whole(whole)
    assert is_whole(body())
    assert is_whole(stream({"content": JSON}, end=""))
    assert not is_whole(whole[: whole.index(b'"stop"') - 40])


@pytest.mark.parametrize("text", ["{" * 300_000, '{"a":' * 100_000, "<think>" * 50_000, "`" * 300_000, "x" * 2_000_000])
def test_strange_texts_cost_little(text: str) -> None:
    started_s = time.process_time()
    answer = read_reply(body(text), FIELDS)
    assert isinstance(answer, ChatReply)
    assert time.process_time() - started_s < 30
