"""Files of texts as people have them: what is read, what is counted with its fault, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from manifests.io import Folder
from pipeline.audit.given_texts import TextEntry, TextFault, check_texts, read_given
from pipeline.audit.text_ends import TextEnd, TextState, as_csv

BALL, CUP = "sav_000001/manual/0", "sav_000001/manual/1"


def entries(tmp_path: Path, raw: bytes | str, name: str = "texts.csv") -> list[TextEntry]:
    file = tmp_path / name
    file.write_bytes(raw.encode() if isinstance(raw, str) else raw)
    return list(read_given(str(file)).entries)


def read(tmp_path: Path, raw: bytes | str, name: str = "texts.csv") -> list[tuple[str, str, str | None]]:
    return [(one.object_id, one.text, one.fault) for one in entries(tmp_path, raw, name)]


def refsav(**objects: Any) -> dict[str, Any]:
    shard = "sav_000/sav_train/sav_000"  # as in the official file
    paths = {"video_path": f"{shard}/sav_000001.mp4", "anno_path": f"{shard}/sav_000001_manual.json"}
    return {**paths, "objects": {key.removeprefix("n"): value for key, value in objects.items()}}


@pytest.mark.parametrize(
    "raw",
    [
        f"object_id,text\n{BALL},the red ball\n{CUP},the blue cup\n",
        f"\ufeffobject_id,text\r\n{BALL},the red ball\r\n{CUP},the blue cup",
        f'text,Object_ID \n"the red ball",{BALL}\nthe blue cup , {CUP}\n\n,\n',
        f"object_id;text;note\n{BALL};the red ball;\n{CUP};the blue cup;x\n",
        f"object_id\ttext\r{BALL}\tthe red ball\r{CUP}\tthe blue cup\r",
        f"\tobject_id\ttext\n0\t{BALL}\tthe red ball\n1\t{CUP}\tthe blue cup\n",  # the index of a data frame
        f"sep=;\r\nobject_id;text\r\n{BALL};the red ball\r\n{CUP};the blue cup\r\n",  # Excel
        f"\ufeffSEP=|\nobject_id|text\n{BALL}|the red ball\n{CUP}|the blue cup\n",
        f"object_id,text,note\n{BALL},the red ball,x,,\n{CUP},the blue cup\n",  # with fewer and more empty cells
        f'"a note\nof ours",object_id,text\n,{BALL},the red ball\n,{CUP},the blue cup\n',
    ],
)
def test_csv_of_any_program(raw: str, tmp_path: Path) -> None:
    assert read(tmp_path, raw) == [(BALL, "the red ball", None), (CUP, "the blue cup", None)]


def test_quotes_hold_commas_breaks_and_quotes_and_lines_are_those_of_the_file(tmp_path: Path) -> None:
    raw = f'object_id,text\n{BALL},"the ""red"" ball,\nthat rolls"\n\n{CUP},the cup\n'
    found = entries(tmp_path, raw)
    assert [(one.text, one.where) for one in found] == [
        ('the "red" ball,\nthat rolls', "line 2"),
        ("the cup", "line 5"),
    ]


def test_lines_are_counted_from_the_first_of_the_file(tmp_path: Path) -> None:
    assert [one.where for one in entries(tmp_path, f"sep=,\nobject_id,text\n{BALL},a\n\n{CUP},b\n")] == [
        "line 3",
        "line 5",
    ]


def test_cells_that_our_tables_keep_from_being_formulas_are_read_as_they_were(tmp_path: Path) -> None:
    texts = ["=a ball", "-a ball", "'a' ball", "'twas red"]
    lines = as_csv([TextEnd(TextEntry("line 2", BALL, text), TextState.PASSED) for text in texts])
    assert [text for _, text, _ in read(tmp_path, "".join(lines))] == texts


def test_what_is_far_too_long_costs_its_own_text(tmp_path: Path) -> None:
    far = "9" * 5000
    found = read(tmp_path, f"object_id,text\n{BALL},{'very ' * 40_000}red\nsav_000001/manual/{far},a\n{CUP},a cup\n")
    assert [fault for _, _, fault in found] == [TextFault.TOO_LONG, TextFault.MALFORMED, None]
    content = {"x": {**refsav(n1={"formated": "a cup"})}}
    content["x"]["objects"][far] = {"formated": "a ball"}
    assert [fault for _, _, fault in read(tmp_path, json.dumps(content))] == [None, TextFault.MALFORMED]


def test_a_text_that_cannot_be_used_is_counted_with_its_fault_and_costs_no_other(tmp_path: Path) -> None:
    lines = [
        f"{BALL},the red ball",
        f"{BALL},the  red ball",  # again
        f"{BALL},the ball on the left",  # another text of the same object
        f"{CUP},the red ball",  # the same text of another object
        f"{CUP}, ",
        f"{CUP},…",
        "sav_000001,the ball",
        f"{CUP},a cup, blue",
        f"{CUP},{'very ' * 1000}blue",
        "sav_000001/manual/007,the ball",
    ]
    found = read(tmp_path, "\n".join(["object_id,text", *lines]))
    assert [fault for _, _, fault in found] == [
        *(None, TextFault.REPEATED, None, None, TextFault.EMPTY_TEXT, TextFault.EMPTY_TEXT, TextFault.MALFORMED),
        *(TextFault.MALFORMED, TextFault.TOO_LONG, None),
    ]
    assert found[-1][0] == "sav_000001/manual/7"
    given = read_given(str(tmp_path / "texts.csv")).by_object()
    assert [text.text for text in given[BALL]] == ["the red ball", "the ball on the left"]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (f"object_id,text\n{BALL},the red ball\n".encode("utf-16"), "UTF-16"),
        (f"object_id,text\n{BALL},the red ball\n".encode("utf-16-le"), "UTF-16"),
        (f"object_id,text\n{BALL},der rötliche Ball\n".encode("latin-1"), "the byte 0xf6 in line 2"),
        (b"PK\x03\x04 a workbook", "save it as CSV"),
        (b"", "got an empty file"),
        (b" \n", "got an empty file"),
        (b"\xef\xbb\xbf\r\n", "got an empty file"),
        (f"{BALL},the red ball\n", "whose first line names the columns object_id and text"),
        ("object_id,caption\na,b\n", "got 'object_id,caption'"),
        ("object_id,text,text\na,b,c\n", "each column once, got text 2 times"),
        ("object_id,text\n", "got 0 that cannot"),
        ("object_id,text\nx,the ball\n", "got 1 that cannot: line 2: object_id must be"),
        (f'object_id,text\n{BALL},"the red ball\n{CUP},the cup\n', "line 2 and those after it must be CSV"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": {"objects": {}}', "must be a Ref-SAV.json"),
        ("[1]", "the top level must be an object"),
        ('{"videos": {}}', "videos: videos must be an object with video_path"),
    ],
)
def test_what_is_no_file_of_texts_is_refused_with_the_place(raw: bytes | str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"texts\.csv") as refused:
        entries(tmp_path, raw)
    assert told in str(refused.value)


@pytest.mark.parametrize("path", ["nowhere.csv", ".", "no://where"])
def test_what_is_not_there_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--texts .* must name"):
        read_given(path if "://" in path else str(tmp_path / path))


def test_all_texts_of_an_official_file_are_read_by_the_keys_of_their_objects(tmp_path: Path) -> None:
    content = {
        "x": refsav(n0={"formated": "The object is a ball.", "short_caps": ["the ball"]}, n1={"formated": "a cup"})
    }
    found = entries(tmp_path, json.dumps(content), "Ref-SAV.json")
    assert [(one.object_id, one.text, one.where) for one in found] == [
        (BALL, "The object is a ball.", "x: objects: '0': formated"),
        (BALL, "the ball", "x: objects: '0': short_caps[0]"),
        (CUP, "a cup", "x: objects: '1': formated"),
    ]


def test_a_broken_entry_of_a_ref_sav_costs_its_own_texts(tmp_path: Path) -> None:
    content = {
        "x": refsav(n0={"formated": 7}, n1={"formated": "a cup"}, nx={"formated": "?"}, n2="a ball", n3={}),
        "y": {**refsav(n0={"formated": "a"}), "anno_path": "../../x_manual.json"},
        "z": refsav(n0={"formated": "a ball", "object_id": CUP}, n5={"formated": "half a \ud800 pair"}),
        "w": None,
    }
    found = entries(tmp_path, json.dumps(content), "Ref-SAV.json")
    assert [(one.where, one.fault) for one in found if one.fault is None] == [("x: objects: '1': formated", None)]
    assert len(found) == 5 + 1 + 2 + 1
    assert {one.fault for one in found} == {None, TextFault.MALFORMED}
    told = {one.where: one.detail for one in found}
    assert told["z: objects: '0'"].endswith(f"must be that of its place, '{BALL}', got str '{CUP}'")
    assert "below SAV_ROOT" in told["y"]


def test_a_broken_field_costs_no_other_text_of_its_object(tmp_path: Path) -> None:
    content = {
        "x": refsav(
            n0={"formated": "a ball", "short_caps": ["the ball", 7]},
            n1={"formated": None, "short_caps": ["a cup"]},
            n2={"formated": "a dog", "short_caps": None},
            n3={"formated": "a cat", "short_caps": "the cat"},
        )
    }
    found = entries(tmp_path, json.dumps(content))
    assert [one.text for one in found if one.fault is None] == ["a ball", "the ball", "a cup", "a dog", "a cat"]
    assert [(one.where, one.fault) for one in found if one.fault] == [
        ("x: objects: '0': short_caps[1]", TextFault.MALFORMED),
        ("x: objects: '3': short_caps", TextFault.MALFORMED),
    ]


def test_an_entry_whose_video_and_masks_are_of_two_videos_is_not_audited(tmp_path: Path) -> None:
    other = {**refsav(n0={"formated": "a"}), "anno_path": "sav_train/sav_000/sav_000002_manual.json"}
    [good, bad] = entries(tmp_path, json.dumps({"x": refsav(n0={"formated": "a ball"}), "y": other}))
    assert (good.fault, bad.fault) == (None, TextFault.MALFORMED)
    assert "the mask file of its video" in bad.detail


def test_the_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    raw = f"object_id,text\n{BALL},the red ball\n"
    (tmp_path / "a.csv").write_text(raw)
    (tmp_path / "b.csv").write_text(raw.replace("\n", "\r\n"), newline="")
    a, b = (read_given(str(tmp_path / name)) for name in ("a.csv", "b.csv"))
    assert a.entries == b.entries
    assert (a.name, a.sha256 == b.sha256) == ("a.csv", False)


def test_texts_of_other_videos_alone_and_the_runs_own_export_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "Ref-SAV.json"
    file.write_text(json.dumps({"x": refsav(n0={"formated": "a ball"})}))
    given = read_given(str(file))
    check_texts(given, str(file), Folder(str(tmp_path / "out")), {"sav_000001"})
    with pytest.raises(ValueError, match="got texts about sav_000001/manual/0: is --shard"):
        check_texts(given, str(file), Folder(str(tmp_path / "out")), {"sav_000002"})
    for name in ("Ref-SAV.json", "texts.csv", "negatives.json"):
        with pytest.raises(ValueError, match=f"must lie apart .*{name} of"):
            check_texts(given, str(tmp_path / name), Folder(str(tmp_path)), {"sav_000001"})
