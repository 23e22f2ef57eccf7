"""What is mixed in unmarked, rejected texts and texts without a target: nobody can tell it, and no quota counts it."""

import json
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Connection, func, select

from manifests.io import Folder
from pipeline.verification.run_texts import FACTS, KEPT, RunText
from pipeline.verification.verdicts import read_verdicts
from tests.validation_ui.conftest import SETTINGS, Clock
from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import SMALL, add_item, add_masklet, add_person, add_video, add_waiting, fill
from validation_ui.database import Database
from validation_ui.exporting.benchmark import read_chosen
from validation_ui.exporting.judgements import judgements_table, pseudonyms
from validation_ui.importing import import_run, mixed_in, sample
from validation_ui.importing.candidates import Candidate, Run, read_run
from validation_ui.importing.mixed_in import MixedIn
from validation_ui.importing.rows import Plan, _lacking, insert_items
from validation_ui.importing.sample import Drawn
from validation_ui.importing.strata import FACETS
from validation_ui.judging import interventions, item_views, pointing
from validation_ui.judging.lengths import length_level
from validation_ui.schema import Source, item, masklet, meta, slot
from validation_ui.settings import PARTS, Settings
from validation_ui.statistics.agreement import agreement, no_target_answers
from validation_ui.statistics.progress import progress, reviewers

NOTHING = "the bar that is not there"


def project(store: Database, settings: Settings = SMALL, **kwargs: Any) -> Desk:
    """Two videos of two objects; v0 has a third object with a rejected text, and a text without a target."""

    def work(c: Connection) -> dict[str, int]:
        ids = fill(c, videos=2, objects=2, settings=settings, **kwargs)
        at = add_masklet(c, "v0", 2)
        ids["rejected"] = add_item(c, at, "v0", "rejected", priority=1, source=Source.REJECTED)
        ids["absent"] = add_waiting(c, ids["v0_o0"], "absent", NOTHING)
        return ids

    return Desk(store, store.write(work))


def sighted(desk: Desk, who: str = "ann") -> None:
    while desk.ask(who, "sighted").slot_id is not None:
        desk.do(who, "accept", "sighted")


def blind(desk: Desk, who: str, answer: Callable[[Any], str], decision: Callable[[Any], str]) -> None:
    """All of the blind pass: point at everything, then judge everything."""
    while (slot_id := desk.ask(who, "blind").slot_id) is not None:
        about = desk.item(desk.row(slot_id).item_id)
        if not is_answered(desk, who, slot_id):
            desk.point(who, slot_id, answer(about))
        if desk.find(who, slot_id):
            desk.judge(who, slot_id, decision(about))


def is_answered(desk: Desk, who: str, slot_id: int) -> bool:
    with desk.store.read() as connection:
        return pointing.view(connection, desk.ids[who], slot_id) is not None


def absent_if_nothing(about: Any) -> str:
    return "absent" if about.source == "no_target" else "pointed"


def reject_if_nothing(about: Any) -> str:
    return "reject" if about.source == "no_target" else "accept"


def test_both_are_judged_to_their_end_and_count_for_nothing(store: Database) -> None:
    desk = project(store)
    sighted(desk)
    blind(desk, "ben", absent_if_nothing, reject_if_nothing)
    check(store)
    assert {desk.item(desk.ids[name]).state for name in ("rejected", "absent", "v0_o0")} == {"accepted"}
    with store.read() as connection:
        told, figures = progress(connection, 0.0), agreement(connection)
        assert [told.quotas[name].accepted for name in ("videos", "long", "short")] == [2, 4, 0]
        assert told.states is not None
        assert sum(told.states["long"].values()) == 4
        assert sum(told.states["short"].values()) == 0
        assert figures.blind.hit.n == 4
        assert {name for values in figures.strata.values() for name in values} >= {"long"}
        assert sum(stratum.items for stratum in figures.strata["kind"].values()) == 4
        by_name = {who.name: who for who in reviewers(connection)}
        assert (by_name["ann"].judged, by_name["ann"].work.judged) == (4, 5)
        assert (by_name["ben"].blind_hit.hits, by_name["ben"].blind_hit.n, by_name["ben"].work.judged) == (4, 4, 6)
        assert by_name["ben"].final_accepts == 4
        names = {one.item_id for one in read_chosen(connection)}
        assert names == {desk.ids[f"v{v}_o{n}"] for v in (0, 1) for n in (0, 1)}
        with_absent = [one for one in read_chosen(connection, no_target=True) if one.item_id not in names]
        assert [(one.text, one.no_target, one.blind_hits) for one in with_absent] == [(NOTHING, True, 1)]
        assert no_target_answers(connection).absent.hits == 1


