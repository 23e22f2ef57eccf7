"""The chat client against a real server: gone, hanging and back, waiting as told, and never in the way of the loop."""

import asyncio
import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from manifests.row_results import FatalError, RowError
from manifests.schema import Reason, Row, Status
from pipeline.engines import chat
from pipeline.engines.chat import ChatClient, Endpoint
from pipeline.engines.dialect import Request
from pipeline.engines.reading import ChatReply
from pipeline.run.run_stages import run_stages
from stages.caption_object import CaptionObject
from stages.describe_scene import DescribeScene
from stages.describe_video import DescribeVideo
from tests import dialects
from tests.misbehaving import Do, Rule, Server, good, never, raw, reset, serve, status
from tests.pipeline.writers.asking import PROMPTS, jpeg, quick, text_rows, through, writer_of

__all__ = ["quick"]
REQUEST = Request(
    model="vlm",
    system="You see.",
    images=(jpeg("1"), jpeg("2")),
    user="What?",
    schema_name="caption_crop",
    schema={"type": "object", "properties": {"caption": {"type": "string"}}},
    temperature=0.3,
    top_p=0.9,
    seed=7,
    max_tokens=64,
)


def ask(server: Server, *requests: Request, **given: Any) -> list[ChatReply | BaseException]:
    return ask_at(server.url, *requests, **given)


def ask_at(url: str, *requests: Request, **given: Any) -> list[ChatReply | BaseException]:
    async def asking() -> list[ChatReply | BaseException]:
        client = ChatClient(Endpoint(url=url, **({"patience_s": 3} | given)))
        try:
            return await asyncio.gather(*map(client.ask, requests), return_exceptions=True)
        finally:
            await client.close()

    return asyncio.run(asking())


def after(answers: int, server: Server, do: Callable[[], None]) -> threading.Thread:
    """Do something to the server as soon as it gave so many answers."""

    def wait() -> None:
        while sum(server.answers.values()) < answers:
            time.sleep(0.002)
        do()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_what_goes_over_the_wire() -> None:
    with serve() as server:
        (answer,) = ask(server, REQUEST)
    (asked,) = server.requests
    assert asked == dataclasses.replace(
        asked, prompt="caption_crop", temperature=0.3, seed=7, pictures=2, pictures_first=True, text="You see.\nWhat?"
    )
    assert isinstance(answer, ChatReply)
    assert (answer.finish_reason, answer.resent, answer.refusal) == ("stop", 0, None)
    assert (answer.tokens_in, answer.tokens_out) == (server.tokens_in, server.tokens_out)
    assert 0 < answer.seconds_s < 60


def test_retry_after_is_honoured() -> None:
    with serve(Rule(do=status(429, retry_after_s=0.8), times=1)) as server:
        (answer,) = ask(server, REQUEST)
    first, second = server.requests
    assert isinstance(answer, ChatReply)
    assert answer.resent == second.sent_again == 1
    assert 0.75 < second.at_s - first.at_s < 30


@pytest.mark.parametrize("fields", ['"finish_reason": null', '"finish_reason": "eos"', '"index": "first"'])
def test_engines_that_leave_out_what_is_not_needed_are_understood(fields: str) -> None:
    body = f'{{"choices": [{{"message": {{"content": "yes"}}, {fields}}}]}}'
    with serve(Rule(do=raw(body.encode()))) as server:
        (answer,) = ask(server, REQUEST)
    assert isinstance(answer, ChatReply)
    assert (answer.text, answer.tokens_out) == ("yes", 0)
    assert answer.finish_reason != "stop"


@pytest.mark.usefixtures("quick")
def test_models_are_told() -> None:
    async def models(url: str) -> list[str] | None:
        client = ChatClient(Endpoint(url=url))
        try:
            return await client.models()
        finally:
            await client.close()

    with serve(models=("a", "b/c")) as server:
        assert asyncio.run(models(server.url)) == ["a", "b/c"]
        assert asyncio.run(models(server.url.removesuffix("/v1") + "/counts?")) is None, "no list"
    with pytest.raises(FatalError, match="cannot be asked for its models: no connection"):
        asyncio.run(models(server.url))


def test_an_empty_key_in_the_environment_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    with serve() as server:
        (answer,) = ask(server, REQUEST)
    assert isinstance(answer, ChatReply)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("do", [status(503), reset()], ids=["a proxy without an engine", "resets"])
