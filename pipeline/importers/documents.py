"""Reads the JSON files of sources."""

from pathlib import Path
from typing import Any

from pydantic_core import from_json

from stages.video.source_file import json_text


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
            if isinstance(entry, dict) and isinstance(entry.get("category"), str):
                found.setdefault(video_id, {})[object_id] = entry["category"]
    return found