def test_a_quota_is_not_filled_by_what_was_mixed_in(store: Database) -> None:
    desk = project(store, replace(SMALL, long=2, per_video=1, videos=2))
    rejected = desk.ids["rejected"]
    while desk.item(rejected).state != "blind":
        desk.do("ann", "accept", "sighted")
    sighted(desk)
    blind(desk, "ben", absent_if_nothing, reject_if_nothing)
    check(store)
    with store.read() as connection:
        assert progress(connection, 0.0).quotas["long"].accepted == 2
    states = Counter(desk.item(desk.ids[name]).state for name in ("v0_o0", "v0_o1", "v1_o0", "v1_o1"))
    assert states == {"accepted": 2, "surplus": 2}
    assert desk.item(rejected).state == "accepted"  # of no object of the split, so never surplus


@pytest.mark.parametrize(
    ("answer", "decision", "state"),
    [
        ("absent", "reject", "accepted"),
        ("absent", "flag", "accepted"),
        ("absent", "edit", "accepted"),
        ("absent", "accept", "dropped"),  # after the reveal they find that the text fits
        ("ambiguous", "reject", "dropped"),
        ("pointed", "accept", "dropped"),
    ],
)
def test_absent_is_right_where_nothing_fits(store: Database, answer: str, decision: str, state: str) -> None:
    desk = project(store)
    sighted(desk)
    blind(
        desk,
        "ben",
        lambda about: answer if about.source == "no_target" else "pointed",
        lambda about: decision if about.source == "no_target" else "accept",
    )
    about = desk.item(desk.ids["absent"])
    assert about.state == state
    with store.read() as connection:
        told = no_target_answers(connection)
        assert connection.execute(select(slot.c.state).where(slot.c.item_id == about.id)).scalars().all() == ["done"]
    assert (told.absent.hits, told.absent.n) == (answer == "absent", 1)
    assert (told.ambiguous, told.pointed) == (answer == "ambiguous", answer == "pointed")
    assert not [one for one in _chosen(store, no_target=True) if one.no_target] or state == "accepted"
    check(store)
    if decision != "edit":
        desk.undo("ben")  # an undo is like that of any item
    check(store)


def _chosen(store: Database, *, no_target: bool) -> list[Any]:
    with store.read() as connection:
        return list(read_chosen(connection, no_target=no_target))


def test_a_text_without_a_target_waits_for_the_text_of_its_object(store: Database) -> None:
    desk = project(store)
    assert desk.why("ben", "blind")["code"] == "all_done"
    slot_id = desk.claim("ann", "sighted")
    assert desk.row(slot_id).item_id == desk.ids["v0_o0"]
    desk.judge("ann", slot_id, "reject")
    check(store)
    with store.read() as connection:
        theirs = select(func.count()).where(slot.c.item_id == desk.ids["absent"])
        assert connection.execute(theirs).scalar_one() == 0, "nobody is used up for it alone"


@pytest.mark.parametrize("back", ["before", "after"])
def test_what_waits_can_be_withdrawn_and_put_back(store: Database, back: str) -> None:
    """Before its object's text comes to the blind pass, or after that; and nobody is asked about it meanwhile."""
    desk = project(store)

    def withdraw(withdrawn: bool) -> str:
        def work(c: Connection) -> str:
            row = interventions.find(c, "p_absent")
            seen_mark = interventions.mark(c, row)
            by = desk.ids["eve"]
            return interventions.withdraw(
                c, public_id="p_absent", withdrawn=withdrawn, seen_mark=seen_mark, by=by, note="", now=1.0
            ).state

        return store.write(work)

    assert withdraw(True) == "dropped"
    check(store)
    if back == "before":
        assert withdraw(False) == "blind"
        check(store)
    sighted(desk)
    check(store)
    if back == "after":
        assert withdraw(False) == "blind"
        check(store)
    blind(desk, "ben", absent_if_nothing, reject_if_nothing)
    check(store)
    assert desk.item(desk.ids["absent"]).state == "accepted"


