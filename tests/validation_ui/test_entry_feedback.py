"""After the entry test: every item with the right answer, and none that the person may still meet."""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import select, update

from tests.validation_ui.desk import Desk
from tests.validation_ui.rows import HEIGHT_PX, SMALL, WIDTH_PX, fill
from tests.validation_ui.site import Site, make_site
from validation_ui.database import Database
from validation_ui.importing.source_video import pack, unpack
from validation_ui.judging import entry_feedback
from validation_ui.judging.entry_feedback import Feedback
from validation_ui.schema import Standing, audit, person, video
from validation_ui.settings import Settings

ENTRY = replace(SMALL, entry_items=3, entry_right_frac=0.6)


class Newcomer(Desk):
    """A project in which ann takes the entry test."""

    def __init__(self, store: Database, *, gold: int, settings: Settings = ENTRY) -> None:
        super().__init__(store, store.write(lambda c: fill(c, gold=gold, settings=settings)))
        self.begin()

    def begin(self) -> None:
        values = {"standing": Standing.ENTRY, "entry_round": person.c.entry_round + 1}
        of = update(person).where(person.c.name == "ann").values(**values)
        self.store.write(lambda c: c.execute(of).rowcount)

    def answer(self, *, right: bool) -> str:
        slot_id = self.claim("ann")
        row = self.row(slot_id)
        assert row.gold
        self.judge("ann", slot_id, "accept" if (row.gold == "good") == right else "reject")
        return str(row.public_id)

    def told(self) -> Feedback | None:
        with self.store.read() as connection:
            return entry_feedback.feedback(connection, self.ids["ann"])

    def shown(self) -> list[str] | None:
        told = self.told()
        return None if told is None or told.items is None else [one.public_id for one in told.items]


def test_who_passed_sees_all_items_with_the_right_answers(store: Database) -> None:
    desk = Newcomer(store, gold=3)
    assert desk.told() is None
    had = [desk.answer(right=k > 0) for k in range(2)]
    assert desk.told() is None  # not before it is over
    had.append(desk.answer(right=True))
    told = desk.told()
    assert told is not None
    assert (told.passed, told.right, told.of) == (True, 2, 3)
    assert desk.shown() == had
    assert told.items is not None
    assert [one.right for one in told.items] == [False, True, True]
    for one in told.items:
        good = desk.item(desk.ids[one.public_id.removeprefix("p_")]).gold == "good"
        assert one.known == ("accept" if good else "reject")
        assert ("true of it" if good else "another object") in one.why
        assert [part["name"] for part in one.parts] == ["object", "scene", "video"]


@pytest.mark.parametrize(("gold", "is_shown"), [(3, False), (6, False), (7, True)])
def test_who_failed_sees_no_item_that_may_come_again(store: Database, gold: int, is_shown: bool) -> None:
    """Of 6 items, the 3 others are not enough: one is withheld while the person holds another one of its video."""
    desk = Newcomer(store, gold=gold)
    had = {desk.answer(right=False) for _ in range(3)}
    told = desk.told()
    assert told is not None
    assert (told.passed, told.right, told.of) == (False, 0, 3)
    assert desk.shown() is None or set(desk.shown() or ()) == had
    assert (desk.shown() is not None) == is_shown
    desk.begin()
    for _ in range(3):
        shown = set(desk.shown() or ())  # of the test before, while the next one goes on
        assert desk.answer(right=True) not in shown
    assert desk.standing("ann") == "active"


def test_a_skipped_item_is_shown_only_to_who_passed(store: Database) -> None:
    desk = Newcomer(store, gold=20, settings=replace(ENTRY, entry_items=4, entry_right_frac=0.75))
    slot_id = desk.claim("ann")
    left = desk.row(slot_id).public_id
    desk.skip("ann", slot_id)
    for _ in range(3):
        desk.answer(right=True)
    told = desk.told()
    assert told is not None
    assert (told.passed, told.right, told.of) == (True, 3, 4)
    assert left in (desk.shown() or ())
    store.write(
        lambda c: c.execute(update(person).where(person.c.name == "ann").values(standing=Standing.FAILED)).rowcount
    )
    assert len(desk.shown() or ()) == 3
    assert left not in (desk.shown() or ())
    told = desk.told()
    assert told is not None
    assert (told.right, told.of) == (3, 4)  # the figures stay