def test_an_engine_that_answers_no_question_is_gone_for_all(do: Do) -> None:
    """Those that were sent before its last answer too: nothing tells that they are to blame."""
    last = dataclasses.replace(REQUEST, user="Who?")
    with serve(Rule(do=good(0.05), telling="Who?"), Rule(do=do)) as server:
        answered, *others = ask(server, last, REQUEST, dataclasses.replace(REQUEST, seed=9), patience_s=3)
    assert isinstance(answered, ChatReply)
    assert [type(other) for other in others] == [FatalError, FatalError]


@pytest.mark.usefixtures("quick")
def test_an_engine_with_a_long_queue_is_not_gone() -> None:
    """The one request fails; that the question whether it lives has to wait as well says nothing."""
    with serve(Rule(do=status(500), prompt="caption_crop"), Rule(do=never())) as server:
        (failed,) = ask(server, REQUEST, patience_s=1)
    assert isinstance(failed, RowError)
    assert failed.reason is Reason.ENGINE_ERROR


@pytest.mark.usefixtures("quick")
def test_one_model_that_is_gone_beside_one_that_lives() -> None:
    lives = [dataclasses.replace(REQUEST, model="llm", schema_name=f"fine_{seed}", seed=seed) for seed in range(40)]
    fine = {"do": good(0.1, caption="x")}
    rules = [Rule(prompt=each.schema_name, **fine) for each in lives]  # type: ignore[arg-type]
    with serve(*rules, Rule(do=status(503))) as server:
        gone, *answers = ask(server, REQUEST, *lives, patience_s=1, in_flight=3)
    assert isinstance(gone, FatalError)
    assert all(isinstance(answer, ChatReply) for answer in answers)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("how", ["gone", "hanging"])
def test_gone_is_fatal_costs_no_row_and_goes_on_when_it_is_back(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows, again = (text_rows(12, object_description="The object is a dog.") for _ in range(2))
    with serve(Rule(do=good(0.02))) as server:
        writer = writer_of(server.url, tmp_path, in_flight=4, patience_s=300)
        stages = [CaptionObject(writer), DescribeScene(writer), DescribeVideo(writer)]  # no question is asked for two
        killer = after(20, server, server.go if how == "gone" else server.hang)
        started_s = time.monotonic()
        with pytest.raises(FatalError, match="is gone"):
            run_stages(stages, rows)
        killer.join()
        assert time.monotonic() - started_s < 100, "a third of the patience"
        assert not [row for row in rows if row.status is Status.FAILED]
        kept = len(list(tmp_path.glob("replies/*/*.json")))
        assert kept >= sum(server.answers.values()) - 4, "what was answered in time is kept"
        if how == "gone":
            server.come_back()
        else:
            server.wake()
            time.sleep(0.2)  # what waited is answered to nobody
        server.forget()
        run_stages(stages, again)  # the same client: its old connections are dead
        assert len(server.requests) == 12 * 4 - kept, "only what was not answered is asked"
    assert all(row.video_description and row.status is Status.PENDING for row in again)
    assert not [each for each in caplog.records if each.name != "aiohttp.server"], "the server's own end is its own"


def _all_written(rows: list[Row]) -> bool:
    return all(row.expression and row.status is Status.PENDING for row in rows)


def test_a_pause_shorter_than_the_patience_costs_nothing(tmp_path: Path) -> None:
    """With the client's own pauses, which are many times as long; one request is open when the connections are cut."""
    rows = text_rows(8)
    with serve(Rule(do=never(), times=1)) as server:

        def blink() -> None:
            server.go()
            time.sleep(0.15)
            server.come_back()

        blinker = after(3, server, blink)
        through(server, tmp_path, rows)
        blinker.join()
    assert _all_written(rows)
    assert any(call.resent for row in rows for call in row.calls)


@pytest.mark.usefixtures("quick")
def test_a_slow_engine_is_waited_for(tmp_path: Path) -> None:
    """Longer than all looks whether it lives take together."""
    (row,) = text_rows(1)
    with serve(Rule(do=good(2.0), prompt="describe_scene")) as server:
        through(server, tmp_path, [row])
        assert server.models_asked >= 3
    assert _all_written([row])
    assert len(server.requests) == len(PROMPTS)


def test_the_loop_is_never_blocked() -> None:
    requests = [dataclasses.replace(REQUEST, seed=seed, images=(jpeg("x" * 100_000),) * 8) for seed in range(8)]
    busy_s = []

    async def beat() -> None:
        while True:
            before_s = time.thread_time()
            await asyncio.sleep(0.005)
            busy_s.append(time.thread_time() - before_s)

    async def asking(url: str) -> None:
        client = ChatClient(Endpoint(url=url))
        await client.ask(REQUEST)  # parts of the package are loaded by the first
        beating = asyncio.create_task(beat())
        await asyncio.gather(*map(client.ask, requests))
        beating.cancel()
        await client.close()

    with serve(Rule(do=good(1.0))) as server:
        asyncio.run(asking(server.url))
    assert len(busy_s) > 20, "nobody waits for an answer but who asked: one after the other would be 8 s and 8 beats"
    assert max(busy_s) < 0.3, "nor does it compute for long"


QUIET = """
import sys
from pathlib import Path
from pipeline.engines import liveness
from manifests.row_results import FatalError
from tests import dialects
from tests.misbehaving import Rule, good, half_a_body, never, reset, serve
from tests.pipeline.writers.asking import text_rows, through

liveness._QUIET_S = liveness._PROBE_S = liveness._PROBE_PAUSE_S = 0.1
with serve(Rule(do=half_a_body(), times=1), Rule(do=reset(), times=1), Rule(do=good(0.01))) as server:
    through(server, Path(sys.argv[1]), text_rows(3))
    server.hang()
    try:
        through(server, Path(sys.argv[2]), text_rows(12))
    except FatalError as error:
        sys.stdout.write(f"fatal: {error}")
"""


def test_no_noise_at_the_end_of_a_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", QUIET, str(tmp_path / "a"), str(tmp_path / "b")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": "."})
    assert "fatal: the engine at" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def stalling(begin: bytes, kind: str = "text/event-stream") -> Do:
    """Begins to answer, and says nothing more."""

    async def do(_: Server, request: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        await response.write(begin)
        await asyncio.Event().wait()
        raise AssertionError

    return do


PIECE = b'data: {"choices": [{"index": 0, "delta": {"content": "{"}}]}\n\n'


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "do",
    [stalling(PIECE), stalling(b'{"choices": [{"mess', "application/json")],
    ids=["a stream", "a server that ignores stream"],
)
def test_an_answer_that_stalls_is_sent_again_and_costs_its_row_alone(do: Do) -> None:
    with serve(Rule(do=do, telling="Who?")) as server:
        last = dataclasses.replace(REQUEST, user="Who?")
        failed, answer = ask(server, last, REQUEST, silence_s=0.3)
        assert sum("Who?" in asked.text for asked in server.requests) == 3
    assert isinstance(failed, RowError)
    assert (failed.reason, "no byte for 0.3 s" in failed.detail) == (Reason.ENGINE_ERROR, True)
    assert isinstance(answer, ChatReply)
    with serve(Rule(do=do, times=1)) as server:
        (answer,) = ask(server, REQUEST, silence_s=0.3)
    assert isinstance(answer, ChatReply)
    assert answer.resent == 1


