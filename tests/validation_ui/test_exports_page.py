"""Exports from the page: the bytes of the command, nothing fixed unless final, one at a time, formulas disarmed."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from tests.validation_ui.judged import accept, judge
from tests.validation_ui.site import Site, make_site
from tests.validation_ui.test_exporting import write_source
from validation_ui.exporting import export
from validation_ui.schema import Decision, audit, item, video
from validation_ui.web.export_job import Exports

pytestmark = pytest.mark.long

PATIENCE_S = 120.0
EVIL = '=HYPERLINK("https://evil.example")'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An accepted item of v0 and one of v1 with their sources, and judgements with formulas in their notes."""
    data = tmp_path / "validation"
    data.mkdir()
    site = make_site(data)

    def rows(c: Connection) -> None:
        for name in ("v0_o1", "v1_o1"):
            accept(c, site.ids[name], site.ids["ann"], site.ids["ben"])
        for note in (EVIL, "+1", "-1", "@x", "\ttab", 'a "quote", and\nlines'):
            judge(c, site.ids["v2_o1"], site.ids["cy"], decision=Decision.REJECT, note=note, reasons=["other"])

    site.store.write(rows)
    for number in range(2):
        path = data / f"sav_train/sav_000/v{number}.mp4"
        path.unlink(missing_ok=True)
        write_source(path, number)
    yield site
    site.store.close()


def exports(site: Site) -> Exports:
    made: Exports = site.app.state.exports
    return made


def make(site: Site, **body: Any) -> dict[str, Any]:
    ada = site.client("ada")
    begun = ada.post("/api/exports", json=body)
    assert begun.status_code == 202, begun.text
    assert begun.json()["running_since"] is not None
    again = ada.post("/api/exports", json=body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "busy")
    assert ada.get("/api/exports/split.zip").status_code == 404  # not before it is ready
    exports(site).wait(PATIENCE_S)
    shown: dict[str, Any] = ada.get("/api/exports").json()
    assert shown["running_since"] is None
    return shown


def exported(site: Site) -> int:
    with site.store.read() as connection:
        wanted = select(func.count()).where(item.c.exported_at.is_not(None))
        return int(connection.execute(wanted).scalar_one())


def test_the_file_is_what_the_command_writes_and_a_trial_fixes_nothing(site: Site, tmp_path: Path) -> None:
    shown = make(site, final=False)
    assert shown["last"]["error"] is None, shown
    assert not shown["complete"]
    assert shown["missing"][0].startswith(
        "998 long expressions are missing; waiting for a judgement: 3 in the sighted pass, 1 in the blind pass"
    )
    assert shown["last"]["report"].startswith("2 long and 0 short expressions of 2 videos, 24 frames")
    assert exported(site) == 0
    answer = site.client("ada").get("/api/exports/split.zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="refsav_split_partial.zip"'
    assert len(answer.content) == shown["last"]["bytes"]
    part = site.client("ada").get("/api/exports/split.zip", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, answer.content[10:20])
    folder = tmp_path / "split"
    export(site.store, tmp_path / "validation", folder, train=None, rewrite_train=False, now=5.0)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    assert files == {f"split/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    for line in files["split/SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(files[f"split/{name}"]).hexdigest() == digest
    assert not list((tmp_path / "validation" / "exports").glob("building*"))


def test_a_final_export_fixes_its_judgements_and_has_the_same_bytes(site: Site) -> None:
    first = make(site, final=False)
    before = exports(site).file.read_bytes()
    assert first["has_file"]
    assert make(site, final=True)["last"]["final"]
    assert exports(site).file.read_bytes() == before
    assert exported(site) == 2
    with site.store.read() as connection:
        steps = connection.execute(
            select(audit.c.actor, audit.c.action).where(audit.c.subject == "project").order_by(audit.c.id)
        ).all()
    ada = f"person:{site.ids['ada']}"
    assert [tuple(step) for step in steps] == [(ada, "export_partial"), (ada, "export")]


def test_a_refused_export_says_why_and_leaves_no_file(site: Site, tmp_path: Path) -> None:
    entries = {"v0_manual": {"video_path": "sav_train/sav_000/v0.mp4"}}
    (tmp_path / "Ref-SAV.json").write_text(json.dumps(entries))
    shown = make(site, final=True)
    assert "a video is in the split or in the training file, got 1 in both: v0" in shown["last"]["error"]
    assert not shown["has_file"]
    assert exported(site) == 0
    assert make(site, rewrite_train=True)["last"]["error"] is None
    site.store.write(lambda c: c.execute(update(video).values(path="../../etc/passwd")).rowcount)
    assert "a source lies below SAV_ROOT" in make(site, rewrite_train=True)["last"]["error"]


def test_the_judgements_as_csv_hold_no_formula(site: Site) -> None:
    answer = site.client("ada").get("/api/judgements.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="judgements.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(rows) == 11
    assert [row["note"] for row in rows[-6:]] == [
        *(f"'{EVIL}", "'+1", "'-1", "'@x", "'\ttab"),
        'a "quote", and\nlines',
    ]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert json.loads(rows[0]["text"])["object"] == "The object text of v2_o0."
    assert {row["rater"] for row in rows} == {"r1", "r2", "r3"}
    assert not list(exports(site).folder.glob("*.csv"))  # made for one download
    for who in ("ann", "eve", "rea"):
        assert site.client(who).get("/api/judgements.csv").status_code == 403


def test_the_agreement_is_that_of_an_export_made_now(site: Site) -> None:
    text = site.client("rea").get("/api/agreement.md").text
    assert text.startswith("# How far people agree on this split")
    assert "Of 2 exported texts, 2 were found by somebody" in text
