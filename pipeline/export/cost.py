"""Counts what the models of a run were asked, what that cost in tokens, and what the objects became.

A reply is paid for once and stored in `replies/`, where a later request for the same finds it. The tokens of a request
count for the row that sent it. If that row is gone (after a kill or a replay), they count for the first row that found
the reply, because they were paid too. Requests that no row of the table refers to are not counted.
"""

from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

import prompts
from manifests.schema import Status
from manifests.text_tables import text_table
from pipeline.export.annotations import Annotations, Indices
from pipeline.run.run_json import EngineInfo, RunInfo

_REPAIR = "repair_"  # names of the prompts that repair a text begin so
_HOUR_S = 3600
# Call.purpose -> its line in the bill
_PURPOSES = {"lineup": "line-up", "catch": "catch trials", "repair": "line-up repair", "short": "line-up, short"}

PROMPT_HEAD = ("prompt", "requests", "for a reply", "tokens in", "tokens out", "share")
ENDED_HEAD = ("where the tokens went", "objects", "tokens", "share", "an object")


@dataclass(frozen=True)
class Spent:
    """A number of requests, and the tokens that they took."""

    requests: int = 0
    usable: int = 0  # requests whose reply could be used
    tokens_in: int = 0
    tokens_cached: int = 0  # of tokens_in, those that the engine had in its prefix cache
    tokens_out: int = 0

    @property
    def tokens(self) -> int:
        """All tokens, of requests and of replies."""
        return self.tokens_in + self.tokens_out

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.requests + other.requests,
            self.usable + other.usable,
            self.tokens_in + other.tokens_in,
            self.tokens_cached + other.tokens_cached,
            self.tokens_out + other.tokens_out,
        )


class Forms(NamedTuple):
    """Replies in an unusual form (see engines/reading.py), which were read all the same."""

    replies: int
    by_form: tuple[tuple[str, int], ...]  # most frequent first


class PromptCost(NamedTuple):
    """What one prompt took, sent to one model."""

    prompt: str  # name@sha8
    model: str
    revision: str
    spent: Spent


class Ended(NamedTuple):
    """Rows that share status, stage and reason, and what their requests took."""

    status: str
    stage: str | None
    reason: str | None
    rows: int
    spent: Spent


class Repair(NamedTuple):
    """What the repair stages saved, and what they took."""

    asked: int  # objects that were sent to a repair prompt
    saved: int  # of these, repaired and kept
    spent: Spent


@dataclass(frozen=True)
class Cost:
    """What the models of a run cost."""

    paid: Spent  # by all calls: what was sent, and what was found but sent by a row that is gone
    now: Spent  # sent in the attempt that wrote the row
    found: Spent  # taken from replies/ in that attempt
    prompts: tuple[PromptCost, ...]  # in the order of the stages
    ended: tuple[Ended, ...]  # kept rows first, then by tokens
    repair: Repair
    purposes: dict[str, Spent]  # by Call.purpose; describe holds the rest
    forms: Forms
    kept: int
    seconds_s: float  # time that the engine was held; of the whole run if that is unknown
    gpus: int
    prefix_frac: float | None  # hit rate of the prefix cache: counted by the engine, else from its replies

    @property
    def kept_per_hour(self) -> float | None:
        """Kept objects per GPU-hour, or per hour without a GPU; None if the time is unknown."""
        return self.kept / (self.seconds_s * max(1, self.gpus) / _HOUR_S) if self.seconds_s else None

    @property
    def tokens_per_kept(self) -> float | None:
        """All tokens paid, those for rejected objects too, per kept object; None if none was kept."""
        return self.paid.tokens / self.kept if self.kept else None


