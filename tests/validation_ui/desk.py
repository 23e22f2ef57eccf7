"""People at work in a test: claim, point, judge, undo, straight on the database, and what must hold afterwards."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, func, select

from validation_ui import audit
from validation_ui.database import Database
from validation_ui.judging import leases, pointing, queue, submission, undoing
from validation_ui.judging.items import _facts, _hashes, _judgements, count_accepted
from validation_ui.judging.lengths import length_level
from validation_ui.judging.protocol import derive
from validation_ui.judging.verdict import Verdict
from validation_ui.schema import (
    Role,
    SlotKind,
    audit_head,
    item,
    judgement,
    masklet,
    person,
    seen,
    skipped,
    slot,
    text_version,
)
from validation_ui.schema import pointing as pointings
from validation_ui.settings import PARTS, Settings
from validation_ui.web import review
from validation_ui.web.item_routes import tried

_KEYS = itertools.count()


class Desk:
    """What people do, by their names in `ids`, at the store's time."""

    def __init__(self, store: Database, ids: dict[str, int]) -> None:
        self.store, self.ids = store, ids

    def claim(self, who: str, *kinds: str, prefetch: bool = False) -> int:
        """The id of the slot that they are given, and there must be one."""
        result = self.ask(who, *kinds, prefetch=prefetch)
        assert result.slot_id is not None, result.why
        return result.slot_id

    def why(self, who: str, *kinds: str) -> dict[str, Any]:
        """Why there is nothing for them, which must be so."""
        result = self.ask(who, *kinds)
        assert result.slot_id is None
        assert result.why is not None
        return result.why

    def ask(self, who: str, *kinds: str, prefetch: bool = False) -> queue.ClaimResult:
        wanted = [SlotKind(kind) for kind in kinds] or list(SlotKind)

        def work(connection: Connection) -> queue.ClaimResult:
            role = connection.execute(select(person.c.role).where(person.c.id == self.ids[who])).scalar_one()
            return queue.claim(
                connection,
                person_id=self.ids[who],
                role=Role(role),
                kinds=wanted,
                now=self.store.now(),
                prefetch=prefetch,
            )

        return self.store.write(work)

    def heartbeat(self, who: str, slot_id: int) -> float:
        return self.store.write(
            lambda c: leases.heartbeat(c, person_id=self.ids[who], slot_id=slot_id, now=self.store.now())
        )

    def release(self, who: str, slot_id: int) -> None:
        self.store.write(lambda c: leases.release(c, person_id=self.ids[who], slot_id=slot_id, now=self.store.now()))

    def skip(self, who: str, slot_id: int) -> None:
        self.store.write(
            lambda c: leases.skip(c, person_id=self.ids[who], slot_id=slot_id, reason="", now=self.store.now())
        )

    def undo(self, who: str) -> tuple[int, int | None]:
        return self.store.write(lambda c: undoing.undo(c, person_id=self.ids[who], now=self.store.now()))

    def point(self, who: str, slot_id: int, answer: str = "pointed", *, hit: bool = True) -> None:
        """Answer the blind question; the bars of `rows.fill` stand at x = 20 n + 5 + k for 10 px."""
        self.store.write(self._pointing(who, slot_id, answer, hit=hit))

    def _pointing(self, who: str, slot_id: int, answer: str, *, hit: bool) -> Callable[[Connection], None]:
        points = []
        if answer == "pointed":
            at = self.row(slot_id).object_n * 20 + 10 if hit else 159
            points = [{"frame": k * 4, "x": (at + k * hit) / 160, "y": 0.5} for k in (0, 6)]
        said = pointing.PointAnswer.model_validate({"answer": answer, "points": points})
        with self.store.read() as connection:
            found = pointing.find(connection, self.ids[who], slot_id, said)
        return lambda c: pointing.record(
            c, person_id=self.ids[who], slot_id=slot_id, answer=said, result=found, now=self.store.now()
        )

    def point_on(self, who: str, slot_id: int, answer: str = "pointed", *kinds: str, hit: bool = True) -> Any:
        """Answer as `point` does; what that brings along, see `answer_on`."""
        return self.answer_on(who, slot_id, self._pointing(who, slot_id, answer, hit=hit), *kinds)

    def choose_on(self, who: str, slot_id: int, choice: int, *kinds: str) -> Any:
        """Choose an outline; what that brings along, see `answer_on`."""
        return self.answer_on(
            who,
            slot_id,
            lambda c: pointing.choose(c, person_id=self.ids[who], slot_id=slot_id, choice=choice, now=self.store.now()),
            *kinds,
        )

    def answer_on(self, who: str, slot_id: int, answer: Callable[[Connection], None], *kinds: str) -> Any:
        """Answer a blind item; what the answer brings along, if it were asked for the next item.

        That must be what a claim after the answer gives, and leave the same rows. Only the answer is kept.
        """
        me, now = self.ids[who], self.store.now()
        with self.store.read() as connection:
            role = Role(connection.execute(select(person.c.role).where(person.c.id == me)).scalar_one())
        wanted = [SlotKind(kind) for kind in kinds] or list(SlotKind)

        def at_once(connection: Connection) -> dict[str, Any]:
            answer(connection)
            return review.answered(connection, me, role, slot_id, wanted, now)

        def later(connection: Connection) -> dict[str, Any]:
            told = pointing.view(connection, me, slot_id)
            assert told is not None
            return told | {"next": review.next_item(connection, me, role, wanted, now) if told["waits"] else None}

        first = self._tried(at_once)
        self.store.write(answer)
        assert self._tried(later) == first
        return first[0]["next"]

    def _tried(self, work: Callable[[Connection], dict[str, Any]]) -> Any:
        """What `work` returns, and the rows as it leaves them; then it is rolled back."""
        tables = (slot, seen, skipped, item, person, audit_head)  # the head has the hash of the whole log

        def look(connection: Connection) -> tuple[dict[str, Any], list[Any]]:
            told = work(connection)
            return told, [connection.execute(select(table).order_by(*table.c[:2])).all() for table in tables]

        return tried(self.store, look, preview=True)

    def find(self, who: str, slot_id: int) -> bool:
        """Point at the object of a blind item, unless they did; whether it is shown to them now."""
        with self.store.read() as connection:
            before = pointing.view(connection, self.ids[who], slot_id)
        if before is None:
            self.point(who, slot_id)
        with self.store.read() as connection:
            after = pointing.view(connection, self.ids[who], slot_id)
        return after is not None and bool(after["revealed"])

    def judge(
        self, who: str, slot_id: int, decision: str = "accept", *, key: str = "", version: int = 0, **fields: Any
    ) -> int:
        """Submit a whole verdict; the judgement's id."""
        row = self.row(slot_id)
        body = {"decision": decision, "watched_frac": 1.0} | fields
        if decision == "accept":
            body.setdefault("parts", dict.fromkeys(PARTS[row.item_kind], "right"))
        elif decision == "edit":
            part = PARTS[row.item_kind][0]
            body.setdefault("text", {part: f"a new text number {next(_KEYS)}"})
        else:
            body.setdefault("reasons", ["other"])
        return int(
            self.store.write(
                lambda c: submission.submit(
                    c,
                    person_id=self.ids[who],
                    role=Role(c.execute(select(person.c.role).where(person.c.id == self.ids[who])).scalar_one()),
                    slot_id=slot_id,
                    key=key or f"key-{next(_KEYS):08}",
                    version=version or row.version,
                    verdict=Verdict.model_validate(body),
                    now=self.store.now(),
                )
            )["judgement"]
        )

    def do(self, who: str, decision: str = "accept", *kinds: str, **fields: Any) -> Any:
        """Claim, answer and judge whatever comes; the item's row afterwards."""
        slot_id = self.claim(who, *kinds)
        if self.row(slot_id).kind == "blind":
            self.point(who, slot_id)
        self.judge(who, slot_id, decision, **fields)
        return self.item(self.row(slot_id).item_id)

    def row(self, slot_id: int) -> Any:
        """A slot with its item's kind and version, and the number of its object."""
        with self.store.read() as connection:
            row = connection.execute(
                select(
                    slot,
                    item.c.kind.label("item_kind"),
                    item.c.version.label("item_version"),
                    item.c.gold,
                    item.c.public_id,
                    item.c.video_id,
                    masklet.c.object_id,
                )
                .join_from(slot, item)
                .join(masklet, masklet.c.id == item.c.masklet_id)
                .where(slot.c.id == slot_id)
            ).one()
        return _Slot(row)

    def item(self, item_id: int) -> Any:
        with self.store.read() as connection:
            return connection.execute(select(item).where(item.c.id == item_id)).one()

    def standing(self, who: str) -> str:
        with self.store.read() as connection:
            return str(connection.execute(select(person.c.standing).where(person.c.id == self.ids[who])).scalar_one())


