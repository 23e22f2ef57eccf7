import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, update
from starlette.testclient import TestClient

from tests.validation_ui.rows import add_person, add_video
from validation_ui.database import Database
from validation_ui.people.access import open_session
from validation_ui.project import inside
from validation_ui.schema import Role, video
from validation_ui.serving import Serving
from validation_ui.web import files
from validation_ui.web.app import create_app
from validation_ui.web.files import chunk_path, satisfiable

CHUNK = bytes(range(256)) * 40
NAME = hashlib.sha256(CHUNK).hexdigest()
MP4 = secrets.token_bytes(200_000)
VIDEO = "/media/videos/m_v0"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A person who only looks on, signed in to a project of one video."""
    data, sav_root = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("sav")
    (data / "frames").mkdir()
    (data / "frames" / f"{NAME}.bin").write_bytes(CHUNK)
    (data / "secret").write_bytes(b"secret")
    folder = sav_root / "sav_train" / "sav_000"
    folder.mkdir(parents=True)
    (folder / "v0.mp4").write_bytes(MP4)
    (sav_root.parent / "outside.mp4").write_bytes(b"outside")
    store = Database(f"sqlite:///{data}/validation.sqlite3")
    store.create()

    def project(connection: Connection) -> str:
        add_video(connection, "v0")
        for name, path in (("far", "../outside.mp4"), ("root", "/etc/passwd"), ("gone", "sav_train/sav_000/gone.mp4")):
            add_video(connection, name)
            connection.execute(update(video).where(video.c.id == name).values(path=path))
        return open_session(connection, add_person(connection, "ann", Role.READER), store.now())

    token = store.write(project)
    app = create_app(store, data, sav_root, Serving(secret=secrets.token_bytes(32)))
    if not any(route.path.startswith("/media/") for route in app.routes if hasattr(route, "path")):
        app.include_router(files.router)
    with TestClient(
        app, base_url="http://localhost", cookies={"refsav": token}, raise_server_exceptions=False
    ) as signed_in:
        yield signed_in
    store.close()


def test_a_chunk_is_kept_by_the_browser_for_good(client: TestClient) -> None:
    answer = client.get(f"/media/frames/{NAME}.bin")
    assert (answer.status_code, answer.content) == (200, CHUNK)
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["etag"] == f'"{NAME}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "application/octet-stream"
    again = client.get(f"/media/frames/{NAME}.bin", headers={"If-None-Match": f'"{NAME}"'})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("address", [f"/media/frames/{NAME}.bin", VIDEO])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nobody_who_is_signed_out_gets_anything(client: TestClient, address: str, method: str) -> None:
    with TestClient(client.app, base_url="http://localhost") as stranger:
        answer = stranger.request(method, address)
    assert answer.status_code == 401
    assert "etag" not in answer.headers


@pytest.mark.parametrize(
    "name",
    [
        "0" * 64,
        NAME.upper(),
        NAME[:-1],
        f"{NAME}0",
        f"{NAME}%0a",
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "..\\secret",
        f"x%2f..%2f{NAME}",
        "%00",
    ],
)
def test_no_other_name_leads_to_a_file(client: TestClient, name: str) -> None:
    answer = client.get(f"/media/frames/{name}.bin")
    assert answer.status_code == 404
    assert b"secret" not in answer.content


@given(st.text(max_size=80))
def test_only_hashes_become_paths(name: str) -> None:
    assert chunk_path(Path("/nonexistent"), name) is None


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "frames" / f"{NAME}.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="must lie inside"):
        chunk_path(tmp_path, NAME)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a/../../frames2/x"])
def test_a_path_out_of_the_root_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="must lie inside"):
        inside(tmp_path / "frames", name)


def test_a_video_is_named_by_its_random_id_alone(client: TestClient) -> None:
    assert client.get(VIDEO).content == MP4
    for name in ("v0", "sav_train/sav_000/v0.mp4", "..%2f..%2foutside.mp4", "m_", "m_v0%00", "%25", "m_gone"):
        answer = client.get(f"/media/videos/{name}")
        assert answer.status_code == 404, name


@pytest.mark.parametrize("name", ["m_far", "m_root"])
def test_a_path_in_the_database_that_leads_out_of_sav_root_is_not_served(client: TestClient, name: str) -> None:
    answer = client.get(f"/media/videos/{name}")
    assert answer.status_code == 500
    assert b"outside" not in answer.content
    assert b"root:" not in answer.content


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, 199_999),
        ("bytes=100-199", 100, 199),
        ("bytes=199999-", 199_999, 199_999),
        ("bytes=150000-999999999", 150_000, 199_999),
        ("bytes=-1", 199_999, 199_999),
        ("bytes=-500000", 0, 199_999),
        ("bytes=0-131071", 0, 131_071),
    ],
)
def test_one_range_is_answered(client: TestClient, header: str, first: int, last: int) -> None:
    for method in ("GET", "HEAD"):
        answer = client.request(method, VIDEO, headers={"Range": header})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/200000"
        assert answer.headers["content-length"] == str(last - first + 1)
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.content == (MP4[first : last + 1] if method == "GET" else b"")


@pytest.mark.parametrize(
    "header",
    [
        "bytes=200000-",
        "bytes=5-4",
        "bytes=-0",
        "bytes=-",
        "bytes=",
        "bytes",
        "",
        "items=0-1",
        "bytes=0-1,5-6",
        "bytes=a-b",
        "bytes=0x1-2",
        "bytes=+1-2",
        "bytes=1_0-2",
        "bytes= 0-1",
        "bytes=0-1 ",
        f"bytes=0-{'9' * 80}",
        "bytes=" + ",".join(["0-0"] * 100_000),
    ],
    ids=lambda header: header[:16],
)
def test_anything_else_is_416(client: TestClient, header: str) -> None:
    answer = client.get(VIDEO, headers={"Range": header.rstrip()})
    if header == "bytes=0-1 ":  # blanks at the end are no part of a header
        assert answer.status_code == 206
        return
    assert answer.status_code in (416, 431)
    assert answer.json()["error"]["code"]
    assert len(answer.content) < 500


def test_two_range_headers_are_refused(client: TestClient) -> None:
    answer = client.get(VIDEO, headers=[("Range", "bytes=0-1"), ("Range", "bytes=3-4")])
    assert answer.status_code == 416


def test_a_refused_range_tells_the_size(client: TestClient) -> None:
    answer = client.get(VIDEO, headers={"Range": "bytes=200000-"})
    assert answer.headers["content-range"] == "bytes */200000"


def test_100_000_ranges_are_refused_at_once() -> None:
    assert not satisfiable(["bytes=" + ",".join(f"{n}-{n}" for n in range(100_000))], 10**9)
    assert not satisfiable(["bytes=0-0"] * 100_000, 10**9)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_passes_has_at_least_one_byte(size: int, first: int, last: int) -> None:
    assert satisfiable([f"bytes={first}-{last}"], size) == (first <= last and first < size)
    assert satisfiable([f"bytes={first}-"], size) == (first < size)
    assert satisfiable([f"bytes=-{last}"], size) == (size > 0 and last > 0)
    assert satisfiable([], size)


@given(st.text(alphabet="bytes=-,0123456789 \u0661", max_size=70))
def test_digits_of_other_scripts_and_noise_never_raise(header: str) -> None:
    assert satisfiable([header], 1000) in (True, False)
    if "\u0661" in header or "," in header or " " in header:
        assert not satisfiable([header], 1000)


def test_a_whole_video_by_head(client: TestClient) -> None:
    answer = client.head(VIDEO)
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "200000", b"")
