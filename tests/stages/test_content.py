"""Files that are not what their name says: each kind is named, with what to do, and costs its own rows alone."""

import bz2
import gzip
import io
import json
import os
import pickle
import socket
import struct
import tarfile
import wave
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import fsspec
import numpy as np
import pytest
from av.stream import Disposition

from manifests.schema import Reason
from pipeline.build_manifest import build
from stages.select_objects import SelectConfig
from stages.video.source_file import breaks_off, foreign, json_text
from stages.video_files import VideoFiles
from tests.stages.tiny_sav import annotation, box, write_json, write_mp4

JSON = json.dumps(annotation([box(10, 10, 40, 40)])).encode()
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
WEB_PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head>"
XML = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", "b")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("sav_train/sav_000/a.mp4"), io.BytesIO())
    return file.getvalue()


def picture(ending: str) -> bytes:
    return bytes(cv2.imencode(ending, np.zeros((9, 9, 3), np.uint8))[1])


@pytest.mark.parametrize("wanted", ["a video", "JSON"])
@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"", "an empty file (0 bytes): get the file again"),
        (bytes(900), "nothing but zeros: a download was not finished"),
        (LFS, "a Git LFS pointer: get the file itself with `git lfs pull`"),
        (WEB_PAGE, "a web page (404 Not Found): get"),
        (b"<HTML><body>Sign in", "a web page: get"),
        (XML, "an error message in XML (AccessDenied): get"),
        (b"Not Found\n", r"text that begins 'Not Found\n': get"),
        (gzip.compress(JSON), "gzip data: unpack it"),
        (bz2.compress(JSON), "bzip2 data: unpack it"),
        (zipped(), "a zip archive: unpack it"),
        (tarred(), "a tar archive: unpack it"),
        (picture(".jpg"), "a JPEG picture: get"),
        (picture(".png"), "a PNG picture: get"),
        (picture(".webp"), "a WebP picture: get"),
        (JSON.decode().encode("utf-16"), "UTF-16 text: "),
        (JSON.decode().encode("utf-16-be"), "UTF-16 text: "),
        (("\n " + JSON.decode()).encode("utf-16-be"), "UTF-16 text: "),
        (("\r\n" + JSON.decode()).encode("utf-16-le"), "UTF-16 text: "),
        (JSON.decode().encode("utf-32"), "UTF-32 text: "),
        (JSON.decode().encode("utf-32-be"), "UTF-32 text: "),
        (b"<!-- 1 -->\n<!DOCTYPE html><title>Just a moment...</title>", "a web page (Just a moment...): get"),
        (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "x"><html></html>', "a web page: get"),
        (b" \r\n", "nothing but white space: get"),
    ],
)
def test_what_is_neither_video_nor_json_is_named(head: bytes, wanted: str, told: str) -> None:
    got = foreign(head, "JSON" if wanted == "JSON" else "a video")
    assert got is not None
    assert got.startswith(f"must be {wanted}, got {told}")