def cost(annotations: Annotations, info: RunInfo) -> Cost | None:
    """Count what the models of a run cost; None if no model was asked.

    Args:
        annotations: the rows of the run.
        info: the content of run.json.
    """
    sent = _sent(annotations)
    senders_gone: set[int] = set()  # requests that were found in replies/, but that no row sent
    total: dict[str, Spent] = defaultdict(Spent)
    by_prompt: dict[tuple[str, str, str], Spent] = defaultdict(Spent)
    by_purpose: dict[str, Spent] = defaultdict(Spent)
    by_end: dict[tuple[str, str | None, str | None], Spent] = defaultdict(Spent)
    rows: Counter[tuple[str, str | None, str | None]] = Counter()
    forms: Counter[str] = Counter()
    unusual = 0
    for row in annotations.rows(["status", "stage", "reason", "repairs", "calls"]):
        if not row["calls"]:
            continue
        end = row["status"], row["stage"], row["reason"]
        rows[end] += 1
        looked_again = any(call["prompt"].startswith(_REPAIR) for call in row["calls"])
        total["looked again"] += Spent(requests=looked_again)
        total["saved"] += Spent(requests=looked_again and row["status"] == Status.KEPT and bool(row["repairs"]))
        for call in row["calls"]:
            one = Spent(1, call["fault"] is None, call["tokens_in"], call["tokens_cached"], call["tokens_out"])
            total["found" if call["stored"] else "now"] += one
            key = hash(call["key"])
            if call["stored"] and (key in senders_gone or _among(sent, key)):
                continue
            if call["stored"]:
                senders_gone.add(key)
            total["paid"] += one
            by_purpose[call["purpose"]] += one
            forms.update(call["forms"])
            unusual += bool(call["forms"])
            by_end[end] += one
            by_prompt[call["prompt"], call["model"], call["revision"]] += one
            if call["prompt"].startswith(_REPAIR):
                total["repair"] += one
    if not rows:
        return None
    engine = info["engine"]
    return Cost(
        paid=total["paid"],
        now=total["now"],
        found=total["found"],
        prompts=tuple(PromptCost(*key, by_prompt[key]) for key in sorted(by_prompt, key=_by_stage)),
        ended=tuple(
            sorted(
                (Ended(*end, count, by_end[end]) for end, count in rows.items()),
                key=lambda group: (group.status != Status.KEPT, -group.spent.tokens),
            )
        ),
        repair=Repair(total["looked again"].requests, total["saved"].requests, total["repair"]),
        purposes=dict(by_purpose),
        forms=Forms(unusual, tuple(forms.most_common())),
        kept=sum(count for end, count in rows.items() if end[0] == Status.KEPT),
        seconds_s=engine["seconds"] if engine else info["seconds"],
        gpus=engine["gpus"] if engine else 0,
        prefix_frac=_prefix_frac(engine, total["paid"]),
    )


def as_text(bill: Cost | None) -> str:
    """Format the cost as plain text, for the end of a run; empty if no model was asked."""
    if bill is None:
        return ""
    parts = [
        [f"{name.ljust(19)}{value}" for name, value in summary(bill)],
        text_table([PROMPT_HEAD, *prompt_lines(bill)], rule=True),
        text_table([ENDED_HEAD, *ended_lines(bill)], rule=True),
    ]
    return "\n\n".join("\n".join(part) for part in parts)


# ---- lines for the text, the card and the report ----


def summary(bill: Cost) -> list[tuple[str, str]]:
    """Return the names and values of the figures of the whole run."""
    per = "GPU-hour" if bill.gpus else "hour, no GPU"
    held = f" of {bill.gpus} GPU{'s' * (bill.gpus != 1)}" if bill.gpus else ""
    repair = bill.repair
    lines = [
        ("requests", f"{bill.now.requests:,} sent, {bill.found.requests:,} found answered in replies/"),
        ("tokens paid for", f"{bill.paid.tokens_in:,} in, {bill.paid.tokens_out:,} out"),
        ("tokens found", f"{bill.found.tokens_in:,} in, {bill.found.tokens_out:,} out, not sent again"),
        (
            "prefix cache",
            "not told" if bill.prefix_frac is None else f"{bill.prefix_frac:.1%} of the tokens in were there",
        ),
        ("speed", _speed(bill)),
        ("kept objects", f"{_figure(bill.kept_per_hour)} per {per} ({bill.kept:,} in {bill.seconds_s:,.0f} s{held})"),
        ("a kept object", f"costs {_figure(bill.tokens_per_kept)} tokens, what the others took included"),
    ]
    if lost := [group for group in bill.ended if group.status != Status.KEPT]:
        burnt = Spent(tokens_in=sum(group.spent.tokens for group in lost))
        text = f"{burnt.tokens:,} tokens ({_share(burnt, bill.paid)}) for {sum(group.rows for group in lost):,} objects"
        lines.append(("not kept", text))
    if bill.forms.replies:
        forms = ", ".join(f"{form} ({number:,})" for form, number in bill.forms.by_form)
        lines.append(
            ("unusual replies", f"{bill.forms.replies:,} were read, but look at the server's settings: {forms}")
        )
    if repair.asked:
        per_saved = f", {repair.spent.tokens / repair.saved:,.0f} for each saved" if repair.saved else ""
        spent = f"{repair.spent.tokens:,} tokens ({_share(repair.spent, bill.paid)}){per_saved}"
        lines.append(("repair", f"{repair.saved:,} of {repair.asked:,} objects saved; {spent}"))
    for purpose, name in _PURPOSES.items():
        if of := bill.purposes.get(purpose):
            lines.append((name, f"{of.requests:,} requests, {of.tokens:,} tokens ({_share(of, bill.paid)})"))
    return lines


