"""What counts as a hit in the blind pass."""

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from pydantic import ValidationError
from sqlalchemy import select, update

from tests.validation_ui.conftest import Clock
from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import ANNOTATED, HEIGHT_PX, WIDTH_PX, add_item, add_masklet, add_video, bar, fill
from validation_ui import stored_masks
from validation_ui.database import Database
from validation_ui.judging import item_views, leases, pointing
from validation_ui.problem import Problem
from validation_ui.schema import judgement, video
from validation_ui.schema import pointing as pointings

# Object 0 is a bar at x = 5 … 15 px; NEST is a bigger one that has it inside.
ON_0 = [{"frame": 0, "x": 10 / 160, "y": 0.5}, {"frame": 24, "x": 16 / 160, "y": 0.5}]
ON_1 = [{"frame": 0, "x": 30 / 160, "y": 0.5}, {"frame": 24, "x": 36 / 160, "y": 0.5}]
NOWHERE = [{"frame": 0, "x": 1.0, "y": 1.0}, {"frame": 24, "x": 1.0, "y": 1.0}]


def encode(mask_HW: np.ndarray) -> str:
    return str(coco.encode(np.asfortranarray(mask_HW))["counts"], "ascii")


def nest() -> list[str | None]:
    mask = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    mask[10:80, 0:28] = 1
    return [encode(mask)] * ANNOTATED


class Blind(Desk):
    """Ben before the blind item of object 0."""

    def __init__(self, store: Database, **kwargs: Any) -> None:
        super().__init__(store, store.write(lambda c: fill(c, videos=1, objects=2)))
        if kwargs.get("nested"):
            store.write(lambda c: add_masklet(c, "v0", 7, nest()))
        self.do("ann", "accept", "sighted")
        self.slot_id = self.claim("ben", "blind")

    def answer(self, **body: Any) -> dict[str, Any]:
        said = pointing.PointAnswer.model_validate({"answer": "pointed"} | body)
        ben = self.ids["ben"]
        with self.store.read() as connection:
            found = pointing.find(connection, ben, self.slot_id, said)
        self.store.write(
            lambda c: pointing.record(
                c, person_id=ben, slot_id=self.slot_id, answer=said, result=found, now=self.store.now()
            )
        )
        return self.view()

    def choose(self, choice: int) -> dict[str, Any]:
        self.store.write(
            lambda c: pointing.choose(
                c, person_id=self.ids["ben"], slot_id=self.slot_id, choice=choice, now=self.store.now()
            )
        )
        return self.view()

    def view(self) -> dict[str, Any]:
        with self.store.read() as connection:
            view = pointing.view(connection, self.ids["ben"], self.slot_id)
        assert view is not None
        return view

    def kept(self) -> Any:
        with self.store.read() as connection:
            return connection.execute(select(pointings)).one()


@pytest.mark.parametrize(
    ("body", "hit"),
    [
        ({"points": ON_0}, True),
        ({"points": ON_1}, False),
        ({"points": [ON_0[0], ON_1[1]]}, False),
        ({"points": NOWHERE}, False),
        ({"answer": "ambiguous", "candidates": 3}, False),
        ({"answer": "ambiguous"}, False),
        ({"answer": "absent"}, False),
        ({"points": ON_0[:1], "brief": True}, False),  # it is visible for longer than a second
    ],
)
def test_hit_or_miss(store: Database, clock: Clock, body: dict[str, Any], hit: bool) -> None:
    blind = Blind(store)
    clock.now += 9
    view = blind.answer(**body)
    assert view == {
        "answer": body.get("answer", "pointed"),
        "needs_extent": False,
        "outlines": [],
        "revealed": True,
        "waits": False,
        "hit": hit,
    }
    kept = blind.kept()
    assert (kept.answer_s, kept.candidates) == (9, body.get("candidates"))
    assert kept.chance_frac == pytest.approx(600 / (90 * 160) if "points" in body else 0)


def test_one_point_is_enough_for_what_is_brief(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=0)))

    def add(connection: Any) -> None:
        add_video(connection, "v")
        masklet_id = add_masklet(connection, "v", 0, bar(0, visible=range(5)))  # 5 of 6 a second
        add_item(connection, masklet_id, "v", "brief")

    store.write(add)
    desk.do("ann", "accept")
    slot_id = desk.claim("ben", "blind")
    said = pointing.PointAnswer.model_validate({"answer": "pointed", "points": ON_0[:1], "brief": True})
    with store.read() as connection:
        assert pointing.find(connection, desk.ids["ben"], slot_id, said).hit is True