@pytest.mark.usefixtures("quick")
def test_a_request_waits_in_the_queue_while_others_are_answered_and_comments_are_no_answer() -> None:
    """Far longer than silence and timeout; the queue is told by headers and comments before the first word."""

    async def queued(server: Server, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": in the queue\n\n")
        await asyncio.sleep(2.5)
        await response.write(PIECE + b'data: {"choices": [{"delta": {"content": "}"}, "finish_reason": "stop"}]}\n\n')
        return response

    others = [dataclasses.replace(REQUEST, seed=seed) for seed in range(12)]
    with serve(Rule(do=queued, telling="Who?"), Rule(do=good(0.3))) as server:
        waited, *_ = ask(
            server, dataclasses.replace(REQUEST, user="Who?"), *others, in_flight=2, silence_s=0.4, timeout_s=0.8
        )
    assert isinstance(waited, ChatReply), waited
    assert waited.text == "{}"


@pytest.mark.usefixtures("quick")
def test_a_server_that_ignores_stream_is_read_whole() -> None:
    """Its first byte is its last: silence before that is no stall."""
    with serve(Rule(do=good(1.0))) as server:
        (answer,) = ask(server, REQUEST, silence_s=0.2, timeout_s=60)
    assert isinstance(answer, ChatReply)
    assert answer.resent == 0


