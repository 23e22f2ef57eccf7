"""Stores every reply of a model under the hash of its request, so that no request is paid for twice.

Each reply is a file, `replies/<2 digits>/<key>.json`, that is written as soon as the reply has come; those of a large
run that is done are packed (`reply_packs.py`). Images are not in it, only their SHA-256; `--explain` draws them again.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from manifests.io import Folder
from manifests.row_results import FatalError
from pipeline.engines.dialect import Request
from pipeline.engines.reading import ChatReply
from pipeline.engines.reply_packs import Packs


class ReplyStore:
    """The folder `replies/` of a run; any number of processes may read and write it."""

    def __init__(self, out: Folder) -> None:
        self._out, self._packs = out, Packs(out)

    async def get(self, key: str) -> ChatReply | None:
        """Return the reply stored under `key`; None if there is none, or its file is damaged (by a machine's crash).

        Raises:
            FatalError: the folder cannot be read.
        """
        try:
            kept = await asyncio.to_thread(_read, self._out, self._packs, key)
            answer = kept["answer"]
            return ChatReply(**{**answer, "forms": tuple(answer.get("forms", ()))})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        except OSError as error:
            raise FatalError(f"replies cannot be read from {self._out.path('replies')}: {error}") from error

    async def put(self, key: str, asked: dict[str, Any], answer: ChatReply) -> None:
        """Store a reply and its request; the file is written even if the caller is cancelled meanwhile.

        Args:
            key: from `key_of(asked)`.
            asked: the request, from `question`.
            answer: the reply.

        Raises:
            FatalError: it cannot be written: every further reply would be paid for and lost.
        """
        value = {"asked": asked, "answer": asdict(answer)}
        loop = asyncio.get_running_loop()
        try:
            await asyncio.shield(loop.run_in_executor(None, self._out.write_json, _name(key), value))
        except OSError as error:
            raise FatalError(f"replies cannot be written to {self._out.path('replies')}: {error}") from error


def question(
    request: Request, prompt_id: str, revision: str, fields: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return, as JSON values, everything that decides the reply to a request; images as their SHA-256.

    Args:
        request: the request.
        prompt_id: `name@hash` of its prompt; the hash covers the schema of the reply too.
        revision: version of the model.
        fields: request fields that the user set or left out, as far as they can change a reply.
    """
    asked = {
        "prompt": prompt_id,
        "model": request.model,
        "revision": revision,
        "system": request.system,
        "pictures": [hashlib.sha256(image).hexdigest() for image in request.images],
        "user": request.user,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "max_tokens": request.max_tokens,
    }
    return {**asked, "fields": dict(fields)} if fields else asked


def key_of(asked: dict[str, Any]) -> str:
    """Return the key, 32 hexadecimal digits, under which the reply to a request is stored."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def read(out: Folder, key: str) -> dict[str, Any]:
    """Read the file stored under `key`: the request (`asked`) and the reply (`answer`).

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not JSON.
    """
    return _read(out, Packs(out), key)


def _read(out: Folder, packs: Packs, key: str) -> dict[str, Any]:
    try:
        content = out.read_bytes(_name(key))
    except FileNotFoundError:
        content = packs.read(key)
    kept: dict[str, Any] = json.loads(content)
    return kept


def _name(key: str) -> str:
    return f"replies/{key[:2]}/{key}.json"
