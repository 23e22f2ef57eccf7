"""JSON that every part of the app can store and send again, whoever wrote it.

Python's parser takes more than JSON has (NaN, Infinity, numbers that overflow), and JSON has more than a text in a
database can hold (half of a surrogate pair, U+0000) or a browser can count (integers beyond 2**53). One such value in a
draft would make every later response fail that contains it, so it is refused where it comes in.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

MAX_DEPTH = 20  # lists and objects inside of each other
_MAX_INT = 2**53 - 1
_MAX_DIGITS = 16


def parse(body: bytes) -> Any:
    """Parse JSON in UTF-8.

    Raises:
        ValueError: it is not JSON, or `fault` finds something; the message is a sentence for people.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"JSON is sent in UTF-8, and byte {error.start} is not; send it again as UTF-8") from error
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_int=_int)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except json.JSONDecodeError as error:
        raise ValueError(f"this is not JSON: {error.msg} at character {error.pos}") from error
    if (wrong := fault(value)) is not None:
        raise ValueError(wrong)
    return value


def fault(value: object) -> str | None:
    """Return what is wrong with a parsed value, as a sentence with the place, or None."""
    return next(_faults(value, "", 0), None)


_TOO_DEEP = f"lists and objects may be nested {MAX_DEPTH} deep, and these are deeper; send them flat"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"a number must be finite, got {name}; leave the field out")


def _int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a whole number has at most {_MAX_DIGITS} digits, got {len(digits)}")
    return int(digits)


def _faults(value: object, at: str, depth: int) -> Iterator[str]:
    where = at or "the value"
    if depth >= MAX_DEPTH and isinstance(value, dict | list):
        yield _TOO_DEEP
    elif isinstance(value, str):
        yield from _text_faults(value, where)
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"a number must be finite, got {value} at {where}; leave it out"
    elif isinstance(value, int) and abs(value) > _MAX_INT:
        yield f"a whole number is at most {_MAX_INT}, got more at {where}"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _text_faults(key, f"a name in {where}")
            yield from _faults(inner, f"{at}.{_short(key)}".lstrip("."), depth + 1)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _faults(inner, f"{at}[{n}]", depth + 1)


def _text_faults(text: str, where: str) -> Iterator[str]:
    for character in text:
        if character == "\0" or "\ud800" <= character <= "\udfff":
            what = "a character U+0000" if character == "\0" else "half of a character pair"
            yield f"text must be whole characters, got {what} (U+{ord(character):04X}) in {where}; remove it"
            return


def _short(key: str) -> str:
    """Return a name for a message: what was sent is never repeated at length or unsafe."""
    return key[:20] if key.isidentifier() and key.isascii() else "?"
