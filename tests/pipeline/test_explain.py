"""What is told of one masklet: a tiny video, its pictures drawn again, and exchanges with a model beside them."""

import asyncio
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import prompts
from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow, Call, Contradiction, ManifestRow, Reason, Row, Status
from pipeline.engines import reply_store
from pipeline.engines.dialect import Request
from pipeline.engines.reading import ChatReply
from pipeline.explain import _lineup_images, explain
from pipeline.run import resume
from pipeline.run.run_config import RunConfig
from pipeline.run.run_stages import run_stages
from stages.render_views import RenderViews
from stages.select_objects import SelectConfig, select_objects
from stages.video.views import ViewConfig
from stages.video_files import VideoFiles
from tests.stages.test_verify_lineup import CONFUSED, SECOND, TARGET, Judging, balls, held
from tests.stages.tiny_sav import FILES, annotation, box, opener, write_json, write_mp4

CONFIG = RunConfig(recipe="demo", select=SelectConfig(min_visible_frames=1, min_best_area_px=400))
MUG, BOWL, SPECK = (f"{FILES.video_id}/manual/{position}" for position in range(3))


@dataclass
class World:
    out: Folder
    sav: Folder
    rows: list[Row]  # with pictures

    def write(self, *rows: Row) -> None:
        self.out.write_table("annotations/u_000000-0.parquet", to_table(rows, AnnotationRow))

    def explain(self, object_id: str, config: RunConfig = CONFIG) -> str:
        return explain(self.out, self.sav, config, object_id)

    def asked(self, name: str, pictures: list[bytes], answer: ChatReply, **changes: object) -> Call:
        """A request that is kept in replies/, as its call."""
        request = Request(
            model="tiny",
            system="You describe things.",
            images=tuple(pictures),
            user=f"{name}: what is it?\nIn one sentence.",
            schema_name=name,
            schema={},
            temperature=0.3,
            top_p=0.9,
            seed=7,
            max_tokens=64,
        )
        prompt_id = prompts.load(name).id
        asked = reply_store.question(request, prompt_id, "c0ffee")
        key = reply_store.key_of(asked)
        asyncio.run(reply_store.ReplyStore(self.out).put(key, asked, answer))
        told = {"prompt": prompt_id, "model": "tiny", "revision": "c0ffee", "key": key, "temperature": 0.3, "seed": 7}
        paid = {"tokens_in": 1234, "tokens_cached": 1000, "tokens_out": 56, "seconds_s": 2.5, "resent": 1}
        return Call.model_validate({**told, **paid, "stored": False, "fault": None, **changes})


