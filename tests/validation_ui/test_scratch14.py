from dataclasses import replace
from typing import Any
import threading
from concurrent.futures import ThreadPoolExecutor
import pytest
from sqlalchemy import select, func
from tests.validation_ui.desk import Desk, check
from tests.validation_ui.test_gold import project, HIDDEN, known
from validation_ui.judging import fates, item_views, leases, queue
from validation_ui.schema import slot, item, judgement
from validation_ui.web import entry


def gold_and_real(desk, kind, do, n=20):
    told = {True: [], False: []}
    for _ in range(n):
        slot_id = desk.ask("ann", kind).slot_id
        if slot_id is None: break
        told[bool(desk.row(slot_id).gold)].append(do(slot_id))
    return told


def view(store, desk, slot_id):
    with store.read() as c:
        return item_views.slot_view(c, desk.ids["ann"], slot_id, 0.0)


def test_edit_undo(store):
    desk = project(store, HIDDEN, videos=8, objects=1, gold=12)
    def do(slot_id):
        v = view(store, desk, slot_id)
        desk.judge("ann", slot_id, "edit", version=v["item"]["version"])
        _, again = desk.undo("ann")
        w = view(store, desk, slot_id)
        desk.judge("ann", slot_id, "accept", version=w["item"]["version"])
        return v["item"]["version"], w["item"]["version"], w["slot"]["version"]
    print("EDIT", gold_and_real(desk, "sighted", do, 8))


def test_fate(store):
    desk = project(store, HIDDEN, videos=8, objects=1, gold=12)
    def top():
        n = 1
        with store.read() as c:
            while fates.fate(c, desk.ids["ann"], n) is not None and n < 60: n += 1
        return n
    last = [top()]
    def do(slot_id):
        was = last[0]; now = top()
        desk.judge("ann", slot_id, "accept"); last[0] = top()
        return now - was, last[0] - now
    print("FATE", gold_and_real(desk, "sighted", do, 8))


def test_counts(store):
    desk = project(store, HIDDEN, videos=8, objects=1, gold=12)
    def do(slot_id):
        a = desk.why("ann", "blind")
        desk.judge("ann", slot_id, "accept")
        b = desk.why("ann", "blind")
        return a["code"], b["code"], b["counts"]["open"] - a["counts"]["open"]
    print("COUNTS", gold_and_real(desk, "sighted", do, 8))


def both(store, work):
    ready = threading.Barrier(8)
    def one(_):
        ready.wait()
        try: return store.write(work)
        except Exception as e: return type(e).__name__ + str(getattr(e, 'orig', e))[:80]
    with ThreadPoolExecutor(8) as pool: return list(pool.map(one, range(8)))


def test_races(store):
    desk = project(store, HIDDEN, videos=8, objects=1, gold=12)
    s = desk.claim("ann", "sighted")
    print("DRAFT", both(store, lambda c: leases.save_draft(c, person_id=desk.ids["ann"], slot_id=s, body={}, version=0, now=1.0)))
    print("SEEN", both(store, lambda c: leases.mark_seen(c, desk.ids["ann"], "v7", 1.0)))
    class S: write = staticmethod(store.write); now = staticmethod(lambda: 1.0)
    def one(_=None):
        class Caller: id = desk.ids["ann"]
        try: entry.read_guide(None, store, Caller)
        except Exception as e: return type(e).__name__ + str(getattr(e, 'orig', e))[:80]
    with ThreadPoolExecutor(8) as pool: print("GUIDE", list(pool.map(one, range(8))))
