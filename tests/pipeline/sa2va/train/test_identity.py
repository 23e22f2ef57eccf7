import time
from dataclasses import replace
from pathlib import Path

import pytest

from manifests.outputs import check_space, is_full
from pipeline.data.videos import Expression, FileDigests, Video
from pipeline.sa2va.train.run import Periodic
from pipeline.sa2va.train.state import DataIdentity

VIDEOS = [
    Video(f"v{n}", Path("x.mp4"), 8, tuple(Expression(f"v{n}/{o}", "manual", Path("x.json"), o, "a") for o in range(2)))
    for n in range(6)
]


def test_it_comes_back_from_a_checkpoint_and_knows_what_was_learned_before() -> None:
    identity = DataIdentity.of(VIDEOS[:2], ["old"])
    assert DataIdentity.from_json(identity.to_json()) == identity
    assert identity.trained_on == {"old", "v0", "v1"}
    for broken in ("", "[]", "{}", '{"sha256": "1", "objects": [], "trained_on": []}'):
        with pytest.raises(ValueError, match="must be there"):
            DataIdentity.from_json(broken)


def test_what_is_other_is_named() -> None:
    identity = DataIdentity.of(VIDEOS[:5])
    assert identity.difference(DataIdentity.of(VIDEOS[:5], ["other"])) == ""
    assert (
        identity.difference(DataIdentity.of(VIDEOS[4:])) == "4 videos are gone (v0, v1, v2, …), 1 videos are new (v5)"
    )
    fewer = replace(VIDEOS[0], expressions=VIDEOS[0].expressions[:1])
    assert "1 videos have other expressions (v0)" in identity.difference(DataIdentity.of([fewer, *VIDEOS[1:5]]))
    for change in ({"text": "b"}, {"column": 7}, {"masklet_type": "auto"}):
        other = replace(VIDEOS[0], expressions=(replace(VIDEOS[0].expressions[0], **change), VIDEOS[0].expressions[1]))
        told = identity.difference(DataIdentity.of([other, *VIDEOS[1:5]]))
        assert told == "the texts or positions of the same expressions are other ones"


def test_manual_and_automatic_masks_as_two_items_are_one_video() -> None:
    auto = replace(VIDEOS[0], expressions=(replace(VIDEOS[0].expressions[0], object_id="v0/auto/0"),))
    assert DataIdentity.of([VIDEOS[0], auto]).objects == {"v0": ("v0/0", "v0/1", "v0/auto/0")}


def test_things_are_due_by_steps_and_by_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    by_steps, by_time, never = Periodic(3, 0.0, 0.0), Periodic(0, 10.0, 0.0), Periodic(0, 0.0, 0.0)
    due = []
    for step in range(1, 8):
        now[0] += 4
        due.append((by_steps.due(step), by_time.due(step), never.due(step)))
    assert [step for step, each in enumerate(due, 1) if each[0]] == [3, 6]
    assert [step for step, each in enumerate(due, 1) if each[1]] == [3, 6]
    assert not any(each[2] for each in due)


def test_room_on_the_disk_is_looked_at(tmp_path: Path) -> None:
    check_space(tmp_path / "not/yet", 1, "a thing")
    with pytest.raises(ValueError, match=r"must have room for a thing, \d{6,}.00 GiB, got .* GiB free"):
        check_space(tmp_path / "not/yet", 2**60, "a thing")
    assert is_full(OSError(28, "No space left on device"))
    assert is_full(RuntimeError("Io error: No space left on device (os error 28)"))
    assert not is_full(OSError(2, "No such file"))


def test_other_files_under_the_same_ids_are_named() -> None:
    """A store knows SHA-256 and times, files alone tell sizes and times."""

    def identity(*digests: FileDigests | None) -> DataIdentity:
        of = zip(VIDEOS, digests, strict=False)
        return DataIdentity.of([replace(video, files=files) for video, files in of])

    stored, as_files = FileDigests("1", "a"), FileDigests("1", "")
    before = DataIdentity.from_json(identity(stored, stored).to_json())
    assert before == identity(stored, stored)
    for same in (as_files, FileDigests("2", "a"), None):
        assert before.difference(identity(stored, same)) == ""
    for other in (FileDigests("2", "b"), FileDigests("2", "")):
        assert (
            before.difference(identity(stored, other))
            == "1 videos have other video or mask files (by size and time) (v1)"
        )
    assert DataIdentity({}, before.sha256, frozenset()).difference(identity(other, other)) == "", (
        "of an earlier version"
    )