def shape(value: Any) -> Any:
    """A view without what differs between any two items: keys, kinds of values, lengths of names."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return (type(value).__name__, value if isinstance(value, bool | None) else None)


def test_what_a_person_gets_is_the_same_in_every_field(store: Database) -> None:
    """Of each pass and step: the view before and after the answer, with versions, and the order of the slots' ids."""
    desk = project(store)
    asked = item.c.id == desk.ids["v0_o1"]
    store.write(lambda c: c.execute(item.update().where(asked).values(wants_short=True)).rowcount)
    views: dict[str, list[Any]] = {}
    ids: dict[str, int] = {}

    def note(who: str, slot_id: int, step: str) -> None:
        with store.read() as connection:
            view = item_views.slot_view(connection, desk.ids[who], slot_id, 0.0)
        assert view is not None
        about = desk.item(desk.row(slot_id).item_id)
        exact = view["slot"]["version"], view["item"]["version"], view["slot"]["kind"], view["masks"] is None
        views.setdefault(f"{step} {about.kind}", []).append((about.source, shape(view), exact, view["pointing"]))

    while (slot_id := desk.ask("ann", "sighted").slot_id) is not None:
        if desk.row(slot_id).item_id == desk.ids["v0_o1"]:
            desk.judge("ann", slot_id, "accept", short="the bar further right")
        else:
            note("ann", slot_id, "sighted")
            desk.judge("ann", slot_id, "accept")
    while (slot_id := desk.ask("ben", "blind").slot_id) is not None:
        row = desk.row(slot_id)
        ids[row.public_id] = slot_id
        if not is_answered(desk, "ben", slot_id):
            note("ben", slot_id, "before")
            desk.point("ben", slot_id, "absent")
        if desk.find("ben", slot_id):
            note("ben", slot_id, "revealed")
            desk.judge("ben", slot_id, "reject")
    assert {step: {source for source, *_ in rows} for step, rows in views.items()} == {
        "sighted long": {"kept", "rejected"},
        "before long": {"kept", "rejected"},
        "before short": {"kept", "no_target"},
        "revealed long": {"kept", "rejected"},
        "revealed short": {"kept", "no_target"},
    }
    for step, rows in views.items():
        assert all(row[1:3] == rows[0][1:3] for row in rows), step
        assert all((row[3] or {}).get("hit") in (None, False) for row in rows), "absent is shown as a miss to everybody"
    assert ids["p_absent"] == ids["p_v0_o0"] - 1, "where the short text of an object has its slot"


def candidate(video: int, n: int, short: str | None = None) -> Candidate:
    parts = {part: f"The {part} text of v{video}_o{n}." for part in PARTS["long"]}
    strata = dict.fromkeys(FACETS, "medium")
    return Candidate(f"v{video}/manual/{n}", f"v{video}", parts, strata, clean=True, alike=(), short=short)


