"""Reads the JSON files of sources."""

import json
import re
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from stages.video.source_file import json_text

_SHOWN_CHARACTERS = 80


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: it cannot be opened, or is no JSON; what it is instead, or where it breaks off, is said.
    """
    try:
        return from_json(json_text(path.read_bytes()), cache_strings="keys")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        cut = ": the file breaks off, get it again" if str(error).startswith("EOF ") else ""
        raise ValueError(f"{path}: {error}{cut}") from error


def brief_json(content: Any) -> str:
    """Return the beginning of what a file holds, for a message."""
    text = json.dumps(content, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def label_of(name: Any) -> str | None:
    """Return a category or noun phrase as one line of text; None if it is not a text, or has no words."""
    words = [word for word in re.split(r"[\s\x00-\x1f\x7f]+", name) if word] if isinstance(name, str) else []
    return " ".join(words) or None


def categories(folder: Path) -> dict[str, dict[str, str]]:
    """Return video -> object -> category of YouTube-VOS's `meta.json` in a folder; nothing if it has none.

    Raises:
        ValueError: there is one that is no JSON.
    """
    path = folder / "meta.json"
    if not path.is_file():
        return {}
    content = read_json(path)
    videos = content.get("videos") if isinstance(content, dict) else None
    found: dict[str, dict[str, str]] = {}
    for video_id, video in videos.items() if isinstance(videos, dict) else ():
        objects = video.get("objects") if isinstance(video, dict) else None
        for object_id, entry in objects.items() if isinstance(objects, dict) else ():
            if isinstance(entry, dict) and (label := label_of(entry.get("category"))):
                found.setdefault(video_id, {})[object_id] = label
    return found