def prompt_lines(bill: Cost) -> list[tuple[str, ...]]:
    """Return a line of cells for every prompt, as PROMPT_HEAD names them."""
    several = len({(asked.model, asked.revision) for asked in bill.prompts}) > 1
    return [
        (
            f"{asked.prompt} ({asked.model})" if several else asked.prompt,
            f"{asked.spent.requests:,}",
            f"{asked.spent.requests / asked.spent.usable:.2f}" if asked.spent.usable else "none",
            f"{asked.spent.tokens_in:,}",
            f"{asked.spent.tokens_out:,}",
            _share(asked.spent, bill.paid),
        )
        for asked in bill.prompts
    ]


def ended_lines(bill: Cost) -> list[tuple[str, ...]]:
    """Return a line of cells for every way in which rows ended, as ENDED_HEAD names them."""
    return [
        (
            f"{group.status} at {group.stage}: {group.reason}" if group.stage else group.status,
            f"{group.rows:,}",
            f"{group.spent.tokens:,}",
            _share(group.spent, bill.paid),
            f"{group.spent.tokens / group.rows:,.0f}",
        )
        for group in bill.ended
    ]


def _sent(annotations: Annotations) -> Indices:
    """Return the sorted hashes of the keys of all requests that were sent: 8 bytes for each of some 300,000."""
    hashes = array("q")
    for table in annotations.tables(["calls"]):
        calls = pc.list_flatten(table["calls"].combine_chunks())
        keys = pc.struct_field(calls, "key").filter(pc.invert(pc.struct_field(calls, "stored")))
        hashes.extend(map(hash, keys.to_pylist()))
    return np.unique(np.frombuffer(hashes, np.int64))


def _among(ordered: Indices, value: int) -> bool:
    at = int(np.searchsorted(ordered, value))
    return at < len(ordered) and int(ordered[at]) == value


def _by_stage(key: tuple[str, str, str]) -> tuple[int, tuple[str, str, str]]:
    name = key[0].partition("@")[0]
    return (prompts.NAMES.index(name) if name in prompts.NAMES else len(prompts.NAMES), key)


def _prefix_frac(engine: EngineInfo | None, paid: Spent) -> float | None:
    if engine and engine["prefix_hits"] is not None and engine["prefix_queries"]:
        return engine["prefix_hits"] / engine["prefix_queries"]
    return paid.tokens_cached / paid.tokens_in if paid.tokens_cached else None


def _speed(bill: Cost) -> str:
    if not bill.seconds_s or not bill.now.requests:
        return "unknown: nothing was sent"
    per_s = [
        f"{tokens / bill.seconds_s:,.1f}" for tokens in (bill.paid.tokens, bill.paid.tokens_in, bill.paid.tokens_out)
    ]
    return f"{per_s[0]} tokens/s: {per_s[1]} in, {per_s[2]} out"


def _share(part: Spent, whole: Spent) -> str:
    return f"{part.tokens / whole.tokens:.1%}" if whole.tokens else "0.0%"


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
