"""Settings in mid-run: every one has its rule, a preview does nothing, and two admins do not overwrite each other."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tests.running import eventually
from tests.validation_ui.desk import Desk
from tests.validation_ui.rows import SMALL, fill
from tests.validation_ui.site import make_site
from validation_ui import changing
from validation_ui.database import Database
from validation_ui.problem import Problem
from validation_ui.schema import audit, item
from validation_ui.settings import Settings

DEFAULTS = Settings()


def test_every_setting_has_a_rule_that_its_default_keeps() -> None:
    values = asdict(DEFAULTS)
    assert values.keys() == changing.RULES.keys()
    assert not [name for name, rule in changing.RULES.items() if not rule.least <= values[name] <= rule.most]
    assert [name for name, rule in changing.RULES.items() if rule.fixed] == ["rejected_frac", "no_target", "seed"]


@pytest.mark.parametrize(
    ("given", "field", "told"),
    [
        ({"seed": 1}, "seed", "seed stays 0. The seed has chosen the split"),
        ({"long": 1.5}, "long", "long must be a whole number from 0 to 1,000,000."),
        ({"long": True}, "long", "a whole number"),
        ({"long": float("nan")}, "long", "a whole number"),
        ({"long": float("inf")}, "long", "a whole number"),
        ({"overlap_frac": float("nan")}, "overlap_frac", "from 0 to 1, got nan"),
        ({"overlap_frac": 1.1}, "overlap_frac", "from 0 to 1, got 1.1"),
        ({"lease_s": 5}, "lease_s", "from 60 to 86,400, got 5"),
        ({"short_words_min": 30}, "short_words_max", "at least short_words_min=30, got 20"),
        ({"prefetch_lease_s": 901}, "prefetch_lease_s", "at most lease_s=900, got 901"),
        ({"lnog": 3}, "", "not known"),
    ],
)
def test_what_cannot_be_is_told_by_field(given: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(Problem) as caught:
        changing.check(DEFAULTS, given)
    assert caught.value.status == 422
    assert told in caught.value.extra["fields"][field]


def test_a_change_of_quotas_and_overlap_does_what_follows(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=1, settings=replace(SMALL, long=2))))
    for _ in range(2):
        desk.do("ann", "accept", "sighted")
    lower = store.write(lambda c: changing.change(c, {"long": 0, "overlap_frac": 1.0}, actor="cli", now=1.0))
    assert lower.values == {"long": (2, 0), "overlap_frac": (0.0, 1.0)}
    for _ in range(2):
        desk.do("ben", "accept", "blind")
    with store.read() as connection:
        assert connection.execute(select(item.c.state)).scalars().all() == ["surplus"] * 2
    raised = store.write(lambda c: changing.change(c, {"long": 9}, actor="person:1", now=2.0))
    assert "2 items that were accepted beyond the old quotas are in the split now" in raised.notes
    assert raised.raised
    assert not any("cannot be filled" in note for note in raised.notes)  # more candidates are drawn after it
    lowered = store.write(lambda c: changing.change(c, {"long": 1}, actor="person:1", now=3.0))
    assert "the quota short=100 cannot be filled: this run has candidates for 0" in lowered.notes
    assert any("long=1 is below the 2 that were accepted" in note for note in lowered.notes)
    same = store.write(lambda c: changing.change(c, {"long": 1}, actor="person:1", now=3.0))
    assert (same.values, same.notes) == ({}, ["Nothing changes."])
    with store.read() as connection:
        steps = connection.execute(select(audit.c.actor).where(audit.c.action == "settings")).scalars().all()
    assert steps == ["cli", "person:1", "person:1"]


def test_the_page_previews_saves_and_notices_another_admin(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    ada = site.client("ada")
    shown = ada.get("/api/settings").json()
    by_name = {row["name"]: row for row in shown["settings"]}
    assert by_name["seed"]["fixed"]
    assert "this project's candidates can fill 6 at most" in by_name["long"]["fact"]
    headers = {"If-Match": f'"{shown["tag"]}"'}
    body: dict[str, Any] = {"values": {"overlap_frac": 1}, "preview": True}
    for value in (True, "5", None, [5], {"a": 5}):
        refused = ada.put("/api/settings", json={"values": {"long": value}}, headers=headers)
        assert refused.status_code == 422
        assert "long must be a whole number from 0 to 1,000,000." in refused.json()["error"]["message"]
    tried = ada.put("/api/settings", json=body, headers=headers).json()
    assert tried["values"] == {"overlap_frac": [0.0, 1.0]}
    assert tried["notes"][0].endswith("items get a second sighted judgement")
    with site.store.read() as connection:
        assert Settings.load(connection).overlap_frac == 0
        assert connection.execute(select(func.count()).where(item.c.overlap)).scalar_one() == 0
        assert connection.execute(select(func.count()).where(audit.c.action == "settings")).scalar_one() == 0
    assert ada.get("/api/settings").json()["tag"] == shown["tag"]
    saved = ada.put("/api/settings", json=body | {"preview": False}, headers=headers).json()
    assert saved["notes"] == tried["notes"]
    with site.store.read() as connection:
        assert connection.execute(select(func.count()).where(item.c.overlap)).scalar_one() > 0
    late = ada.put("/api/settings", json={"values": {"long": 3}}, headers=headers)
    assert (late.status_code, late.json()["error"]["code"]) == (412, "settings_changed")
    nothing = ada.post("/api/settings/draw", json={})
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (409, "nothing_to_draw")
    now = {"If-Match": f'"{saved["tag"]}"'}
    more = {"values": {"long": 1001}}
    assert ada.put("/api/settings", json=more | {"preview": True}, headers=now).status_code == 200
    assert ada.get("/api/progress").json()["draw"] is None  # it was only tried
    assert ada.put("/api/settings", json=more, headers=now).status_code == 200  # and there is no run to draw from
    eventually(lambda: ada.get("/api/settings").json()["draw"] == {"running": False, "fault": ""})
    assert ada.get("/api/progress").json()["draw"] == {"running": False, "fault": ""}
    assert ada.post("/api/settings/draw", json={}).status_code == 204
    site.store.close()


def test_a_stricter_gate_names_who_falls_below_it(store: Database) -> None:
    settings = replace(SMALL, gold_frac=1.0, gold_right_frac=0.5, gold_window=10)
    desk = Desk(store, store.write(lambda c: fill(c, objects=1, gold=10, settings=settings)))
    store.write(lambda c: c.execute(update(item).where(item.c.gold == "swapped").values(gold="good")).rowcount)
    desk.do("ann", "accept", "sighted")  # a real one comes first
    for k in range(10):
        slot_id = desk.claim("ann", "sighted")
        assert desk.row(slot_id).gold
        desk.judge("ann", slot_id, "reject" if k < 4 else "accept")
    told = store.write(lambda c: changing.change(c, {"gold_right_frac": 0.9}, actor="cli", now=1.0)).notes
    assert told == ["below the gate are ann: they are stopped with their next item"]
