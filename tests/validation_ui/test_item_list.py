"""The item browser finds by every filter, pages without gaps, and shows each role what it may see."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, update

from tests.validation_ui.judged import judge
from tests.validation_ui.rows import add_item, add_masklet, add_video, fill
from tests.validation_ui.site import Site, make_site
from validation_ui.database import Database
from validation_ui.judging.leases import mark_seen
from validation_ui.problem import Problem
from validation_ui.schema import Decision, SlotKind, item, skipped
from validation_ui.web import item_list
from validation_ui.web.item_list import Disagreement, Query, Sort, StateFilter


@pytest.fixture
def ids(store: Database) -> dict[str, int]:
    """Three videos of two objects; v0_o0 disputed, v0_o1 missed, v1_o0 rejected blind, v1_o1 withdrawn."""

    def work(c: Connection) -> dict[str, int]:
        ids = fill(c, gold=2)
        judge(c, ids["v0_o0"], ids["ann"])
        judge(c, ids["v0_o0"], ids["ben"], decision=Decision.REJECT, reasons=["wrong_object"])
        judge(c, ids["v0_o1"], ids["ann"])
        judge(c, ids["v0_o1"], ids["ben"], SlotKind.BLIND, hit=False)
        judge(c, ids["v1_o0"], ids["ann"])
        judge(c, ids["v1_o0"], ids["cy"], SlotKind.BLIND, Decision.REJECT, hit=True, reasons=["wrong_attribute"])
        judge(c, ids["v2_o0"], ids["cy"], undone_at=1.0, undone_by="person", reasons=["mask_bad"])
        judge(c, ids["v2_o1"], ids["eve"], SlotKind.ADJUDICATE)
        c.execute(update(item).where(item.c.id == ids["v1_o1"]).values(retired=True, state="dropped"))
        return ids

    return store.write(work)


def found(store: Database, **filters: Any) -> set[str]:
    with store.read() as connection:
        page = item_list.find(connection, Query(**filters), names=True, gold=True, now=0.0)
    names = {row["public_id"].removeprefix("p_") for row in page["items"]}
    assert page["total"] == len(names)
    return names


def test_every_filter_finds_what_it_says(store: Database, ids: dict[str, int]) -> None:
    assert (
        found(store, id="p_v1_o0") == found(store, id=str(ids["v1_o0"])) == found(store, id="v1/manual/0") == {"v1_o0"}
    )
    assert found(store, id="9999999999999") == found(store, id="²") == found(store, id="p_v1_o") == set()
    assert found(store, video="v1") == {"v1_o0", "v1_o1"}
    assert found(store, video="%") == found(store, video="_1") == set()  # no patterns
    assert found(store, state=StateFilter.WITHDRAWN) == {"v1_o1"}
    assert found(store, state=StateFilter.GOLD) == {"gold_0", "gold_1"}
    assert found(store, state=StateFilter.DROPPED) == {"v1_o1"}
    assert len(found(store, state=StateFilter.OPEN)) == 5
    assert found(store, person=ids["ben"]) == {"v0_o0", "v0_o1"}
    assert found(store, person=ids["ben"], pass_=SlotKind.BLIND) == {"v0_o1"}  # of one and the same judgement
    assert found(store, person=ids["ann"], reason="wrong_object") == set()
    assert found(store, reason="wrong_object") == {"v0_o0"}
    assert found(store, reason="mask_bad") == set()  # undone
    assert found(store, pass_=SlotKind.ADJUDICATE) == {"v2_o1"}
    assert found(store, disagreement=Disagreement.SIGHTED) == {"v0_o0"}
    assert found(store, disagreement=Disagreement.MISSED) == {"v0_o1"}
    assert found(store, disagreement=Disagreement.BLIND) == {"v1_o0"}
    assert found(store, disagreement=Disagreement.ADJUDICATED) == {"v2_o1"}
    assert found(store, disagreement=Disagreement.ANY) == {"v0_o0", "v0_o1", "v1_o0", "v2_o1"}


def test_stuck_items_are_found(store: Database, ids: dict[str, int]) -> None:
    assert found(store, state=StateFilter.STUCK) == set()

    def alone(c: Connection) -> None:
        for name in ("ann", "ben", "cy", "dan", "eve"):
            judge(c, ids["v2_o0"], ids[name], decision=Decision.REJECT)
        for name in ("ann", "ben", "cy", "dan", "eve"):
            mark_seen(c, ids[name], "v2", 1.0)

    store.write(alone)
    assert found(store, state=StateFilter.STUCK) == {
        "v2_o0",
        "v2_o1",
    }  # the second could be judged, and then not be found


@pytest.mark.parametrize("sort", Sort)
def test_pages_go_on_without_gaps_or_doubles(store: Database, sort: Sort) -> None:
    def work(c: Connection) -> None:
        ids = fill(c, videos=0)
        for v in range(23):
            add_video(c, f"w{v}")
            for n in range(5):
                made = add_item(c, add_masklet(c, f"w{v}", n), f"w{v}", f"w{v}_{n}", priority=(v * n) % 7)
                if n % 2:
                    judge(c, made, ids["ann"])

    store.write(work)
    seen, after, pages = [], "", 0
    while True:
        with store.read() as connection:
            page = item_list.find(connection, Query(sort=sort, after=after), names=False, gold=False, now=0.0)
        assert page["total"] == 115
        assert all(row["judgements"] is None and row["holder"] is None for row in page["items"])
        seen += [row["public_id"] for row in page["items"]]
        pages += 1
        after = page["next"] or ""
        if not after:
            break
    assert len(seen) == len(set(seen)) == 115
    assert pages == 3


@pytest.mark.parametrize("after", ["x", "1", "~", "x~1", "1~x", "1~" + "9" * 30])
def test_a_page_that_is_none_is_refused(store: Database, after: str) -> None:
    with store.read() as connection, pytest.raises(Problem, match="not where a page begins"):
        item_list.find(connection, Query(after=after), names=False, gold=False, now=0.0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = make_site(tmp_path)
    yield site
    site.store.close()


def test_what_each_role_may_look_for(site: Site) -> None:
    def ask(who: str, query: str) -> int:
        return site.client(who).get(f"/api/items?{query}").status_code

    assert [ask("ada", q) for q in ("person=1", "reason=other", "state=gold", "disagreement=any")] == [200] * 4
    assert [ask("rea", q) for q in ("person=1", "reason=other", "state=gold", "disagreement=any")] == [
        403,
        200,
        403,
        200,
    ]
    assert [ask("eve", q) for q in ("person=1", "reason=other", "state=gold", "disagreement=any")] == [403] * 4
    assert [ask("eve", q) for q in ("", "video=v0", "state=stuck", "sort=latest")] == [200] * 4
    assert [ask("ann", q) for q in ("", "video=v0")] == [403] * 2
    wrong = (
        "sort=password_hash",
        "state=x",
        "reason=x",
        "person=0",
        "person=x",
        "pass=x",
        "after=x",
        f"id={'x' * 200}",
    )
    assert [ask("ada", q) for q in wrong] == [422] * len(wrong)
    seen: dict[str, tuple[int, set[str | None]]] = {"ada": (2, {None, "ann"}), "rea": (0, {None}), "eve": (0, set())}
    for who, (gold, holders) in seen.items():
        rows = site.client(who).get("/api/items").json()["items"]
        assert sum(row["state"] == "gold" for row in rows) == gold
        assert {row["holder"] for row in rows} == holders


def test_nothing_in_the_list_tells_where_an_object_is(site: Site) -> None:
    """Two items of one video, with the same text but other objects, look the same but for their ids."""
    rows = site.client("ada").get("/api/items?video=v0").json()["items"]
    assert {*rows[0]} == {
        *("public_id", "number", "video_id", "kind", "state", "withdrawn", "exported", "text", "judgements", "holder")
    }


def test_a_look_warns_who_judges_and_is_kept(site: Site) -> None:
    ada = site.client("ada")
    assert ada.get("/api/items/p_v1_o0/desk").json()["uses_up"] == {"blind": False, "item": False}
    site.store.write(lambda c: judge(c, site.ids["v0_o1"], site.ids["ada"]))  # from now on she is one who judges
    assert ada.get("/api/items/p_v1_o0/desk").json()["uses_up"] == {"blind": True, "item": True}
    site.store.write(lambda c: c.execute(update(item).where(item.c.id == site.ids["v2_o0"]).values(state="dropped")))
    assert site.client("eve").get("/api/items/p_v2_o0/desk").json() == {
        "uses_up": {"blind": True, "item": False},
        "admin": None,
    }
    assert site.client("rea").get("/api/items/p_v1_o0/desk").json()["uses_up"] == {"blind": False, "item": False}
    assert ada.post("/api/items/p_v1_o0/look", json={}).status_code == 204
    assert ada.get("/api/items/p_v1_o0/desk").json()["uses_up"] == {"blind": False, "item": False}
    for who in ("eve", "rea"):
        assert site.client(who).get("/api/items/p_gold_0/desk").status_code == 404


def test_a_step_is_tried_before_it_is_taken(site: Site) -> None:
    ada = site.client("ada")
    mark = ada.get("/api/items/p_v2_o0/desk").json()["admin"]["mark"]
    tried = ada.post("/api/items/p_v2_o0/withdraw", json={"mark": mark, "withdrawn": True, "preview": True}).json()
    assert tried["state"] == "dropped"
    assert ada.get("/api/items/p_v2_o0/desk").json()["admin"]["mark"] == mark
    done = ada.post("/api/items/p_v2_o0/withdraw", json={"mark": mark, "withdrawn": True, "note": "a face"}).json()
    assert done == tried
    assert ada.get("/api/items/p_v2_o0/desk").json()["admin"]["retired"]
    late = ada.post("/api/items/p_v2_o0/reopen", json={"mark": mark, "since": "last"})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "changed")
    log = ada.get("/api/audit?limit=500").json()["rows"]
    assert [row["action"] for row in log if row["subject"] == "item:p_v2_o0"] == ["withdraw"]


def test_adjudicators_cannot_tell_gold_by_what_they_find(site: Site) -> None:
    """They judge in the other passes too: what they were given or may be given there, they find no more than gold."""
    eve = site.client("eve")
    real, gold = "p_v0_o1", "p_gold_0"

    def shown(name: str) -> tuple[Any, ...]:
        paths = (f"/api/items/{name}{path}" for path in ("", "/masks", "/desk", "/history"))
        answers = [eve.get(path) for path in (*paths, f"/api/items?id={name}")]
        return (*(one.status_code for one in answers), answers[3].json(), answers[4].json()["total"])

    nothing: tuple[Any, ...] = (404, 404, 404, 200, 200, {"judgements": []}, 0)
    assert shown(real) == shown(gold) == nothing  # both may come to her

    def skip(c: Connection) -> None:
        for name in (real, gold):
            row = {"person_id": site.ids["eve"], "item_id": site.ids[name[2:]], "reason": "", "at": 1.0}
            c.execute(insert(skipped).values(row))
        judge(c, site.ids["v0_o1"], site.ids["ann"])
        c.execute(update(item).where(item.c.id == site.ids["v0_o1"]).values(state="accepted"))

    site.store.write(skip)
    assert shown(real) == shown(gold) == nothing  # also when others have settled what she skipped
    site.store.write(lambda c: c.execute(delete(skipped)))
    assert shown(real)[:5] == (200,) * 5
    assert shown(real)[-1] == 1