@pytest.mark.usefixtures("quick")
def test_a_stream_that_is_cut_is_sent_again() -> None:
    async def cut(_: Server, request: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(PIECE)
        return response  # an orderly end of the connection, in the middle of the answer

    with serve(Rule(do=cut, times=1), Rule(do=dialects.streaming())) as server:
        (answer,) = ask(server, REQUEST)
    assert isinstance(answer, ChatReply)
    assert (answer.resent, answer.finish_reason, answer.forms) == (1, "stop", ())
    assert answer.tokens_out > 0, "the stream tells its usage"


@pytest.mark.parametrize("code", [400, 403])
def test_a_filter_that_refuses_by_an_error_is_a_refusal(code: int) -> None:
    with serve(Rule(do=status(code, "flagged by our content_filter"))) as server:
        (answer,) = ask(server, REQUEST)
    assert isinstance(answer, ChatReply)
    assert (answer.finish_reason, "content_filter" in (answer.refusal or "")) == ("content_filter", True)


def test_a_filter_that_has_its_name_in_the_code_alone_is_one_too() -> None:
    async def do(*_: Any) -> web.StreamResponse:
        error = {"message": "Bad request.", "code": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}
        return web.json_response({"error": error}, status=400)

    with serve(Rule(do=do)) as server:
        (answer,) = ask(server, REQUEST)
    assert isinstance(answer, ChatReply)
    assert answer.finish_reason == "content_filter"


def test_a_query_of_the_address_goes_with_every_request() -> None:
    with serve() as server:
        (answer,) = ask_at(f"{server.url}?api-version=1", REQUEST)
    assert isinstance(answer, ChatReply)


@pytest.mark.parametrize("listed", [b'"ok"', b"null", b'{"data": [null]}', b"[" * 50_000, b"OK"])
def test_an_odd_list_of_models_is_no_list(listed: bytes) -> None:
    assert asyncio.run(models_of(web.Response(body=listed))) is None


def test_a_key_that_may_not_list_models_is_left_to_the_preflight() -> None:
    assert asyncio.run(models_of(web.json_response({"error": {"message": "Missing scopes"}}, status=403))) is None


async def models_of(response: web.Response) -> list[str] | None:
    async def listed(_: web.Request) -> web.Response:
        return response

    app = web.Application()
    app.router.add_get("/v1/models", listed)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = ChatClient(Endpoint(url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1"))
    try:
        return await client.models()
    finally:
        await client.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    ("name", "value"), [("https_proxy", "socks9://h"), ("https_proxy", "http://h:x"), ("SSL_CERT_FILE", "/no/such.pem")]
)
def test_what_the_environment_says_wrongly_is_told(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="what the environment says of connections cannot be used"):
        ChatClient(Endpoint(url="https://api.example/v1"))


@pytest.mark.parametrize("closes", [True, False], ids=["cut off", "stays open"])
def test_a_whole_stream_counts_whatever_its_connection_does(closes: bool) -> None:
    async def do(_: Server, request: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Content-Length": "9999"})
        await response.prepare(request)
        await response.write(b'data: {"choices": [{"delta": {"content": "{\\"caption\\": \\"x\\"}"}}]}\n\n')
        await response.write(b"data: [DONE]\n\n")
        if not closes:
            await asyncio.Event().wait()
        assert request.transport is not None
        request.transport.close()
        return response

    with serve(Rule(do=do)) as server:
        (answer,) = ask(server, REQUEST)
    assert isinstance(answer, ChatReply)
    assert (answer.text, answer.resent) == ('{"caption": "x"}', 0)


@pytest.mark.usefixtures("quick")
def test_a_limit_of_requests_is_waited_for_longer_than_an_engine_that_stumbles() -> None:
    began_s = time.monotonic()

    async def do(server: Server, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        limited = time.monotonic() - began_s < 2.5
        return await (status(429, "slow down") if limited else good())(server, request, body)

    with serve(Rule(do=do)) as server:
        (answer,) = ask(server, REQUEST, patience_s=1)
    assert isinstance(answer, ChatReply)


@pytest.mark.usefixtures("quick")
def test_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "_MOST_BYTES", 2**16)
    with serve(Rule(do=raw(b"x" * 2**20))) as server:
        (failed,) = ask(server, REQUEST)
    assert isinstance(failed, RowError)
    assert "answers without an end: more than 65,536 bytes" in str(failed)


@pytest.mark.usefixtures("quick")
def test_this_machine_is_reached_past_a_proxy_and_a_failure_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = "http://me:secret@127.0.0.1:9"
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, dead)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serve() as server:
        (answer,) = ask(server, REQUEST)
        assert isinstance(answer, ChatReply)
        (failed,) = ask_at("http://refsav.invalid/v1", REQUEST)
    assert isinstance(failed, FatalError)
    assert "by the proxy http://127.0.0.1:9 " in str(failed)
    assert "secret" not in str(failed)


@pytest.mark.usefixtures("quick")
def test_the_key_is_never_shown() -> None:
    with serve(Rule(do=status(401, "Incorrect API key provided: sk-secret"))) as server:
        (failed,) = ask(server, REQUEST, api_key="sk-secret")
    assert isinstance(failed, FatalError)
    assert "sk-secret" not in str(failed)
    assert "sk-secret" not in repr(Endpoint(url="http://x/v1", api_key="sk-secret"))