def test_the_import_writes_them_like_the_others(store: Database) -> None:
    """Ids, versions, slots and columns: whatever is equal among the kept ones is the same for those mixed in."""
    drawn = [
        Drawn(candidate(v, n), v + 4 * n, overlap=False, blind_overlap=False, wants_short=False)
        for v in range(4)
        for n in (0, 1)
    ]
    strata = candidate(0, 0).strata | {"length": length_level("short", {"short": NOTHING})}
    nothing = replace(candidate(0, 0), parts={"short": NOTHING}, strata=strata)
    mixed = [
        *(MixedIn(candidate(v, 2), "check_facts", "long", Source.REJECTED, priority=v + 4 * (v % 2)) for v in range(4)),
        MixedIn(nothing, "", "short", Source.NO_TARGET),
        MixedIn(
            replace(nothing, parts={"short": "the bar that is right here"}), "verify_short", "short", Source.REJECTED
        ),
    ]

    def work(c: Connection) -> None:
        SMALL.save(c)
        plan = Plan(frozenset(f"v{v}" for v in range(4)), drawn, (), mixed)
        for v in range(4):
            add_video(c, f"v{v}")
            for n in range(3):
                add_masklet(c, f"v{v}", n)
            insert_items(c, plan, f"v{v}", 1.0)

    store.write(work)
    with store.read() as connection:
        rows = connection.execute(select(item).order_by(item.c.id)).all()
        slots = {row.item_id: row for row in connection.execute(select(slot))}
    long = [row for row in rows if row.kind == "long"]
    assert Counter(row.source for row in rows) == {"kept": 8, "rejected": 5, "no_target": 1}
    own = {"id", "public_id", "masklet_id", "video_id", "priority", "source", "text_id"}
    fields = [{name: value for name, value in row._mapping.items() if name not in own} for row in long]
    assert all(one == fields[0] for one in fields)
    assert {len(row.public_id) for row in long} == {24}
    assert {len(row.public_id) for row in rows if row.kind == "short"} == {len(secrets.token_urlsafe(9))}
    theirs = [
        {n: v for n, v in slots[row.id]._mapping.items() if n not in ("id", "item_id", "priority")} for row in long
    ]
    assert all(one == theirs[0] for one in theirs)
    assert {row.priority for row in long if row.source == "rejected"} <= {
        row.priority for row in long if row.source == "kept"
    }
    places = {
        [row.id for row in long if row.video_id == f"v{v}"].index(
            next(row.id for row in long if row.source == "rejected" and row.video_id == f"v{v}")
        )
        for v in range(4)
    }
    assert len(places) > 1, "not always the last of its video"
    assert {row.state for row in rows if row.kind == "short"} == {"blind"}
    assert not {row.id for row in rows if row.kind == "short"} & set(slots)
    names = [one.candidate for one in drawn]
    spread = {one.candidate.object_id for one in sample.draw(names, replace(SMALL, overlap_frac=0.5)) if one.overlap}
    store.write(lambda c: sample.set_overlap(c, 0.5, now=1.0))
    with store.read() as connection:
        twice = select(masklet.c.object_id).join_from(item, masklet).where(item.c.overlap)
        assert set(connection.execute(twice).scalars()) == spread, "as if nothing had been mixed in"
    store.write(lambda c: sample.set_overlap(c, 0.0, now=1.0))
    desk = Desk(store, store.write(lambda c: {name: add_person(c, name) for name in ("ann", "ben")}))
    sighted(desk)
    check(store)
    with store.read() as connection:
        blind_slots = connection.execute(
            select(item.c.kind, slot.c.version).join(slot, slot.c.item_id == item.c.id).where(slot.c.kind == "blind")
        ).all()
    assert Counter(row.kind for row in blind_slots) == {"long": 12, "short": 2}
    assert {row.version for row in blind_slots} == {1}


ON = replace(SETTINGS, rejected_frac=0.5, no_target=4, pass_frac=0.5)


def drawn_of(run: Run, settings: Settings) -> list[Drawn]:
    videos = set(sample.split(run.candidates, settings)[0])
    return sample.draw([one for one in run.candidates if one.video_id in videos], settings)


def test_what_is_mixed_in_follows_from_the_seed_and_is_of_drawn_videos(demo_run: Path) -> None:
    out = Folder(str(demo_run))
    run = read_run(out)
    drawn = drawn_of(run, ON)
    assert mixed_in.choose(out, run, drawn, SETTINGS) == [], "off by default"
    chosen = mixed_in.choose(out, run, drawn, ON)
    assert mixed_in.choose(out, run, drawn, ON) == chosen
    by_source = Counter((one.kind, one.source) for one in chosen)
    assert by_source["short", Source.NO_TARGET] == 8  # half of them come to the blind pass
    assert by_source["long", Source.REJECTED] >= 1
    kept = {one.object_id for one in run.candidates}
    videos = {one.candidate.video_id for one in drawn}
    for one in chosen:
        assert one.candidate.video_id in videos
        assert (one.candidate.object_id in kept) == (one.kind == "short")
        assert set(one.candidate.strata) == set(FACETS)
    texts = {negative["text"] for made in json.loads(out.read_bytes("negatives.json")).values() for negative in made}
    assert {one.candidate.parts["short"] for one in chosen if one.source == Source.NO_TARGET} <= texts
    other = mixed_in.choose(out, run, drawn_of(run, replace(ON, seed=3)), replace(ON, seed=3))
    assert [one.candidate for one in other] != [one.candidate for one in chosen]


