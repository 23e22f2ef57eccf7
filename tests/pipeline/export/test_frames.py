import logging
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.io import Folder
from pipeline.data.clips import Clips
from pipeline.data.frame_store import StoredVideo
from pipeline.data.videos import Video
from pipeline.export import frames
from pipeline.export.frames import main, write_store
from pipeline.export.store_video import StoreConfig
from tests.pipeline.data.tiny import MANUAL, as_refsav, files_of, make_video, write_refsav
from tests.stages.tiny_sav import FRAMES, annotation, write_json, write_mp4

ROOT = Path(__file__).parent.parent.parent.parent
CONFIG = StoreConfig()


@pytest.fixture
def sav(tmp_path: Path) -> Path:
    return tmp_path / "sav"


@pytest.fixture
def videos(sav: Path) -> list[Video]:
    return [make_video(sav, f"sav_00000{n}") for n in (1, 2, 3)]


@pytest.fixture
def source(videos: list[Video], sav: Path, tmp_path: Path) -> Path:
    return write_refsav(tmp_path / "Ref-SAV.json", as_refsav(videos, sav))


def state(store: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in store.iterdir()}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_command_makes_a_store_that_can_be_read_without_the_videos(
    source: Path, sav: Path, videos: list[Video], tmp_path: Path, workers: int
) -> None:
    store = tmp_path / "frames"
    command = [str(source), "--sav-root", str(sav), "--out", str(store), "--workers", str(workers)]
    assert main(command) == 0
    expected = [Clips().read(video, [0, 8], video.expressions, 32)[1] for video in videos]
    for path in sav.rglob("*.*"):
        path.unlink()
    for video, masks_OFMM in zip(videos, expected, strict=True):
        images, stored_OFMM = Clips(store).read(video, [0, 8], video.expressions, 32)
        assert (stored_OFMM == masks_OFMM).all()
        assert [image.shape for image in images] == [(120, 160, 3)] * 2
        info = StoredVideo(store, video).info
        assert (info.frame_count, info.height_px, info.width_px, info.bad_columns) == (
            *(FRAMES, 120, 160),
            {"manual": {}, "auto": {}},
        )


def test_the_same_command_goes_on_where_it_was(source: Path, sav: Path, tmp_path: Path) -> None:
    store = tmp_path / "frames"
    command = [str(source), "--sav-root", str(sav), "--out", str(store), "--workers", "1"]
    main(command)
    before = state(store)
    (store / "sav_000002.arrow").unlink()
    (store / ".sav_000002.arrow.tmp").write_bytes(b"what a kill leaves")
    assert main(command) == 0
    after = state(store)
    assert after.keys() == before.keys() == {f"sav_00000{n}.arrow" for n in (1, 2, 3)}
    assert [name for name in after if after[name] != before[name]] == ["sav_000002.arrow"]


