"""The writer that asks models until a reply can be used.

Questions of a line-up go to the judge, other prompts with images to the VLM, those without to the LLM.

`parse_reply` decides what can be used: it parses the answer with the reply's own class, and looks for the faults that
models have (refusals, loops, broken characters, words about the images).
"""

import asyncio
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar
from weakref import WeakValueDictionary

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

import prompts
from manifests.expression import check_word_count, marker_leak
from manifests.io import Folder
from manifests.row_results import RowError
from manifests.schema import Call, Reason, Row
from pipeline.engines.chat import ChatClient, Endpoint
from pipeline.engines.dialect import Request
from pipeline.engines.models import Sampling
from pipeline.engines.reading import ChatReply
from pipeline.engines.reply_store import ReplyStore, key_of, question
from prompts import Prompt
from prompts.replies import JUDGED, Caption, Consistency, Expression, Pick
from stages.writer import Model

R = TypeVar("R", bound=BaseModel)
_schema = cache(lambda reply: reply.model_json_schema())

# Refusals are looked for at the beginning only: the text of a poster may have "I'm sorry" in the middle.
_REFUSALS = re.compile(
    r"\W*(?:(?:sorry|unfortunately|apologies|no)\W+)*(?:but )?"
    r"(?:I(?:['’]m| am) (?:very |so |really )?(?:sorry|unable|not able|afraid)|I (?:apologi[sz]e|regret)"
    r"|I (?:can(?:no|['’])t|can not|won['’]t|will not|must decline|do(?: not|n['’]t) feel comfortable)"
    r"|(?:as|being) an? (?:AI|artificial intelligence|(?:large )?language model)"
    r"|(?:cannot|can['’]t|unable to) (?:assist|help|comply|fulfil))",
    re.IGNORECASE,
)
_LOOP_WORDS, _LOOP_TIMES = 4, 4  # the same four words in a row, four times: no good text has that
_COMPRESSED_FRAC, _COMPRESSED_BYTES = 0.4, 200  # from 200 bytes, zlib packs English to 0.5 to 0.7, loops to 0.2
_FEW_CHARS, _ALTERNATING_CHARS = 4, 2  # a text of four or more characters has more than two different ones
_RUN = re.compile(r"(.)\1{7}|(..)\2{7}")  # one or two characters eight times in a row: no word has that
_NO_TEXT = ("Cc", "Cn", "Co", "Cs")  # Unicode categories: control, not assigned, private use, half a surrogate pair
_FAULT_CHARS = 300
_SEEDS_A_TRIAL = 10_000  # more than a row has attempts