class _Slot:
    def __init__(self, row: Any) -> None:
        self.id, self.kind, self.state, self.holder_id = row.id, row.kind, row.state, row.holder_id
        self.item_id, self.item_kind, self.video_id = row.item_id, row.item_kind, row.video_id
        self.version, self.lease_until, self.claimed_at = row.item_version, row.lease_until, row.claimed_at
        self.gold, self.public_id = row.gold, row.public_id
        self.object_n = int(row.object_id.rpartition("/")[2])


def check(store: Database, *, quotas: bool = True, edits: bool = True) -> None:
    """Everything that must hold of a project at any time.

    `quotas`: these too, as none was lowered. `edits`: items follow from `max_edits`, as it was not changed; a change
    holds for items when they are judged next.
    """
    with store.read() as connection:
        settings = Settings.load(connection)
        live = connection.execute(select(judgement).where(judgement.c.undone_at.is_(None))).all()
        items = {row.id: row for row in connection.execute(select(item))}
        texts = {row.id: row for row in connection.execute(select(text_version))}
        slots = connection.execute(select(slot)).all()
        answers = {row.id: row for row in connection.execute(select(pointings))}
        assert max(Counter(row.slot_id for row in live).values(), default=0) <= 1
        real = [row for row in live if not items[row.item_id].gold]
        assert max(Counter((row.person_id, row.item_id) for row in real).values(), default=0) <= 1
        assert {row.id for row in slots if row.state == "done"} == {row.slot_id for row in live}
        for row in live:
            assert items[row.item_id].author_id != row.person_id
            assert texts[row.text_id].author_id != row.person_id or items[row.item_id].gold
            if row.kind == "blind":
                answer = answers[row.pointing_id]
                assert answer.person_id == row.person_id
                assert answer.hit is not None
                saw = [
                    other.created_at
                    for other in live
                    if other.person_id == row.person_id
                    and other.kind != "blind"
                    and items[other.item_id].video_id == items[row.item_id].video_id
                ]
                assert all(answer.created_at <= at for at in saw), "pointed in a video whose masks they had seen"
        accepted = [row for row in items.values() if row.state == "accepted" and row.source == "kept"]
        for row in items.values():
            if row.state == "accepted" and row.source == "no_target":
                said = [answers[each.pointing_id].answer for each in live if each.item_id == row.id]
                assert set(said) == {"absent"}, "somebody found what is not there"
            elif row.state in ("accepted", "surplus"):
                final = texts[row.text_id].sha256
                found = [
                    each.person_id
                    for each in live
                    if each.item_id == row.id and each.pointing_id and texts[each.text_id].sha256 == final
                    if answers[each.pointing_id].hit
                ]
                assert set(found) - {row.author_id, texts[row.text_id].author_id}, "nobody found the final wording"
            assert row.kind == "long" or row.strata["length"] == length_level("short", texts[row.text_id].parts)
        assert count_accepted(connection).videos == len({row.video_id for row in accepted})
        if quotas:
            assert len({row.video_id for row in accepted}) <= settings.videos
            for kind, most in (("long", settings.long), ("short", settings.short)):
                assert sum(row.kind == kind for row in accepted) <= most
            objects = Counter(video for video, _ in {(row.video_id, row.masklet_id) for row in accepted})
            assert max(objects.values(), default=0) <= settings.per_video
        pending = Counter((row.item_id, row.kind) for row in slots if row.state in ("open", "leased"))
        for row in items.values():
            if row.gold:
                assert row.state == "gold"
                continue
            if not edits:
                continue
            hashes = _hashes(connection, row.id)
            outcome = derive(
                _facts(connection, row, min(hashes)),
                hashes,
                _judgements(connection, row.id),
                max_edits=settings.max_edits,
            )
            assert row.text_id == outcome.text_id
            assert row.state in ({"accepted", "surplus"} if outcome.state == "accepted" else {outcome.state})
            assert (row.settled_at is not None) == (row.state in ("accepted", "surplus", "dropped"))
            for kind in SlotKind:
                assert pending[row.id, kind] == (outcome.wanted if kind == row.state else 0), (row, kind)
        held = connection.execute(
            select(func.count()).where(slot.c.state == "leased", slot.c.holder_id.is_(None))
        ).scalar_one()
        assert held == 0
        assert audit.verify(connection) >= len(live)
