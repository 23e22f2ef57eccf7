"""The verdict that a reviewer sends, and the rules that it must keep."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from validation_ui.problem import Problem
from validation_ui.schema import Decision, SlotKind
from validation_ui.settings import MAX_TEXT_CHARS, REASONS, Settings

# Cc control, Cf format (direction marks, zero-width), Co private, Cs surrogate, Zl Zp line separators
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters, marks and a symbol that are drawn as nothing
MIN_WATCHED_FRAC = 0.95  # of the visible span must be played before a long expression is accepted; below 1 for rounding
_MAX_SENT_CHARS = 2 * MAX_TEXT_CHARS  # before spaces are stripped; `clean` applies the real limit


class Verdict(BaseModel):
    """The body of a submit request: a decision and its grounds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Annotated[Decision, Field(strict=False)]
    parts: dict[str, Literal["right", "wrong", "unsure"]] = Field(default_factory=dict, max_length=3)
    reasons: list[str] = Field(default_factory=list, max_length=len(REASONS))
    note: str = Field(default="", max_length=_MAX_SENT_CHARS)
    text: dict[str, Annotated[str, Field(max_length=_MAX_SENT_CHARS)]] | None = Field(default=None, max_length=3)
    short: str | None = Field(default=None, max_length=_MAX_SENT_CHARS)
    short_is_right: bool = False  # of a short expression that is sent as it was suggested
    watched_frac: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Task:
    """Holds what a slot asks of the reviewer.

    Attributes:
        kind: the pass of the slot.
        item_kind: long or short.
        parts: the text that is judged, part name -> text.
        short: whether a short expression must be written, may be written, or is not asked for.
        suggested_short: the one that the run suggests, if it has one.
    """

    kind: SlotKind
    item_kind: str
    parts: Mapping[str, str]
    short: Literal["wanted", "allowed", "no"]
    suggested_short: str | None = None


@dataclass(frozen=True, slots=True)
class CheckedVerdict:
    """Holds the cleaned texts of a verdict that keeps all rules."""

    new_parts: dict[str, str] | None
    note: str
    short: str | None


def check(verdict: Verdict, task: Task, settings: Settings) -> CheckedVerdict:
    """Clean the texts of a verdict and check all rules.

    Raises:
        Problem: 422 invalid; `fields` maps every field that breaks a rule to a message.
    """
    fields: dict[str, str] = {}
    note = _clean(fields, "note", verdict.note)
    _check_parts(fields, verdict, task)
    _check_reasons(fields, verdict, task, note)
    new_parts = _new_parts(fields, verdict, task, settings)
    short = _short(fields, verdict, task, settings)
    needs_watching = task.kind == SlotKind.SIGHTED and task.item_kind == "long" and _is_for(verdict)
    if needs_watching and verdict.watched_frac < MIN_WATCHED_FRAC:
        fields["watched_frac"] = (
            f"watch the object's whole visible span once before you accept or edit; so far it was "
            f"{verdict.watched_frac:.0%}"
        )
    if fields:
        raise Problem(422, "invalid", "Some of it is missing or does not fit: see the marked fields.", fields=fields)
    return CheckedVerdict(new_parts, note, short)


def _is_for(verdict: Verdict) -> bool:
    return verdict.decision in (Decision.ACCEPT, Decision.EDIT)


def _check_parts(fields: dict[str, str], verdict: Verdict, task: Task) -> None:
    unknown = verdict.parts.keys() - task.parts.keys()
    if unknown:
        fields["parts"] = f"the parts of this text are {', '.join(task.parts)}; got {', '.join(sorted(unknown))[:80]}"
    if verdict.decision == Decision.ACCEPT:
        missing = [part for part in task.parts if part not in verdict.parts]
        wrong = [part for part in task.parts if verdict.parts.get(part) == "wrong"]
        if missing:
            fields["parts"] = f"judge every part before you accept; not judged yet: {', '.join(missing)}"
        elif wrong:
            fields["parts"] = f"a text with a wrong part is edited or rejected, not accepted; wrong: {', '.join(wrong)}"