class ModelWriter:
    """Asks until a reply can be used, at a higher temperature with every attempt; no answer is paid for twice."""

    pool = "chat"
    looks = True

    def __init__(
        self,
        endpoint: Endpoint,
        vlm: Model,
        llm: Model,
        sampling: Sampling,
        out: Folder,
        passes: int = 0,
        judge: Model | None = None,
    ) -> None:
        """Keep the settings; the connection is made by the first `write`.

        Args:
            endpoint: the server that is asked.
            vlm: the model for prompts with images.
            llm: the model for prompts without images.
            sampling: temperatures, seed and limits of the attempts.
            out: folder of the run; answers are kept in its `replies/`.
            passes: how many earlier runs the circuit breaker stopped; every one allows further seeds to be tried.
            judge: the model that finds objects by their texts; None = the VLM.
        """
        self.name = vlm.name if vlm == llm else f"{vlm.name} + {llm.name}"
        self._endpoint, self._vlm, self._llm, self._sampling = endpoint, vlm, llm, sampling
        self.judge = judge or vlm
        self._store, self._passes = ReplyStore(out), passes
        self._opened: _Opened | None = None

    async def write(self, prompt: Prompt[R], row: Row, images: Sequence[bytes]) -> R:
        """Return the first reply that can be used, as `Writer.write` asks.

        Raises:
            RowError: no attempt gave one. The reason is REFUSED or MARKER_LEAK if that is the fault of every answer,
                else BAD_REPLY; ENGINE_ERROR if the engine answers this row's request with an error.
            FatalError: the engine is gone.
        """
        model = self.judge if prompt.name in JUDGED else self._vlm if images else self._llm
        texts = prompt.render(**prompts.values_of(row))
        faults: list[FaultError] = []
        before = len(row.calls)
        for temperature, seed in self._ladder(row):
            request = Request(
                model=model.name,
                system=texts.system,
                images=tuple(images),
                user=texts.user,
                schema_name=prompt.name,
                schema=_schema(prompt.reply),
                temperature=temperature,
                top_p=self._sampling.top_p,
                seed=seed,
                max_tokens=self._sampling.max_tokens,
            )
            answer, call = await self._answer(request, prompt, model)
            row.calls.append(call)
            try:
                return self._usable(parse_reply(prompt, answer), row)
            except FaultError as fault:
                call.fault = str(fault)
                faults.append(fault)
                if sum(not call.stored for call in row.calls[before:]) >= len(self._sampling.temperatures):
                    break
        reasons = {fault.reason for fault in faults}
        message = "; ".join(f"{number}. {fault}" for number, fault in enumerate(faults, 1))
        raise RowError(
            reasons.pop() if len(reasons) == 1 else Reason.BAD_REPLY,
            f"none of {len(faults)} answers of {model.name} to {prompt.id} can be used: {message}",
        )

    def _usable(self, reply: R, row: Row) -> R:
        """Return the reply if it speaks of nothing that was not shown.

        Raises:
            FaultError: it names a number that no object bore.
        """
        if isinstance(reply, Pick) and (wrong := [n for n in reply.numbers if n > len(row.lineup_shown)]):
            raise FaultError(Reason.BAD_REPLY, f"numbers has {wrong}, the objects bore 1 to {len(row.lineup_shown)}")
        return reply

    def _ladder(self, row: Row) -> Iterator[tuple[float, int]]:
        """Yield (temperature, seed) of every attempt.

        A row that failed in an earlier run begins with the same attempts, whose answers were kept, and has further
        seeds after them. Every trial of a line-up has seeds of its own: with few objects two trials may ask the same.
        """
        first = self._sampling.seed + _SEEDS_A_TRIAL * row.trial
        steps = self._sampling.temperatures * (row.attempts + 1 + self._passes)
        return ((temperature, first + number) for number, temperature in enumerate(steps))

    async def _answer(self, request: Request, prompt: Prompt[R], model: Model) -> tuple[ChatReply, Call]:
        asked = question(request, prompt.id, model.revision, self._endpoint.fields.deciding)
        key = key_of(asked)
        opened = self._open()
        lock = opened.asking.setdefault(key, asyncio.Lock())
        async with lock:
            answer = await self._store.get(key)
            stored = answer is not None
            if answer is None:
                answer = await opened.client.ask(request)
                await self._store.put(key, asked, answer)
        call = Call(
            prompt=prompt.id,
            model=model.name,
            revision=model.revision,
            key=key,
            temperature=request.temperature,
            seed=request.seed,
            tokens_in=answer.tokens_in,
            tokens_cached=answer.tokens_cached,
            tokens_out=answer.tokens_out,
            seconds_s=answer.seconds_s,
            resent=answer.resent,
            stored=stored,
            forms=list(answer.forms),
            fault=None,
        )
        return answer, call

    def _open(self) -> "_Opened":
        if self._opened is None:
            self._opened = _Opened(ChatClient(self._endpoint))
        return self._opened


@dataclass
class _Opened:
    """The connection of a worker, which cannot be pickled.

    Attributes:
        client: sends requests to the endpoint.
        asking: a lock for every key that is being asked: if two rows ask the same at the same time, the second one
            waits and finds the answer of the first in the store.
    """

    client: ChatClient
    asking: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)


