"""Ids of videos that SA-V's layout cannot hold, and what becomes of them."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.importers.sav_names import MAX_CHARACTERS, video_ids
from stages.shard import video_ids as found_by_the_reader


def test_good_ids_stay() -> None:
    ids = ["bear", "video_1", "0a1b-2", "sav_000001", "7"]
    assert video_ids(ids) == {one: one for one in ids}


def test_ids_that_would_clash_when_cleaned_stay_apart() -> None:
    ids = video_ids(["a/b", "a b", "a_b", "a.b", "480p/a b", "A_B"])
    assert len({one.casefold() for one in ids.values()}) == 6
    assert all("/" not in one and " " not in one for one in ids.values())
    assert ids["a/b"].startswith("a_b-")


def test_an_id_does_not_depend_on_the_other_videos() -> None:
    assert video_ids(["a b", "x", "y/z"])["a b"] == video_ids(["a b"])["a b"]


def test_ids_that_look_like_files_of_the_layout_are_mapped() -> None:
    ids = video_ids(["x_manual", "x_auto", "x", "con", "dog copy", "dog_copy", ".hidden", "", "犬", "a" * 300])
    assert [name for name, own in ids.items() if name == own] == ["x"]
    assert max(map(len, ids.values())) <= MAX_CHARACTERS


@given(st.lists(st.text(max_size=120), unique=True, max_size=12))
def test_any_ids_are_different_file_names_that_the_reader_finds(given_ids: list[str]) -> None:
    ids = video_ids(given_ids)
    assert len({one.casefold() for one in ids.values()}) == len(given_ids)
    files = [f"{one}{end}" for one in ids.values() for end in (".mp4", "_manual.json")]
    assert found_by_the_reader(files) == set(ids.values())
