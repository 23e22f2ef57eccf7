"""Changes settings of a project in mid-run: what each means, between which limits, and what a change would do.

The page and the command `set` both use `change`, in one transaction with the audit log. A preview runs the same and is
rolled back, so what it tells is what would happen.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, select

from validation_ui import audit
from validation_ui.importing.more import QUOTAS, ask, is_raised
from validation_ui.importing.sample import OVERLAPS, set_overlap
from validation_ui.judging import gold
from validation_ui.judging.items import promote
from validation_ui.problem import Problem
from validation_ui.schema import ItemState, Standing, item, person
from validation_ui.settings import Settings
from validation_ui.statistics.progress import progress
from validation_ui.statistics.quota_notes import overfull, quota_notes


@dataclass(frozen=True)
class Rule:
    """What people are told of a setting.

    Attributes:
        group: the heading under which the page shows it.
        label: its name for people.
        meaning: what it does, and from when on a change holds.
        least: the smallest value.
        most: the largest value.
        fixed: why it cannot change in a running project; None if it can.
    """

    group: str
    label: str
    meaning: str
    least: float
    most: float
    fixed: str | None = None


_MANY = 1_000_000
_DAY_S = 24 * 3600
RULES = {
    "videos": Rule(
        "Quotas",
        "Videos",
        "How many videos the split has at most. A higher quota takes in what was accepted beyond the old one, by "
        "priority; a lower one takes nothing away.",
        1,
        _MANY,
    ),
    "long": Rule(
        "Quotas",
        "Long expressions",
        "How many long expressions the split has at most. The sighted pass ends when it is filled.",
        0,
        _MANY,
    ),
    "short": Rule(
        "Quotas",
        "Short expressions",
        "How many short expressions the split has at most. They are no longer asked for when it is filled.",
        0,
        _MANY,
    ),
    "per_video": Rule(
        "Quotas",
        "Objects of one video",
        "How many objects of one video the split has at most. The import drew two more than this as candidates.",
        1,
        100,
    ),
    "pass_frac": Rule(
        "Queue",
        "Accepted, expected",
        "The share of the candidates that you expect to be accepted. It decides how many are begun before the rest is "
        "kept as a reserve: a lower share begins more.",
        0.01,
        1,
    ),
    "overlap_frac": Rule(
        "Queue",
        "Judged twice",
        "The share of the long items with a second sighted judgement, from which agreement is measured. Items past the "
        "sighted pass stay as they are.",
        0,
        1,
    ),
    "blind_overlap_frac": Rule(
        "Queue",
        "Found twice",
        "The share of the items that two people find independently in the blind pass. It takes a team of one reviewer "
        "more. Items past the blind pass stay as they are.",
        0,
        1,
    ),
    "max_edits": Rule(
        "Queue",
        "Edits before adjudication",
        "The next edit after this many sends an item to the adjudicator. Holds for items when they are judged next.",
        0,
        100,
    ),
    "lease_s": Rule(
        "Queue",
        "Time for an item, in seconds",
        "How long an item is kept for a person who does nothing; the page renews it while they work. Holds from the "
        "next renewal.",
        60,
        _DAY_S,
    ),
    "prefetch_lease_s": Rule(
        "Queue",
        "Time for a prefetched item, in seconds",
        "How long the item that is loaded ahead is kept for a person before they begin with it.",
        10,
        _DAY_S,
    ),
    "undo_last": Rule(
        "Queue",
        "Judgements that can be undone",
        "Among how many of their last judgements a person may take some back.",
        0,
        1000,
    ),
    "gold_frac": Rule(
        "Checks",
        "Hidden checks",
        "The share of the items given out that are gold items. Nobody gets one twice, so more than there are cannot "
        "be given.",
        0,
        0.5,
    ),
    "entry_items": Rule(
        "Checks",
        "Items of the entry test",
        "How many gold items the entry test has. It also holds for people who are in the middle of the test. 0 lets "
        "newcomers in without one.",
        0,
        1000,
    ),
    "entry_right_frac": Rule(
        "Checks",
        "Right in the entry test",
        "The share of right answers that passes the entry test. Who passed or failed before stays so.",
        0,
        1,
    ),
    "gold_right_frac": Rule(
        "Checks",
        "Right in hidden checks",
        "Who falls below this share of their last hidden checks is stopped, and their last judgements are asked again.",
        0,
        1,
    ),
    "gold_window": Rule(
        "Checks",
        "Hidden checks that count",
        "How many of the last answers to hidden checks count for that share, and how many judgements are asked again "
        "when somebody is stopped.",
        1,
        10_000,
    ),
    "short_words_min": Rule(
        "Short expressions",
        "Words, at least",
        "The fewest words of a short expression. Those that are written stay.",
        1,
        100,
    ),
    "short_words_max": Rule(
        "Short expressions",
        "Words, at most",
        "The most words of a short expression. Those that are written stay.",
        1,
        100,
    ),
    "rejected_frac": Rule(
        "Fixed",
        "Texts that a gate rejected",
        "For each expression that is drawn, so many texts that a gate of the run rejected are mixed in, unmarked. They "
        "measure the gates, and count for no quota.",
        0,
        1,
        "They were mixed in when the run was imported.",
    ),
    "no_target": Rule(
        "Fixed",
        "Texts without a target",
        "How many texts that fit nothing in their video should come to the blind pass, unmarked. There, absent is "
        "right. They count for no quota.",
        0,
        _MANY,
        "They were mixed in when the run was imported.",
    ),
    "seed": Rule(
        "Fixed",
        "Seed",
        "The number from which the split, the order of the queue and the checks are drawn.",
        0,
        2**63 - 1,
        "The seed has chosen the split of the videos into benchmark and train: another one would move videos that "
        "people have judged.",
    ),
}


@dataclass(frozen=True)
class Changed:
    """What a change of settings did: the new settings, name -> (old, new), and sentences for people.

    `raised`: a quota was raised, so that more candidates should be drawn (`importing.more.draw_more`).
    """

    settings: Settings
    values: dict[str, tuple[Any, Any]]
    notes: list[str]
    raised: bool = False


def facts(connection: Connection, now: float) -> dict[str, str]:
    """Return what this project's own figures say about some settings, name -> sentence: their real limits."""
    quotas = progress(connection, now).quotas
    found = {
        name: f"Accepted: {quota.accepted}; this project's candidates can fill {quota.reachable} at most."
        for name, quota in quotas.items()
    }
    count = _gold_in_use(connection)
    found["entry_items"] = f"There are {count} gold items in use, so the test has {count} at most."
    return found


