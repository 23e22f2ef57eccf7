"""Replies are found again under what decides them, and only whole ones."""

import asyncio
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest

from manifests.io import Folder
from manifests.row_results import FatalError
from pipeline.engines.dialect import Request
from pipeline.engines.reading import ChatReply
from pipeline.engines.reply_store import ReplyStore, key_of, question, read

REQUEST = Request(
    model="vlm",
    system="You see.",
    images=(b"one", b"two"),
    user="What?",
    schema_name="caption_crop",
    schema={"type": "object"},
    temperature=0.3,
    top_p=0.9,
    seed=7,
    max_tokens=64,
)
ANSWER = ChatReply(text="“Ein Hund” 🐕\u2028", finish_reason="stop", tokens_in=3, tokens_out=4, seconds_s=0.5, resent=1)


def key(prompt_id: str = "caption_crop@12345678", revision: str = "r1", **changed: Any) -> str:
    return key_of(question(dataclasses.replace(REQUEST, **changed), prompt_id, revision))


@pytest.mark.parametrize(
    "changed",
    [
        {"images": (b"one", b"tw0")},
        {"images": (b"two", b"one")},
        {"images": (b"onetwo",)},
        {"images": ()},
        {"prompt_id": "caption_crop@12345679"},
        {"model": "another"},
        {"revision": "r2"},
        {"revision": ""},
        {"temperature": 0.6},
        {"seed": 8},
        {"top_p": 0.8},
        {"max_tokens": 65},
        {"user": "Who?"},  # what the row itself adds to the prompt
        {"system": "You hear."},
    ],
    ids=str,
)
def test_the_key_changes_with_what_decides_the_answer(changed: dict[str, Any]) -> None:
    assert key(**changed) != key()


def test_the_key_changes_with_nothing_else() -> None:
    """The schema is part of the prompt's id already; where and when it is asked does not matter."""
    assert key(schema={"type": "object", "title": "x"}, schema_name="y") == key()
    assert key() == "e238bbb86d273f9776697a9f6069ec1e", "another key makes every run pay for its replies again"


def test_what_was_kept_is_found_by_others(tmp_path: Path) -> None:
    asked = question(REQUEST, "p@1", "r1")

    async def both() -> tuple[ChatReply | None, ChatReply | None]:
        store = ReplyStore(Folder(str(tmp_path)))
        before = await store.get(key_of(asked))
        await store.put(key_of(asked), asked, ANSWER)
        return before, await ReplyStore(Folder(str(tmp_path))).get(key_of(asked))

    assert asyncio.run(both()) == (None, ANSWER)
    kept = read(Folder(str(tmp_path)), key_of(asked))
    assert kept["asked"] == json.loads(json.dumps(asked))
    assert "one" not in json.dumps(kept["asked"]["pictures"])


@pytest.mark.parametrize(
    "left", ["", "{", '{"asked": {}', '{"asked": {}}', '{"answer": {"words": 1}}', "[]", "\x00" * 99]
)
def test_what_a_dying_machine_left_is_not_an_answer(left: str, tmp_path: Path) -> None:
    path = tmp_path / "replies" / key()[:2] / f"{key()}.json"
    path.parent.mkdir(parents=True)
    path.write_text(left)
    store = ReplyStore(Folder(str(tmp_path)))

    async def again() -> tuple[ChatReply | None, ChatReply | None]:
        before = await store.get(key())
        await store.put(key(), {}, ANSWER)
        return before, await store.get(key())

    assert asyncio.run(again()) == (None, ANSWER)


def test_a_write_that_breaks_off_leaves_nothing_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ReplyStore(Folder(str(tmp_path)))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(FatalError, match=r"replies cannot be written to .*No space left"):
        asyncio.run(store.put(key(), {}, ANSWER))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert asyncio.run(store.get(key())) is None


def test_an_answer_that_is_here_is_kept_though_the_run_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(str(tmp_path))
    store, write = ReplyStore(folder), Folder.write_json

    def slow(self: Folder, name: str, value: object) -> None:
        time.sleep(0.1)
        write(self, name, value)

    monkeypatch.setattr(Folder, "write_json", slow)

    async def stopped() -> None:
        puts = [asyncio.create_task(store.put(f"{number:02}{key()}", {}, ANSWER)) for number in range(40)]
        await asyncio.sleep(0.01)  # more than there are threads: some have to wait
        for put in puts:
            put.cancel()
        await asyncio.gather(*puts, return_exceptions=True)

    asyncio.run(stopped())
    assert len(list(tmp_path.glob("replies/*/*.json"))) == 40


def test_many_processes_may_keep_the_same_answer(tmp_path: Path) -> None:
    store = ReplyStore(Folder(str(tmp_path)))

    async def together() -> set[ChatReply | None]:
        await asyncio.gather(*(store.put(key(), {}, ANSWER) for _ in range(20)))
        return {await store.get(key()) for _ in range(20)}

    assert asyncio.run(together()) == {ANSWER}