class FaultError(Exception):
    """An answer cannot be used; its row ends with `reason` if every attempt has a fault of this reason."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message[:_FAULT_CHARS])
        self.reason = reason


def parse_reply(prompt: Prompt[R], answer: ChatReply) -> R:
    """Return the reply that a model gave to `prompt`, parsed by the prompt's reply class.

    Raises:
        FaultError: the answer has no reply, or one that cannot be used; the message says why.
    """
    if answer.refusal or answer.finish_reason == "content_filter":
        raise FaultError(Reason.REFUSED, f"refused: {answer.refusal or answer.text!r}")
    if not answer.text.startswith("{") and (one := _one_character(answer.text)):
        raise FaultError(Reason.BAD_REPLY, f"repeats itself: nothing but {one!r}: {answer.text[:40]!r}")
    if answer.finish_reason != "stop":
        raise FaultError(Reason.BAD_REPLY, f"ended by {answer.finish_reason!r} after {answer.tokens_out} tokens")
    if not answer.text.strip():
        raise FaultError(Reason.BAD_REPLY, "empty")
    try:
        reply = prompt.reply.model_validate_json(answer.text)
    except ValidationError as error:
        if any(_REFUSALS.match(text) for text in _texts(answer.text)):
            raise FaultError(Reason.REFUSED, f"refused: {answer.text!r}") from error
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise FaultError(Reason.BAD_REPLY, f"{where}: {first['msg']}" if where else first["msg"]) from error
    for name, text in reply:
        if isinstance(text, str):
            _check_characters(name, text)
            if name not in _unused(reply):
                _check_text(reply, name, text)
    return reply


def _texts(answer: str) -> list[str]:
    """Return the texts of an answer that does not fit its schema: its strings if it is a JSON object, else itself."""
    try:
        values = from_json(answer)
    except ValueError:
        return [answer]
    return [value for value in values.values() if isinstance(value, str)] if isinstance(values, dict) else [answer]


def _unused(reply: BaseModel) -> tuple[str, ...]:
    """Return the names of fields whose text does not describe the object, and so may quote anything."""
    if isinstance(reply, Pick):
        return ("evidence",)
    if not isinstance(reply, Consistency):
        return ()
    return ("verdict", "conflict") if reply.verdict == "consistent" else ("verdict", "conflict", "object_description")


def _check_characters(name: str, text: str) -> None:
    for char in text:
        if char == "\ufffd" or (unicodedata.category(char) in _NO_TEXT and not char.isspace()):
            raise FaultError(Reason.BAD_REPLY, f"{name} has a character that is no text: U+{ord(char):04X}")


def _check_text(reply: BaseModel, name: str, text: str) -> None:
    if refusal := _REFUSALS.match(text):
        raise FaultError(Reason.REFUSED, f"refused in {name}: {refusal.group()!r}")
    if one := _one_character(text):
        raise FaultError(Reason.BAD_REPLY, f"{name} repeats itself: nothing but {one!r}: {text[:40]!r}")
    if loop := _loop(text):
        raise FaultError(Reason.BAD_REPLY, f"{name} repeats itself: {loop!r}")
    if not isinstance(reply, Caption) and (leak := marker_leak(text)):
        raise FaultError(Reason.MARKER_LEAK, f"{name} speaks of how the object was shown: {leak!r}")
    if isinstance(reply, Expression):
        try:
            check_word_count(text)
        except ValueError as error:
            raise FaultError(Reason.BAD_REPLY, f"{name} {error}") from error


def _one_character(text: str) -> str | None:
    """Return the one or two characters that a text consists of or repeats at length; None for a good text.

    Engines whose numbers overflow write "!!!!" (token 0) to the end.
    """
    chars = "".join(text.split())
    if len(chars) >= _FEW_CHARS and len(set(chars)) <= _ALTERNATING_CHARS:
        return "".join(dict.fromkeys(chars))
    run = _RUN.search(chars)
    return (run.group(1) or run.group(2)) if run else None


def _loop(text: str) -> str | None:
    """Return words that a text repeats, or the end of a text that compresses too well; None for a good text."""
    words = text.casefold().split()
    runs = Counter(zip(*(words[at:] for at in range(_LOOP_WORDS)), strict=False))
    if runs and (most := runs.most_common(1)[0])[1] >= _LOOP_TIMES:
        return " ".join(most[0])
    raw = text.encode()
    repeats = len(raw) >= _COMPRESSED_BYTES and len(zlib.compress(raw)) < _COMPRESSED_FRAC * len(raw)
    return text[-40:] if repeats else None