@pytest.fixture
def site(tmp_path: Path) -> Any:
    site = make_site(tmp_path)
    yield site
    site.store.close()


def _tested(site: Site) -> str:
    """Let ben pass a test of one item whose video has a picture; the item's name."""
    desk = Desk(site.store, site.ids)
    site.store.write(replace(SMALL, entry_items=1, entry_right_frac=0).save)
    site.store.write(
        lambda c: c.execute(update(person).where(person.c.name == "ben").values(standing=Standing.ENTRY)).rowcount
    )
    slot_id = desk.claim("ben")
    public_id = str(desk.row(slot_id).public_id)
    frames = [(k, cv2.imencode(".jpg", np.full((HEIGHT_PX, WIDTH_PX, 3), 128, np.uint8))[1].tobytes()) for k in (0, 4)]
    (Path(site.app.state.data) / "frames" / "00.bin").write_bytes(pack(frames))
    chunks = [{"first": 0, "key": "00.bin", "rest": "00.bin"}]
    site.store.write(lambda c: c.execute(update(video).values(chunks=chunks)).rowcount)
    desk.judge("ben", slot_id, "reject")
    return public_id


def test_the_picture_has_the_outline_and_is_for_the_person_alone(site: Site) -> None:
    public_id = _tested(site)
    ben = site.client("ben")
    assert [one["public_id"] for one in ben.get("/api/entry").json()["test"]["items"]] == [public_id]
    answer = ben.get(f"/api/entry/{public_id}/picture.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    bgr_HW3 = np.asarray(cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    assert bgr_HW3.shape == (HEIGHT_PX, WIDTH_PX, 3)
    light = cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2GRAY)[45].astype(int)  # the bar of object 0 covers x = 5 to 14 here
    assert min(light[3:5].min(), light[15:17].min()) > 180  # a light line, and a dark one around it
    assert max(light[1:3].min(), light[17:19].min()) < 80
    assert abs(light[7:13] - 128).max() < 30  # what is judged is not painted over
    assert abs(light[25:] - 128).max() < 10
    for who in ("ann", "ada", "eve"):
        assert site.client(who).get(f"/api/entry/{public_id}/picture.jpg").status_code == 404
    other = {"p_gold_0": "p_gold_1", "p_gold_1": "p_gold_0"}[public_id]
    for name in (other, "p_v2_o0"):
        assert ben.get(f"/api/entry/{name}/picture.jpg").status_code == 404


def test_a_chunk_gives_back_each_of_its_pictures() -> None:
    pictures = [(8, b"eight"), (12, b""), (16, zlib.compress(b"sixteen"))]
    assert [unpack(pack(pictures), frame) for frame in (8, 12, 16, 4)] == [*(jpeg for _, jpeg in pictures), None]


def test_newcomers_are_led_through_the_guide_once(site: Site) -> None:
    site.store.write(
        lambda c: c.execute(update(person).where(person.c.name == "ben").values(standing=Standing.ENTRY)).rowcount
    )
    ben = site.client("ben")
    led = ben.get("/review?kinds=sighted")
    assert (led.status_code, led.headers["location"]) == (303, "/guide")
    assert "begin the entry test" in ben.get("/guide").text
    for _ in range(2):
        assert ben.post("/api/guide/read", json={}).status_code == 204
    assert ben.get("/review?kinds=sighted").status_code == 200
    assert "begin the entry test" not in ben.get("/guide").text
    with site.store.read() as connection:
        assert len(connection.execute(select(audit.c.id).where(audit.c.action == "read_guide")).all()) == 1
    assert site.client("ann").get("/review").status_code == 200  # who works already is not led there
