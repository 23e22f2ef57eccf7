"""Texts that fit nothing in their video: answered without [SEG] and without a mask, as often as was asked for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.outputs import NEGATIVES_FILE
from pipeline.data.videos import Video, read_videos
from pipeline.sa2va.config import DataConfig
from pipeline.sa2va.dataset import absent_share_frac, choose_absent
from pipeline.sa2va.example import collate
from pipeline.sa2va.text import ANSWER_ABSENT, IGNORED
from pipeline.sa2va.train.state import DataIdentity
from tests.pipeline.data.tiny import make_video
from tests.pipeline.sa2va.models import config, tiny_model
from tests.pipeline.sa2va.test_encode import chosen, encoder
from tests.pipeline.sa2va.tiny import tiny_pixels, tiny_tokenizer

ABSENT = ["the blue thing that moves to the left", "the green thing on the right"]


def test_absent_texts_stand_among_the_others_and_have_no_mask() -> None:
    tokenizer = tiny_tokenizer(with_seg=True)
    places = set()
    for seed in range(8):
        made = encoder(tokenizer)(**chosen(2) | {"seed": seed, "absent": ABSENT[:1]})
        learned = tokenizer.decode(made.input_ids_BL[0][made.labels_BL[0] != IGNORED])
        assert isinstance(learned, str)
        assert learned.count("[SEG]") == 2 == len(made.masks_B[0]) == len(made.object_ids_B[0])
        assert learned.count(ANSWER_ABSENT) == 1
        places.add(learned.index(ANSWER_ABSENT))
    assert len(places) == 3, "first, in the middle, or last"


def test_what_is_cut_off_takes_only_its_own_masks_with_it() -> None:
    tokenizer = tiny_tokenizer(with_seg=True)
    for seed in range(6):
        given = chosen(2) | {"seed": seed, "absent": ABSENT}
        whole = encoder(tokenizer)(**given)
        for less in (1, 25, 50):
            settings = DataConfig(pixels=tiny_pixels(), max_tokens=len(whole.input_ids_BL[0]) - less)
            made = encoder(tokenizer, settings)(**given)
            [seg_id] = tokenizer.encode("[SEG]")
            assert int((made.input_ids_BL == seg_id).sum()) == len(made.masks_B[0]) == len(made.object_ids_B[0])


@pytest.mark.parametrize("objects", [(0, 2), (0, 0)], ids=["one video of two", "all"])
@pytest.mark.parametrize("official", [False, True])
def test_a_step_without_seg_trains(objects: tuple[int, ...], official: bool) -> None:
    """The language loss is that of the answers; the mask losses are 0, and every trained parameter has a gradient."""
    model = tiny_model(config(lora_dropout=0.0)).train()
    model.official = official
    encode = encoder(model.tokenizer)
    examples = []
    for number, count in enumerate(objects):
        given: dict[str, Any] = chosen(max(count, 1)) | {"seed": number}
        if not count:
            given |= {"object_ids": [], "texts": (), "masks_OFMM": given["masks_OFMM"][:0]}
        examples.append(encode(**given, absent=ABSENT))
    step = model(collate(examples, family=model.family))
    step.total.backward()
    assert torch.isfinite(step.total)
    assert step.llm > 0
    assert (step.mask == 0) == (step.dice == 0) == (not any(objects))
    assert [len(logits) for logits in step.logits_B] == list(objects)
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without


def test_the_share_is_met_in_the_mean_and_texts_with_a_target_stay() -> None:
    rng = np.random.default_rng(0)
    for share_frac, beside in ((0.25, 2), (0.5, 3), (0.1, 1)):
        settings = DataConfig(negatives_frac=share_frac)
        drawn = [choose_absent([str(n) for n in range(9)], beside, settings, rng) for _ in range(3000)]
        absent = sum(map(len, drawn))
        assert absent / (absent + beside * len(drawn)) == pytest.approx(share_frac, abs=0.01)
        assert all(len(set(texts)) == len(texts) for texts in drawn)
    before = np.random.default_rng(1)
    assert choose_absent(ABSENT, 3, DataConfig(), before) == []
    assert before.random() == np.random.default_rng(1).random(), "without them, nothing else is drawn otherwise"
    with pytest.raises(ValueError, match=r"negatives_frac must be in \[0, 0.9\]"):
        DataConfig(negatives_frac=1.0)


def with_absent(video: Video, count: int) -> Video:
    return replace(video, absent=tuple(f"text {n}" for n in range(count)))


def test_the_share_that_can_be_reached_is_said(tmp_path: Path) -> None:
    video = make_video(tmp_path, "sav_000001")
    objects = len({one.object_id for one in video.expressions})
    settings = DataConfig(negatives_frac=0.5)
    assert absent_share_frac([with_absent(video, 9)], settings) == pytest.approx(0.5)
    assert absent_share_frac([with_absent(video, 9), video], settings) == pytest.approx(1 / 3)
    assert absent_share_frac([with_absent(video, 1)], settings) == pytest.approx(1 / (objects + 1))
    assert absent_share_frac([video], settings) == 0


def test_they_belong_to_the_identity_of_the_data_only_if_there_are_any(tmp_path: Path) -> None:
    video = make_video(tmp_path, "sav_000001")
    assert DataIdentity.of([video]) == DataIdentity.of([with_absent(video, 0)])
    assert DataIdentity.of([video]).sha256 != DataIdentity.of([with_absent(video, 1)]).sha256


def test_they_are_read_from_a_run_and_from_the_file_beside_the_training_file(demo_annotations: Path) -> None:
    of_run = read_videos(demo_annotations, None, absent=True)
    of_file = read_videos(demo_annotations / "Ref-SAV.json", None, absent=True)
    assert [video.absent for video in of_run] == [video.absent for video in of_file]
    assert sum(bool(video.absent) for video in of_run) > len(of_run) / 2
    assert not any(video.absent for video in read_videos(demo_annotations, None))
    negatives = (demo_annotations / NEGATIVES_FILE).read_text()
    assert all(f'"text": "{text}"' in negatives for video in of_run for text in video.absent)


def test_a_file_that_is_not_there_or_something_else_is_named(demo_annotations: Path, tmp_path: Path) -> None:
    alone = tmp_path / "Ref-SAV.json"
    alone.write_bytes((demo_annotations / "Ref-SAV.json").read_bytes())
    with pytest.raises(ValueError, match=r"negatives\.json.*train without --negatives"):
        read_videos(alone, tmp_path, absent=True)
    for content in ("[]", '{"demo_000001": [{"text": "x"}]}', '{"demo_000001": 3}'):
        (tmp_path / NEGATIVES_FILE).write_text(content)
        with pytest.raises(ValueError, match=r"negatives\.json"):
            read_videos(alone, tmp_path, absent=True)


def test_texts_of_objects_that_may_have_a_twin_are_left_out(demo_annotations: Path, tmp_path: Path) -> None:
    alone = tmp_path / "Ref-SAV.json"
    alone.write_bytes((demo_annotations / "Ref-SAV.json").read_bytes())
    made = '{{"text": "the {}", "kind": "{}", "unseen_twin_possible": {}}}'
    rows = (("a", "no_target", "false"), ("b", "no_target", "true"), ("c", "wrong_target", "false"))
    (tmp_path / NEGATIVES_FILE).write_text(f'{{"demo_000001": [{", ".join(made.format(*row) for row in rows)}]}}')
    videos = {video.video_id: video for video in read_videos(alone, tmp_path, absent=True)}
    assert videos["demo_000001"].absent == ("the a",)
