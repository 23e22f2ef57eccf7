"""The file of negatives: the same bytes every time, with a proof and its frames for every object."""

import json
from pathlib import Path

from manifests.io import Folder
from manifests.outputs import NEGATIVES_FILE, TRAIN_FILE
from pipeline.export import negatives_json
from pipeline.export.annotations import Annotations


def test_every_negative_has_its_proof_and_the_file_its_bytes(demo_annotations: Path) -> None:
    written = (demo_annotations / NEGATIVES_FILE).read_text(encoding="utf-8")
    assert "".join(negatives_json.text(Annotations(Folder(str(demo_annotations))))) == written
    content = json.loads(written)
    assert list(content) == sorted(content)
    made = [one for of_video in content.values() for one in of_video]
    assert {one["kind"] for one in made} == {"no_target", "wrong_target"}
    for one in made:
        states = {ruling["object_id"]: ruling["state"] for ruling in one["rulings"]}
        assert [object_id for object_id, state in states.items() if state != "ruled out"] == (
            [one["target"]] if one["target"] else []
        )
        assert one["object_id"] in states
        assert all(ruling["frames"] and not any(n % 4 for n in ruling["frames"]) for ruling in one["rulings"])
        assert not any("times_s" in ruling for ruling in one["rulings"])


def test_short_texts_stand_beside_the_long_ones(demo_annotations: Path) -> None:
    entries = json.loads((demo_annotations / TRAIN_FILE).read_text(encoding="utf-8"))
    objects = [one for entry in entries.values() for one in entry["objects"].values()]
    short = [text for one in objects for text in one.get("short_caps", [])]
    assert len(short) > 0.8 * len(objects)
    assert all(3 <= len(text.split()) <= 20 for text in short)
