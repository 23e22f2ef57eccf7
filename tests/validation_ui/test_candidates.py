from pathlib import Path

import pytest

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow, Status
from tests.rows import make_row
from validation_ui.importing.candidates import read_run, split

OBJECT = "The object is a small red ball with a white stripe."
SCENE = "It is on the left of the lawn. A brown dog is near it."
VIDEO = "Throughout the video, it rolls to the right. It is never hidden."


def test_a_plain_expression_is_its_three_descriptions() -> None:
    parts = split(f"{OBJECT} {SCENE} {VIDEO}", [OBJECT, SCENE, VIDEO])
    assert parts == {"object": OBJECT, "scene": SCENE, "video": VIDEO}


@pytest.mark.parametrize(
    "added",
    [
        "Among the two red balls, it is the left one at first.",
        "There are two small objects, and this is the larger one.",
    ],
)
def test_a_sentence_that_tells_look_alikes_apart_stays_with_the_object(added: str) -> None:
    parts = split(f"{OBJECT} {added} {SCENE} {VIDEO}", [OBJECT, SCENE, VIDEO])
    assert parts == {"object": f"{OBJECT} {added}", "scene": SCENE, "video": VIDEO}


def test_parts_written_anew_are_cut_at_their_usual_openings() -> None:
    text = (
        "The object is a ball, red but for one white band. It looks worn. "
        "It is lying left of a dog on grass at 3.5 metres. "
        "Throughout the video, it moves rightwards over the grass. The dog looks on."
    )
    parts = split(text, [OBJECT, SCENE, VIDEO])
    assert parts["object"] == "The object is a ball, red but for one white band. It looks worn."
    assert parts["scene"] == "It is lying left of a dog on grass at 3.5 metres."
    assert parts["video"].startswith("Throughout the video")


def test_without_usual_openings_the_words_decide() -> None:
    text = "A small red ball with a stripe. Left on the lawn, near a brown dog. Rolls to the right and never hidden."
    parts = split(text, [OBJECT, SCENE, VIDEO])
    assert list(parts.values()) == [
        "A small red ball with a stripe.",
        "Left on the lawn, near a brown dog.",
        "Rolls to the right and never hidden.",
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "a sentence for each of three parts, got 1"),
        ("The object is red. It is left.", "a sentence for each of three parts, got 2"),
        (f"{OBJECT} {SCENE} {VIDEO}\u202e", "control characters, got U[+]202E"),
        (f"{OBJECT} {SCENE} Throughout {'x' * 2001}.", "at most 2000 characters, got 2013: video"),
    ],
)
def test_an_expression_that_cannot_be_judged_says_why(text: str | None, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        split(text, [OBJECT, SCENE, VIDEO])


def test_a_run_without_kept_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold kept expressions, got none"):
        read_run(Folder(str(tmp_path)))


def test_a_run_of_another_release_is_refused(tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    table = to_table([make_row(status=Status.KEPT)], AnnotationRow)
    out.write_table("annotations/a.parquet", table.drop_columns(["contradictions"]))
    with pytest.raises(ValueError, match="columns of this release.*contradictions.*make annotate"):
        read_run(out)