def test_short_ones_come_by_turns_of_videos_and_first_of_objects_that_get_no_other(demo_run: Path) -> None:
    out = Folder(str(demo_run))
    run = read_run(out)
    settings = replace(ON, short=4, no_target=100)
    chosen = [one for one in mixed_in.choose(out, run, drawn_of(run, settings), settings) if one.source == "no_target"]
    by_video: dict[str, list[bool]] = {}
    for one in chosen:
        by_video.setdefault(one.candidate.video_id, []).append(one.is_second)
    assert {True, False} <= {second for seconds in by_video.values() for second in seconds}
    assert all(seconds == sorted(seconds) for seconds in by_video.values())
    first = [one.candidate.video_id for one in chosen[: len(by_video)]]
    assert len(set(first)) == len(by_video)


@pytest.mark.parametrize("content", [None, "{", '{"v": [{"text": 3}]}', '{"v": [{}]}', "[]"])
def test_negatives_that_cannot_be_read_are_told_before_anything_is_written(
    demo_run: Path, tmp_path: Path, content: str | None, clock: Clock
) -> None:
    (tmp_path / "annotations").symlink_to(demo_run / "annotations")
    if content is not None:
        (tmp_path / "negatives.json").write_text(content)
    store = Database(f"sqlite:///{tmp_path}/v.sqlite3", now=clock)
    store.create()
    with pytest.raises(ValueError, match=r"read from .*negatives.json, which `make annotate` writes"):
        import_run(Folder(str(tmp_path)), tmp_path, tmp_path, store, replace(SETTINGS, no_target=1), workers=1)
    with store.read() as connection:
        assert connection.execute(select(meta.c.key)).first() is None
    store.close()


def test_calibrate_reads_what_people_said(store: Database, tmp_path: Path) -> None:
    """By way of the exported table: right, wrong, of a rejected text, and of texts that nobody judged."""
    desk = project(store)
    edited = desk.ids["v0_o1"]
    while (slot_id := desk.ask("ann", "sighted").slot_id) is not None:
        desk.judge("ann", slot_id, "edit" if desk.row(slot_id).item_id == edited else "accept")
    blind(
        desk,
        "ben",
        absent_if_nothing,
        lambda about: "reject" if about.source == "no_target" or about.id == desk.ids["v1_o1"] else "accept",
    )
    desk.do("eve", "reject", "adjudicate")
    with store.read() as connection:
        pq.write_table(judgements_table(connection, pseudonyms(connection)), tmp_path / "judgements.parquet")
    names = {"v0_o0": KEPT, "v0_o1": KEPT, "v1_o0": KEPT, "v1_o1": KEPT, "rejected": FACTS, "v9_o9": KEPT}
    places = {"rejected": "v0/manual/2"}
    texts = [
        RunText(
            places.get(name, f"{name[:2]}/manual/{name[-1]}"),
            name[:2],
            "long",
            " ".join(f"The {part} text of {name}." for part in PARTS["long"]),
            end,
            {FACTS: end == KEPT},
        )
        for name, end in names.items()
    ]
    verdicts = read_verdicts(tmp_path, texts)
    assert dict(zip(names, verdicts.of(texts), strict=True)) == {
        "v0_o0": True,
        "v0_o1": False,
        "v1_o0": True,
        "v1_o1": False,
        "rejected": True,
        "v9_o9": None,
    }
    with pytest.raises(ValueError, match="verdicts must be of texts of the run, got 5 on other texts"):
        verdicts.of(texts[-1:])


def test_the_import_tells_what_is_not_there_to_be_mixed_in() -> None:
    drawn = [Drawn(candidate(0, n), n, overlap=False, blind_overlap=False, wants_short=False) for n in range(4)]
    plan = Plan(frozenset(["v0"]), drawn, ())
    asked = replace(SMALL, rejected_frac=0.5, no_target=3, pass_frac=0.5)
    assert list(_lacking(plan, asked, {Source.REJECTED: 2, Source.NO_TARGET: 6})) == []
    assert list(_lacking(plan, asked, {Source.REJECTED: 0, Source.NO_TARGET: 1})) == [
        "2 texts that a gate rejected should be mixed in, the run has 0 in the videos to be judged",
        "6 texts that fit nothing should be mixed in, the run has 1 in the videos to be judged",
    ]
    assert list(_lacking(plan, SMALL, {Source.REJECTED: 0, Source.NO_TARGET: 0})) == []