def test_a_broken_video_is_named_and_does_not_stop_the_others(
    source: Path, sav: Path, videos: list[Video], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    videos[0].video_path.write_bytes(b"no video")
    videos[1].expressions[0].anno_path.write_text("{")
    store = tmp_path / "frames"
    with caplog.at_level(logging.ERROR):
        assert main([str(source), "--sav-root", str(sav), "--out", str(store), "--workers", "1"]) == 1
    assert [path.name for path in store.iterdir()] == ["sav_000003.arrow"]
    named = [record.getMessage() for record in caplog.records]
    assert [message.split(": ")[1] for message in named] == ["sav_000001", "sav_000002"]


def test_masks_that_do_not_fit_the_frames_are_refused(videos: list[Video], sav: Path, tmp_path: Path) -> None:
    write_mp4(sav, files_of("sav_000001"), frames=FRAMES + 4)
    failed = write_store(videos[:1], tmp_path / "frames", CONFIG, 1)
    assert "masklet has 9 entries, must be ceil(37 frames / 4) = 10" in failed["sav_000001"]


def test_a_changed_source_is_an_error_until_it_is_renewed(videos: list[Video], sav: Path, tmp_path: Path) -> None:
    store = tmp_path / "frames"
    write_store(videos, store, CONFIG, 1)
    write_json(sav, "manual", annotation(MANUAL[::-1]), files_of("sav_000001"))
    os.utime(videos[1].video_path)  # touched, not changed
    before = state(store)
    failed = write_store(videos, store, CONFIG, 1)
    assert failed.keys() == {"sav_000001"}
    assert "sav_000001_manual.json changed since it went into" in failed["sav_000001"]
    assert state(store) == before
    assert write_store(videos, store, StoreConfig(renew=True), 1) == {}
    assert [name for name, each in state(store).items() if each != before[name]] == ["sav_000001.arrow"]
    assert (Clips(store).read(videos[0], [3], videos[0].expressions[:1])[1][0, 0] == MANUAL[2](3)).all()


def test_another_setting_is_an_error_until_it_is_renewed(videos: list[Video], tmp_path: Path) -> None:
    store = tmp_path / "frames"
    write_store(videos[:1], store, CONFIG, 1)
    failed = write_store(videos[:1], store, StoreConfig(short_px=60), 1)
    assert "must have short_px 60 and quality 90, got 1024 and 90" in failed["sav_000001"]
    assert write_store(videos[:1], store, StoreConfig(short_px=60, renew=True), 1) == {}
    images, masks_OFMM = Clips(store).read(videos[0], [0], videos[0].expressions)
    assert images[0].shape == (60, 80, 3)
    assert masks_OFMM.shape == (4, 1, 120, 160)


def test_a_masklet_that_is_malformed_is_kept_out_and_the_others_serve(
    videos: list[Video], sav: Path, tmp_path: Path
) -> None:
    content = annotation(MANUAL)
    content["masklet"][4][1]["counts"] = "~"
    content["masklet"][5][2]["size"] = [160, 120]
    write_json(sav, "manual", content, files_of("sav_000001"))
    store = tmp_path / "frames"
    assert write_store(videos[:1], store, CONFIG, 1) == {}
    good, malformed, turned, auto = videos[0].expressions
    assert Clips(store).read(videos[0], [4], [good, auto], 16)[1].any()
    for expression, message in ((malformed, r"masklet\[4\]\[1\]"), (turned, r"masklet\[5\]\[2\]: size must be")):
        with pytest.raises(ValueError, match=f"sav_000001.*{message}"):
            Clips(store).read(videos[0], [0], [expression], 16)


def test_a_file_that_no_expression_is_of_may_be_broken_but_is_missed_when_one_is(
    videos: list[Video], sav: Path, tmp_path: Path
) -> None:
    auto = videos[0].expressions[-1].anno_path
    content = auto.read_bytes()
    auto.write_text("{")
    manual_only = [Video("sav_000001", videos[0].video_path, FRAMES, videos[0].expressions[:3])]
    store = tmp_path / "frames"
    assert write_store(manual_only, store, CONFIG, 1) == {}
    with pytest.raises(ValueError, match="has no auto masks; export this source again"):
        Clips(store).read(videos[0], [0], videos[0].expressions[-1:], 16)
    auto.write_bytes(content)
    assert write_store(videos[:1], store, CONFIG, 1) == {}
    assert Clips(store).read(videos[0], [0], videos[0].expressions[-1:], 16)[1].any()


@pytest.mark.parametrize("damage", ["cut", "text", "foreign", "other video"])
def test_what_is_no_file_of_a_store_is_told(videos: list[Video], tmp_path: Path, damage: str) -> None:
    store = tmp_path / "frames"
    write_store(videos[:2], store, CONFIG, 1)
    path = store / "sav_000001.arrow"
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "text":
            path.write_text("hello")
        case "foreign":
            batch = pa.record_batch({"jpeg": [b"x"]})
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
                writer.write_batch(batch)
        case "other video":
            path.write_bytes((store / "sav_000002.arrow").read_bytes())
    with pytest.raises(ValueError, match="sav_000001: .*must be (a file of a frame store|of sav_000001)"):
        Clips(store).read(videos[0], [0], videos[0].expressions, 16)
    assert "sav_000001.arrow" in write_store(videos[:1], store, CONFIG, 1)["sav_000001"]
    assert write_store(videos[:1], store, StoreConfig(renew=True), 1) == {}


def test_settings_are_checked(source: Path, tmp_path: Path, videos: list[Video]) -> None:
    for option in (["--quality", "0"], ["--short-px", "0"], ["--workers", "0"]):
        assert main([str(source), "--sav-root", str(tmp_path / "sav"), "--out", str(tmp_path / "x"), *option]) == 2
    assert main([str(tmp_path / "none"), "--out", str(tmp_path / "x")]) == 2
    assert main([str(source), "--sav-root", str(tmp_path / "sav"), "--out", __file__]) == 2


@pytest.mark.parametrize("status", ["kept", "rejected"])
def test_a_run_gets_its_store_beside_its_annotations(
    videos: list[Video], sav: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: str
) -> None:
    rows = [
        {
            "object_id": each.object_id,
            "video_id": video.video_id,
            "masklet_type": each.masklet_type,
            "masklet_position": each.column,
            "video_path": str(video.video_path.relative_to(sav)),
            "anno_path": str(each.anno_path.relative_to(sav)),
            "frame_count": video.frame_count,
            "expression": each.text,
            "status": status if video is videos[0] else "rejected",
        }
        for video in videos
        for each in video.expressions
    ]
    run = Folder(str(tmp_path / "run"))
    run.write_table("annotations/part.parquet", pa.Table.from_pylist(rows))
    with caplog.at_level(logging.WARNING):
        assert frames.store_run(run, Folder(str(sav)), 1) == 0
    stored = [path.name for path in (tmp_path / "run" / "frames").glob("*")]
    assert stored == (["sav_000001.arrow"] if status == "kept" else [])
    assert ("no frame store" in caplog.text) == (status == "rejected")


def test_a_store_is_made_on_a_local_disk_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--out must be a folder on a local disk"):
        frames.check_local(Folder("memory://run"), Folder(str(tmp_path)))
    with pytest.raises(ValueError, match="--sav-root must be a folder on a local disk"):
        frames.check_local(Folder(str(tmp_path)), Folder("memory://sav"))


def test_the_base_install_makes_it() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'PIL')));"
        "from pipeline.export.frames import main; main(['--help'])"
    )
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "--renew" in made.stdout