def tag(settings: Settings) -> str:
    """Return what changes whenever a setting does, for If-Match."""
    return hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest()[:32]


def check(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Return the settings with the values that were given.

    Raises:
        Problem: 422; `fields` has a sentence for every value that is not allowed.
    """
    fields: dict[str, str] = {}
    new: dict[str, Any] = {}
    now = asdict(settings)
    for name, value in given.items():
        rule = RULES.get(name)
        if rule is None or name not in now:
            fields[""] = "A setting that is not known."
            continue
        is_whole = isinstance(now[name], int)
        kind = "a whole number" if is_whole else "a number"
        limits = f"{name} must be {kind} from {rule.least:,.12g} to {rule.most:,.12g}"
        if isinstance(value, bool) or not isinstance(value, int | float) or (is_whole and value % 1 != 0):
            fields[name] = f"{limits}."
        elif value != now[name] and rule.fixed is not None:
            fields[name] = f"{name} stays {now[name]}. {rule.fixed}"
        elif value != now[name] and not rule.least <= value <= rule.most:
            fields[name] = f"{limits}, got {value:,.12g}."
        else:
            new[name] = int(value) if is_whole else float(value)
    if not fields:
        changed = replace(settings, **new)
        if changed.short_words_min > changed.short_words_max:
            fields["short_words_max"] = (
                f"short_words_max must be at least short_words_min={changed.short_words_min}, got "
                f"{changed.short_words_max}."
            )
        if changed.prefetch_lease_s > changed.lease_s:
            fields["prefetch_lease_s"] = (
                f"prefetch_lease_s must be at most lease_s={changed.lease_s:g}, got {changed.prefetch_lease_s:g}."
            )
    if fields:
        raise Problem(422, "invalid", "These settings cannot be: " + " ".join(fields.values()), fields=fields)
    return changed


def change(
    connection: Connection, given: Mapping[str, Any], *, actor: str, now: float, seen_tag: str | None = None
) -> Changed:
    """Change settings and everything that follows from them: overlap, promoted items; log it.

    Args:
        connection: in a transaction.
        given: name of a setting -> new value.
        actor: who does it, for the log.
        now: the time of the server's clock.
        seen_tag: `tag` of the settings that the person saw; None = whatever they are.

    Raises:
        Problem: 412 they changed since, 422 values that are not allowed.
    """
    old = Settings.load(connection)
    if seen_tag is not None and tag(old) != seen_tag:
        raise Problem(412, "settings_changed", "Somebody changed the settings since you opened this page. Reload it.")
    new = check(old, given)
    before, after = asdict(old), asdict(new)
    values = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
    if not values:
        return Changed(new, {}, ["Nothing changes."])
    new.save(connection)
    ask(connection, old, new)
    notes = _follow(connection, old, new, now)
    body = {"set": {name: value for name, (_, value) in values.items()}, "from": {n: v for n, (v, _) in values.items()}}
    audit.append(connection, at=now, actor=actor, action="settings", subject="project", body=body)
    return Changed(new, values, notes, is_raised(old, new))


def _follow(connection: Connection, old: Settings, new: Settings, now: float) -> list[str]:
    """Do what follows from new settings, and return sentences about it."""
    notes: list[str] = []
    for column, judged in zip(OVERLAPS, ("sighted", "blind"), strict=True):
        before, after = (getattr(settings, f"{column}_frac") for settings in (old, new))
        if after != before:
            count = set_overlap(connection, after, now=now, column=column)
            way = f"get a second {judged} judgement" if after > before else f"need one {judged} judgement only"
            notes.append(f"{count} items {way}")
    if promoted := promote(connection, new, now=now):
        notes.append(f"{promoted} items that were accepted beyond the old quotas are in the split now")
    if any(getattr(new, name) != getattr(old, name) for name in QUOTAS):
        notes += overfull(connection) if is_raised(old, new) else quota_notes(connection)  # more may be drawn yet
    there = _gold_in_use(connection)
    if new.entry_items != old.entry_items and new.entry_items > there:
        notes.append(f"there are {there} gold items in use, so the entry test has {there}")
    if (new.gold_right_frac, new.gold_window) != (old.gold_right_frac, old.gold_window):
        people = connection.execute(select(person.c.id, person.c.name).where(person.c.standing == Standing.ACTIVE))
        failing = [one.name for one in people if gold.fails_gate(connection, one.id, new)]
        notes.append(
            f"below the gate are {', '.join(failing)}: they are stopped with their next item"
            if failing
            else "nobody who works now is below the gate"
        )
    return notes


def _gold_in_use(connection: Connection) -> int:
    wanted = select(func.count()).where(item.c.state == ItemState.GOLD, item.c.retired.is_(False))
    count: int = connection.execute(wanted).scalar_one()
    return count