def test_nested_masks_are_told_apart_by_their_outlines(store: Database) -> None:
    blind = Blind(store, nested=True)
    view = blind.answer(points=ON_0)
    assert (view["needs_extent"], view["revealed"], view["hit"]) == (True, False, None)
    assert [outline["choice"] for outline in view["outlines"]] == [0, 1]
    assert [outline["counts"] for outline in view["outlines"]] == [bar(0)[0], nest()[0]]  # the smaller first
    assert {(outline["frame"], tuple(outline["size"])) for outline in view["outlines"]} == {(0, (90, 160))}
    with pytest.raises(Problem, match="no outline 2"):
        blind.choose(2)
    with pytest.raises(Problem) as early:
        blind.judge("ben", blind.slot_id)
    assert early.value.status == 422
    assert blind.choose(0)["hit"] is True
    assert blind.choose(0)["hit"] is True
    with pytest.raises(Problem, match="chose already"):
        blind.choose(1)


def test_the_wrong_extent_is_a_miss(store: Database) -> None:
    blind = Blind(store, nested=True)
    blind.answer(points=ON_0)
    view = blind.choose(1)
    assert (view["hit"], view["revealed"], view["outlines"]) == (False, True, [])


def test_an_answer_is_given_once(store: Database) -> None:
    blind = Blind(store)
    first = blind.answer(points=ON_1)
    assert blind.answer(points=ON_1) == first
    with pytest.raises(Problem, match="first answer counts"):
        blind.answer(points=ON_0)
    assert blind.kept().hit is False


@pytest.mark.parametrize(
    ("frames", "message"),
    [((0, 22), "annotated"), ((0, 20), r"1 s apart; these are 0.83 s"), ((24, 48), "got frame 48")],
)
def test_points_are_in_annotated_frames_and_apart(store: Database, frames: tuple[int, int], message: str) -> None:
    blind = Blind(store)
    with pytest.raises(Problem, match=message) as refused:
        blind.answer(points=[{"frame": frame, "x": 0.1, "y": 0.5} for frame in frames])
    assert (refused.value.status, list(refused.value.extra["fields"])) == (422, ["points"])


def test_seconds_between_points_are_the_videos_own(store: Database) -> None:
    """Eight frames a second at first, then 240."""
    blind = Blind(store)
    times_s = [k / 8 if k < 8 else 1 + (k - 8) / 240 for k in range(48)]
    store.write(lambda connection: connection.execute(update(video).values(pts_s=times_s)))
    with pytest.raises(Problem, match=r"1 s apart; these are 0\.13 s"):
        blind.answer(points=[{"frame": frame, "x": 0.1, "y": 0.5} for frame in (8, 40)])
    assert blind.answer(points=[ON_0[0], {"frame": 8, "x": 12 / 160, "y": 0.5}])["hit"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"points": ON_0[:1]},
        {"points": ON_0, "brief": True},
        {"answer": "absent", "points": ON_0},
        {"answer": "absent", "candidates": 2},
        {"points": [ON_0[0], {"frame": 24, "x": 1.1, "y": 0}]},
        {"points": [ON_0[0], {"frame": 24, "x": float("nan"), "y": 0}]},
        {"answer": "ambiguous", "candidates": 1},
        {"answer": "maybe"},
    ],
)
def test_answers_hang_together(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        pointing.PointAnswer.model_validate({"answer": "pointed"} | body)


def test_a_small_object_is_hit_by_a_point_near_it() -> None:
    size = (300, 400)  # 1% of the diagonal is 5 px, 1% of the area 1,200 px
    small, big = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    small[100:110, 200:210] = 1
    big[100:140, 200:240] = 1

    def is_hit(mask_HW: np.ndarray, row: int, column: int) -> bool:
        return stored_masks.contains(encode(mask_HW), size, (column + 0.5) / 400, (row + 0.5) / 300)

    assert is_hit(small, 105, 205)
    assert is_hit(small, 105, 195)
    assert is_hit(small, 114, 205)
    assert not is_hit(small, 105, 194)
    assert not is_hit(small, 115, 205)
    assert is_hit(big, 139, 239)
    assert not is_hit(big, 140, 239)
    assert not is_hit(big, 100, 199)
    assert stored_masks.contains(encode(np.ones(size, np.uint8)), size, 1.0, 1.0)
    assert not stored_masks.contains(None, size, 0.5, 0.5)
    assert not is_hit(np.zeros(size, np.uint8), 5, 5)


def test_nothing_of_a_video_is_shown_before_all_its_blind_items_are_answered(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=3)))
    for _ in range(3):
        desk.do("ann", "accept", "sighted")  # the rest of the video comes to the same person
    first = desk.claim("ben")
    assert desk.why("cy", "blind")  # all three are ben's
    desk.point("ben", first)
    with store.read() as connection:
        view = pointing.view(connection, desk.ids["ben"], first)
    assert view is not None
    assert (view["waits"], view["revealed"], view["hit"], view["outlines"]) == (True, False, None, [])
    assert not has_seen(desk, "ben", "v0")
    second = desk.claim("ben")
    assert second != first
    desk.point("ben", second, hit=False)
    desk.skip("ben", third := desk.claim("ben"))
    assert third not in (first, second)
    shown = {desk.claim("ben")}
    assert has_seen(desk, "ben", "v0")
    desk.judge("ben", next(iter(shown)))
    shown.add(desk.claim("ben"))
    assert shown == {first, second}


