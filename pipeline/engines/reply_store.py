"""Every reply of a model, kept under the hash of what was asked: what was answered once is not paid for again.

A file a reply, `replies/<2 digits>/<key>.json`, written whole as soon as the reply is there. Pictures stand in it by
their hash: `--explain` draws them again.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from manifests.io import Folder
from pipeline.engines.dialect import Request
from pipeline.engines.reading import ChatReply
from stages.base import FatalError


class ReplyStore:
    """The folder `replies/` of a run; any number of processes may use it."""

    def __init__(self, out: Folder) -> None:
        self._out = out

    async def get(self, key: str) -> ChatReply | None:
        """The answer kept under `key`; None if there is none, or none that can be read (a machine that went down).

        Raises:
            FatalError: the folder cannot be read.
        """
        try:
            kept = await asyncio.to_thread(read, self._out, key)
            answer = kept["answer"]
            return ChatReply(**{**answer, "forms": tuple(answer.get("forms", ()))})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        except OSError as error:
            raise FatalError(f"replies cannot be read from {self._out.path('replies')}: {error}") from error

    async def put(self, key: str, asked: dict[str, Any], answer: ChatReply) -> None:
        """Keep an answer, with what was asked (`question`); it is kept too if the run is stopped meanwhile.

        Raises:
            FatalError: it cannot be written: the next one would be paid for and lost as well.
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
    """All that decides the answer, as JSON values; pictures by their SHA-256.

    Args:
        request: what is asked.
        prompt_id: of its prompt; the schema is in it too.
        revision: of the model.
        fields: that the user set or left out, of those that can change an answer.
    """
    asked = {
        "prompt": prompt_id,
        "model": request.model,
        "revision": revision,
        "system": request.system,
        "pictures": [hashlib.sha256(picture).hexdigest() for picture in request.pictures],
        "user": request.user,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "max_tokens": request.max_tokens,
    }
    return {**asked, "fields": dict(fields)} if fields else asked


def key_of(asked: dict[str, Any]) -> str:
    """The name of a question's answer."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def read(out: Folder, key: str) -> dict[str, Any]:
    """What is kept under `key`: `asked` and `answer`.

    Raises:
        FileNotFoundError: nothing is.
    """
    kept: dict[str, Any] = json.loads(out.read_bytes(_name(key)))
    return kept


def _name(key: str) -> str:
    return f"replies/{key[:2]}/{key}.json"