def test_what_may_be_right_is_left_to_those_who_read_it(tmp_path: Path) -> None:
    video = write_mp4(tmp_path).read_bytes()
    assert foreign(video[:4096], "a video") is None
    assert foreign(JSON[:4096], "JSON") is None
    assert foreign(video[:4096], "JSON") == "must be JSON, got a video: get the file again"
    assert "text that begins '{" in (foreign(JSON[:4096], "a video") or "")
    assert "#EXTM3U" in (foreign(b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", "a video") or ""), "FFmpeg would fetch it"


def test_json_text_is_without_a_mark_and_named_where_it_is_none() -> None:
    for before in (b"", b"\xef\xbb\xbf", 2 * b"\xef\xbb\xbf", b"\n\xef\xbb\xbf"):
        assert json_text(before + JSON) == JSON
    for binary in (zlib.compress(JSON), pickle.dumps({}), b"PAR1\x15\x04"):
        with pytest.raises(ValueError, match="got binary data: get the file again"):
            json_text(binary)
    with pytest.raises(ValueError, match="UTF-16"):
        json_text(JSON.decode().encode("utf-16"))


def test_how_much_of_an_mp4_is_missing(tmp_path: Path) -> None:
    whole = write_mp4(tmp_path).read_bytes()
    assert breaks_off(io.BytesIO(whole)) is None
    assert breaks_off(io.BytesIO(whole + struct.pack(">I4s", 999, b"free"))) is None, "only padding is cut"
    assert breaks_off(io.BytesIO(b"RIFF" + whole)) is None, "no mp4"
    for size in (20, len(whole) // 2, len(whole) - 1):
        assert f"breaks off after {size:,} of at least " in (breaks_off(io.BytesIO(whole[:size])) or "")
    large = struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4sQ", 1, b"mdat", 2**33)
    assert f"of at least {2**33 + 8:,} bytes" in (breaks_off(io.BytesIO(large)) or "")


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))


def sound_with_a_cover(path: Path) -> None:
    with av.open(path, "w", format="mp4") as container:
        speech = container.add_stream("aac", rate=8000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt = "yuvj420p"
        cover.disposition = Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(speech.encode(frame))
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        for stream in (speech, cover):
            container.mux(stream.encode())


def unix_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its address may have 107 characters
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


UNDECODABLE, MISSING = Reason.VIDEO_UNDECODABLE, Reason.VIDEO_MISSING
BAD_VIDEOS: dict[str, tuple[Callable[[Path], object], Reason, str]] = {
    "empty": (lambda path: path.write_bytes(b""), UNDECODABLE, "an empty file (0 bytes)"),
    "pointer": (lambda path: path.write_bytes(LFS), UNDECODABLE, "git lfs pull"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-900]), UNDECODABLE, "breaks off after"),
    "noise": (lambda path: path.write_bytes(b"\xfe\xed" * 900), UNDECODABLE, "get the file again"),
    "sound": (sound, UNDECODABLE, "must have a video stream, got audio only"),
    "cover": (sound_with_a_cover, UNDECODABLE, "must have a video stream, got audio and video only"),
    "folder": (lambda path: path.mkdir(), MISSING, "it is a folder: put the file itself there"),
    "pipe": (os.mkfifo, MISSING, "it is a pipe, socket or device"),
    "socket": (unix_socket, MISSING, "it is a pipe, socket or device"),
    "loop": (lambda path: path.symlink_to(path.name), MISSING, "a link that leads to itself"),
    "dangling": (lambda path: path.symlink_to("nowhere"), MISSING, "it is not there, or a link to nothing"),
}
REPLACED = {"folder", "pipe", "socket", "loop", "dangling"}
BAD_JSONS: dict[str, tuple[Callable[[Path], object], Reason, str]] = {
    "zipped": (lambda path: path.write_bytes(gzip.compress(JSON)), Reason.JSON_MALFORMED, "gzip data: unpack it"),
    "zeros": (lambda path: path.write_bytes(JSON[:-99] + bytes(99)), Reason.JSON_MALFORMED, "ends in zeros"),
    "page": (lambda path: path.write_bytes(WEB_PAGE), Reason.JSON_MALFORMED, "a web page (404 Not Found)"),
    "half": (lambda path: path.write_bytes(JSON[:500]), Reason.JSON_MALFORMED, "the file breaks off, get it again"),
    "folder": (lambda path: path.mkdir(), Reason.JSON_MISSING, "it is a folder"),
    "pipe": (os.mkfifo, Reason.JSON_MISSING, "it is a pipe"),
}


def test_one_bad_file_costs_its_own_rows_whatever_it_is(tmp_path: Path) -> None:
    """All of them in one shard, beside a good video and one whose JSON begins with a mark."""
    expected: dict[str, tuple[Reason, str]] = {}
    for end, damages in ((".mp4", BAD_VIDEOS), ("_manual.json", BAD_JSONS)):
        for name, (damage, reason, told) in damages.items():
            files = VideoFiles(f"{end[1:4]}_{name}", "sav_000")
            write_json(tmp_path, "manual", JSON, files)
            path = write_mp4(tmp_path, files).with_name(f"{files.video_id}{end}")
            if end != ".mp4" or name in REPLACED:
                path.unlink()
            damage(path)
            expected[files.video_id] = reason, told
    for name, content in (("good", JSON), ("mark", b"\xef\xbb\xbf" + JSON)):
        write_json(tmp_path, "manual", content, VideoFiles(name, "sav_000"))
        write_mp4(tmp_path, VideoFiles(name, "sav_000"))

    tables = build(fsspec.filesystem("file"), str(tmp_path), ["sav_000"], SelectConfig())
    rows = {row["video_id"]: row for table in tables for row in table.to_pylist()}
    assert rows.keys() == expected.keys() | {"good", "mark"}
    assert rows["good"]["status"] == rows["mark"]["status"] == "pending"
    for video_id, (reason, told) in expected.items():
        assert (video_id, rows[video_id]["reason"]) == (video_id, reason)
        assert told in rows[video_id]["detail"]