def test_an_item_of_the_video_that_was_let_go_comes_back_before_the_reveal(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=2)))
    for _ in range(2):
        desk.do("ann", "accept", "sighted")
    desk.point("ben", first := desk.claim("ben", "blind"))
    desk.release("ben", second := desk.claim("ben", "blind"))
    assert second != first
    assert desk.claim("ben", "blind") == second  # leased again by this claim, as all that ben holds is answered
    assert not has_seen(desk, "ben", "v0")


def test_a_skip_after_the_reveal_counts_as_the_answer(store: Database) -> None:
    blind = Blind(store)
    blind.answer(points=ON_1)
    blind.skip("ben", blind.slot_id)
    with store.read() as connection:
        said = connection.execute(select(judgement).where(judgement.c.kind == "blind")).one()
    assert (said.decision, said.pointing_id) == ("flag", blind.kept().id)
    assert blind.item(said.item_id).state == "adjudicate"
    assert blind.why("cy", "blind")


def test_what_comes_to_the_blind_pass_meanwhile_is_answered_too(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=1, objects=2)))
    desk.do("ann", "accept", "sighted")
    first = desk.claim("ben", "blind")
    desk.do("ann", "accept", "sighted")
    desk.point("ben", first)
    second = desk.claim("ben")
    assert desk.row(second).public_id == "p_v0_o1"
    assert not has_seen(desk, "ben", "v0")
    desk.point("ben", second)
    assert has_seen(desk, "ben", "v0")


def has_seen(desk: Desk, who: str, video_id: str) -> bool:
    with desk.store.read() as connection:
        return leases.has_seen(connection, desk.ids[who], video_id)


def flagged(desk: Blind) -> Any:
    with desk.store.read() as connection:
        return connection.execute(select(judgement).where(judgement.c.decision == "flag")).all()


@pytest.mark.parametrize("leaves", ["lease", "page"])
def test_who_leaves_after_the_reveal_has_answered(store: Database, clock: Clock, leaves: str) -> None:
    desk = Blind(store)
    desk.answer(points=NOWHERE)
    store.write(
        lambda c: leases.save_draft(
            c, person_id=desk.ids["ben"], slot_id=desk.slot_id, body={"note": "mine"}, version=0, now=clock.now
        )
    )
    if leaves == "page":
        desk.release("ben", desk.slot_id)
        assert desk.ask("cy", "blind").slot_id is None  # it may be a reload
        assert desk.claim("ben", "blind") == desk.slot_id
        desk.release("ben", desk.slot_id)
    clock.now += 10_000
    assert desk.ask("cy", "blind").slot_id is None  # nobody else is asked in place of ben
    [row] = flagged(desk)
    assert (row.person_id, row.pointing_id, desk.item(row.item_id).state) == (desk.ids["ben"], 1, "adjudicate")
    with pytest.raises(Problem) as lost:
        desk.judge("ben", desk.slot_id)
    assert lost.value.code == "lease_lost"
    _, again = desk.undo("ben")
    assert again == desk.slot_id
    with store.read() as connection:
        kept = item_views.slot_view(connection, desk.ids["ben"], desk.slot_id, clock.now)
    assert kept is not None
    assert kept["draft"]["body"] == {"note": "mine"}
    desk.judge("ben", desk.slot_id, "reject")
    check(store)


def test_who_comes_back_late_before_anybody_else_goes_on(store: Database, clock: Clock) -> None:
    desk = Blind(store)
    desk.answer(points=ON_0)
    clock.now += 10_000
    assert desk.claim("ben", "blind") == desk.slot_id
    desk.judge("ben", desk.slot_id)
    assert not flagged(desk)
    check(store)


def test_no_verdict_before_the_reveal(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=1, objects=2)))
    desk.do("ann", "accept", "sighted")
    desk.do("ann", "accept", "sighted")
    first = desk.claim("ben", "blind")
    desk.point("ben", first)
    with pytest.raises(Problem) as early:
        desk.judge("ben", first)
    assert list(early.value.extra["fields"]) == ["pointing"]
    second = desk.claim("ben", "blind")
    desk.point("ben", second)
    desk.judge("ben", first)
    check(store)