def _check_reasons(fields: dict[str, str], verdict: Verdict, task: Task, note: str) -> None:
    if len(set(verdict.reasons)) != len(verdict.reasons) or not set(verdict.reasons) <= set(REASONS):
        fields["reasons"] = f"give each reason once, of: {', '.join(REASONS)}"
    if verdict.decision == Decision.REJECT and not verdict.reasons:
        fields["reasons"] = "say why you reject it"
    if verdict.decision == Decision.FLAG and not verdict.reasons and not note:
        fields["reasons"] = "say why you flag it: a reason or a note"
    if verdict.decision == Decision.FLAG and task.kind == SlotKind.ADJUDICATE:
        fields["decision"] = "you are the one it was flagged to: accept, edit or reject it, or skip it"


def _new_parts(fields: dict[str, str], verdict: Verdict, task: Task, settings: Settings) -> dict[str, str] | None:
    """Return all parts of the text after an edit, or None for other decisions."""
    if verdict.decision != Decision.EDIT:
        if verdict.text is not None:
            fields["text"] = "only an edit has a new text"
        return None
    new = dict(task.parts)
    for part, text in (verdict.text or {}).items():
        if part not in task.parts:
            fields["text"] = f"the parts of this text are {', '.join(task.parts)}"
            return None
        new[part] = _clean(fields, f"text.{part}", text, settings if part == "short" else None, empty=False)
    if new == dict(task.parts) and not any(field.startswith("text") for field in fields):
        fields["text"] = "an edit changes the text; this one is as it was"
    return new


def _short(fields: dict[str, str], verdict: Verdict, task: Task, settings: Settings) -> str | None:
    """Return the short expression that was written along with a sighted judgement, or None."""
    if verdict.short is None:
        if task.short == "wanted" and _is_for(verdict):
            fields["short"] = (
                f"write a short expression too, {settings.short_words_min} to {settings.short_words_max} words"
            )
        return None
    if task.short == "no" or not _is_for(verdict):
        fields["short"] = "no short expression is asked for here"
        return None
    short = _clean(fields, "short", verdict.short, settings, empty=False)
    if not verdict.short_is_right and short.split() == (task.suggested_short or "").split():
        fields["short"] = "say that the suggested short expression is right, or write another"
    return short


def _clean(fields: dict[str, str], field: str, text: str, short: Settings | None = None, *, empty: bool = True) -> str:
    """Return the text as it is stored; if it breaks a rule, put the message into `fields`."""
    try:
        return clean_short(text, short) if short else clean(text, lines=empty, empty=empty)
    except ValueError as error:
        fields[field] = str(error)
        return text


def clean(text: str, *, lines: bool = False, empty: bool = False) -> str:
    """Return a text as it is stored: normalised to NFC, with single blanks, and without any around it.

    Pasted line breaks of all kinds, tabs and wide blanks become blanks; in a text of several lines each kind of line
    break becomes a newline.

    Args:
        text: the text as it was sent.
        lines: whether it may have more than one line.
        empty: whether it may be empty.

    Raises:
        ValueError: it is empty, too long, or has a character that cannot be seen.
    """
    whole = unicodedata.normalize("NFC", text)
    kept = "\n".join(" ".join(line.split()) for line in whole.splitlines()) if lines else " ".join(whole.split())
    kept = kept.strip()
    for character in kept:
        is_hidden = unicodedata.category(character) in _HIDDEN or character in _BLANKS
        if is_hidden and not (lines and character == "\n"):
            raise ValueError(f"must have visible characters only, got U+{ord(character):04X}; remove it")
    if not empty and not any(unicodedata.category(character)[0] in "LNPS" for character in kept):
        raise ValueError("must not be empty")
    if len(kept) > MAX_TEXT_CHARS:
        raise ValueError(f"must have at most {MAX_TEXT_CHARS} characters, got {len(kept)}; shorten it")
    return kept


def clean_short(text: str, settings: Settings) -> str:
    """Return a short expression as it is stored.

    Raises:
        ValueError: as for `clean`, or it has too few or too many words.
    """
    kept = clean(text)
    words, least, most = len(kept.split()), settings.short_words_min, settings.short_words_max
    if not least <= words <= most:
        raise ValueError(f"must have {least} to {most} words, got {words}")
    return kept
