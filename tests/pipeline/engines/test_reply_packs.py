"""Packed replies are found like loose ones; a kill while packing loses none."""

import asyncio
import pickle
from pathlib import Path

import pytest

from manifests.io import Folder
from pipeline.engines import reply_packs
from pipeline.engines.reading import ChatReply
from pipeline.engines.reply_store import ReplyStore, read

KEYS = [f"{number % 3:02x}{number:030x}" for number in range(30)]


def filled(root: Path, keys: list[str]) -> Folder:
    out = Folder(str(root))
    for key in keys:
        asyncio.run(ReplyStore(out).put(key, {"user": key}, ChatReply(text=key, finish_reason="stop")))
    return out


def texts(out: Folder) -> list[str | None]:
    store = ReplyStore(out)
    found = [asyncio.run(store.get(key)) for key in KEYS]
    return [one.text if one else None for one in found]


def test_packed_replies_are_found_and_new_ones_join_them(tmp_path: Path) -> None:
    out = filled(tmp_path, KEYS[:20])
    assert reply_packs.pack(out) == 20
    assert sorted(path.name for path in (tmp_path / "replies").iterdir()) == ["00.zip", "01.zip", "02.zip"]
    assert texts(out) == [*KEYS[:20], *[None] * 10]
    filled(tmp_path, KEYS[20:])
    assert texts(out) == KEYS
    assert reply_packs.pack(out) == 10
    assert texts(out) == KEYS
    assert read(out, KEYS[0])["asked"] == {"user": KEYS[0]}
    assert reply_packs.pack(out) == 0


def test_a_store_that_has_opened_packs_is_sent_to_other_processes(tmp_path: Path) -> None:
    """Ray sends it to the workers with its stage."""
    out = filled(tmp_path, KEYS[:2])
    reply_packs.pack(out)
    store = ReplyStore(out)
    assert asyncio.run(store.get(KEYS[0]))
    sent = asyncio.run(pickle.loads(pickle.dumps(store)).get(KEYS[1]))
    assert sent
    assert sent.text == KEYS[1]


@pytest.mark.parametrize("step", range(12))
def test_a_kill_while_packing_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    out = filled(tmp_path, KEYS)
    steps = iter(range(step + 1))

    def killed(function: object) -> object:
        def call(self: Folder, *given: object) -> object:
            if next(steps, None) is None:
                raise KeyboardInterrupt
            assert callable(function)
            return function(self, *given)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write_bytes", killed(Folder.write_bytes))
        patch.setattr(Folder, "delete", killed(Folder.delete))
        with pytest.raises(KeyboardInterrupt):
            reply_packs.pack(out)
    assert texts(out) == KEYS
    reply_packs.pack(out)
    assert texts(out) == KEYS


def test_a_damaged_pack_is_asked_again_and_few_replies_stay_loose(tmp_path: Path) -> None:
    out = filled(tmp_path, KEYS)
    assert reply_packs.pack_if_many(out) == 0
    reply_packs.pack(out)
    (tmp_path / "replies/00.zip").write_bytes(b"PK no zip")
    assert texts(out)[0] is None
    assert texts(out)[1] == KEYS[1]
    with pytest.raises(ValueError, match="must be a pack of replies"):
        read(out, KEYS[0])