@pytest.fixture(scope="module")
def sav(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    root = tmp_path_factory.mktemp("sav")
    write_mp4(root)
    write_json(root, "manual", annotation([box(20, 30, 40, 40), box(100, 40, 30, 30, speed=2), box(5, 5, 4, 4)]))
    return Folder(str(root))


@pytest.fixture
def world(sav: Folder, tmp_path: Path) -> World:
    out = Folder(str(tmp_path / "out"))
    manifest = select_objects(
        VideoFiles(FILES.video_id, FILES.shard, ("manual",)), opener(Path(sav.path())), CONFIG.select
    )
    out.write_table("manifest.parquet", to_table(manifest, ManifestRow))
    rows = [Row.model_validate(row.model_dump()) for row in manifest]
    run_stages([RenderViews(CONFIG.views, sav)], rows)
    return World(out, sav, rows)


def section(text: str, title: str) -> str:
    return re.split(r"\n\n(?=[A-Z]+\n)", text.partition(f"\n{title}\n")[2])[0]


def test_all_of_a_row_that_models_described(world: World) -> None:
    row = world.rows[0]
    assert row.crop_jpeg is not None
    fault = "ended by 'length' after 64 tokens"
    row.calls = [
        world.asked(
            "caption_crop", [row.crop_jpeg], ChatReply(text='{"caption": "A mug', finish_reason="length"), fault=fault
        ),
        world.asked(
            "describe_video", row.video_jpegs, ChatReply(text='{"description": "Rests."}', finish_reason="stop")
        ),
        world.asked(
            "check_consistency", [], ChatReply(text="", finish_reason="stop", refusal="I will not."), stored=True
        ),
    ]
    told = {
        "caption_crop": "A red mug.",
        "conflict": "mug, bowl",
        "expression": "The object is a red mug.",
        "writer": "tiny",
    }
    found = Contradiction(kind="side", claim="on the right", measured="left in all frames")
    state = {"status": Status.KEPT, "attempts": 1, "repairs": ["object"], "contradictions": [found]}
    world.write(row.model_copy(update={**told, **state}))

    text = world.explain(MUG)
    for known in (
        "A red mug.",
        "mug, bowl",
        "The object is a red mug.",
        "side: 'on the right', but measured: left in all",
    ):
        assert known in section(text, "TEXTS")
    assert "160x120 px, 33 frames, 24 fps" in text
    assert "1,600 px, 8.33% of the frame" in text
    assert f"beside      {BOWL}" in text
    assert "in sight 0.0 to" in section(text, "MEASURED")
    requests = section(text, "REQUESTS")
    first, second, third = re.split(r"\n\n(?=\d\. )", requests)
    assert first.startswith(f"1. {prompts.load('caption_crop').id} -> tiny@c0ffee")
    assert "temperature 0.3, seed 7" in first
    assert "1,234 in (1,000 cached), 56 out; 2.50 s, sent 2 times" in first
    assert f"no: {fault}" in first
    assert "    | caption_crop: what is it?\n    | In one sentence.\n" in first
    assert '    | {"caption": "A mug\n' in first
    assert re.findall(r"\S+/explain/\S+", first) == [world.out.path("explain/sav_000007_manual_0/crop.jpg")]
    names = [f"video_{number}.jpg" for number in range(8)]
    assert [Path(path).name for path in re.findall(r"\S+/explain/\S+", second)] == names
    assert "taken from replies/, not paid again" in third
    assert "    | (nothing)\n" in third
    assert "I will not." in third
    for path in re.findall(r"\S+/explain/\S+\.jpg", section(text, "PICTURES")):
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() in [
            hashlib.sha256(each).hexdigest()
            for each in (row.crop_jpeg, row.masked_jpeg, row.scene_jpeg, *row.video_jpegs)
            if each is not None
        ]


def test_other_pictures_than_those_that_were_sent_are_told_apart(world: World) -> None:
    row = world.rows[0]
    assert row.crop_jpeg is not None
    row.calls = [world.asked("caption_crop", [row.crop_jpeg], ChatReply(text="{}", finish_reason="stop"))]
    world.write(row.model_copy(update={"status": Status.KEPT}))
    text = world.explain(MUG, replace(CONFIG, views=ViewConfig(jpeg_quality=50)))
    sha256 = hashlib.sha256(row.crop_jpeg).hexdigest()
    assert f"sha256 {sha256[:16]}…: the pictures drawn now are others" in section(text, "REQUESTS")


def test_its_lives_are_told_in_their_order(world: World) -> None:
    failed = world.rows[0].model_copy(
        update={
            "status": Status.FAILED,
            "stage": "caption_object",
            "reason": Reason.ENGINE_ERROR,
            "detail": "500: out of memory",
            "attempts": 1,
        }
    )
    world.write(failed)
    resume.take_back_failed(world.out)
    assert "now         failed at caption_object: engine_error (attempt 1" in world.explain(MUG)
    world.write(world.rows[0].model_copy(update={"status": Status.KEPT, "attempts": 2, "writer": "measured"}))
    state = section(world.explain(MUG), "STATE")
    assert re.search(r"before 1 +failed at caption_object: engine_error.*\n +500: out of memory\n +now +kept", state)


def test_a_measured_row_was_asked_nothing(world: World) -> None:
    world.write(world.rows[0].model_copy(update={"status": Status.KEPT, "writer": "measured"}))
    assert "none: measured asks no model" in section(world.explain(MUG), "REQUESTS")


def test_a_row_that_was_not_chosen_has_no_pictures(world: World) -> None:
    text = world.explain(SPECK)
    assert "no: too_small: " in text
    assert "rejected at select_objects: too_small" in section(text, "STATE")
    assert "nobody was shown pictures" in section(text, "PICTURES")
    assert not world.out.exists("explain")


def test_a_row_that_is_not_done_yet(world: World) -> None:
    assert "not through the stages yet" in world.explain(BOWL)


def test_a_video_that_is_gone_is_told_and_all_else_too(world: World, tmp_path: Path) -> None:
    row = world.rows[0]
    assert row.crop_jpeg is not None
    row.calls = [world.asked("caption_crop", [row.crop_jpeg], ChatReply(text="{}", finish_reason="stop"))]
    world.write(row.model_copy(update={"status": Status.KEPT, "caption_crop": "A red mug."}))
    gone = World(world.out, Folder(str(tmp_path / "nowhere")), [])
    text = gone.explain(MUG)
    assert re.search(r"not drawn +\S+sav_000007\.mp4\s+is\s+gone$", section(text, "PICTURES"))
    assert "A red mug." in text
    assert "could not be drawn again" in section(text, "REQUESTS")


def test_a_reply_that_is_gone_is_told(world: World) -> None:
    row = world.rows[0]
    row.calls = [world.asked("caption_crop", [], ChatReply(text="{}", finish_reason="stop"), key="ffff")]
    world.write(row.model_copy(update={"status": Status.KEPT}))
    assert "ffff, but replies/ has no such file" in world.explain(MUG)


def test_an_unknown_id_is_told_its_neighbours(world: World, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no masklet 'sav_000007/manul/0'; near to it are .*{MUG}"):
        world.explain("sav_000007/manul/0")
    with pytest.raises(ValueError, match=f"no masklet '!'; its ids are like {MUG}"):
        world.explain("!")
    with pytest.raises(ValueError, match="holds no run"):
        explain(Folder(str(tmp_path / "empty")), world.sav, CONFIG, MUG)


def test_what_a_judge_was_shown_is_drawn_again_bit_by_bit() -> None:
    """Of heats too: only so can a stored request be matched with its pictures."""
    for count in (3, 12):
        judge = Judging(lambda asked: [SECOND] if "red ball" in (asked.expression or "") else [TARGET])
        row = held(balls(count, expression=CONFUSED), judge, repair=True)
        assert row.lineup_before is not None
        drawn = set(_lineup_images(row, row).values())
        sent = {image for images in judge.images for image in images}
        assert sent <= drawn
        assert len(sent) > 4
