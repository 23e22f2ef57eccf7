"""Static pages: one HTML file with its data, images, script and style in it, which opens without a server.

The page makes no request. Data travel as JSON, and images as base64, in script blocks that are not executed; the page's
own script reads them and inserts texts as text only. The content security policy of a template names the SHA-256 of
its one script and of its one style sheet, so that nothing that came with the data can run.

A page is made as parts of text, so that a large one is never held whole; `Folder.write_text` writes them to a file that
appears at once, when it is complete.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files

from pydantic_core import to_json

_SLOT = re.compile(r"\{\{(\w+)\}\}")
_SHARED = re.compile(r"\{\{(\w+\.(?:css|js))\}\}\n")  # a file beside this module that several templates take in


def render_page(template: str, slots: Mapping[str, Iterable[str]], package: str = "pipeline.export") -> Iterator[str]:
    """Fill in a template; yields the page part by part.

    Args:
        template: name of an HTML file of `package`, with slots `{{name}}`, one `<script>` and one `<style>`. The
            slots `script_sha256` and `style_sha256`, for its content security policy, are filled in here, and a line
            `{{page.css}}` or `{{page.js}}` with the file of that name beside this module.
        package: the package that the template lies in.
        slots: by name, the parts of what stands there instead; those that come from data must be made by
            `json_object` or `image_block`.

    Raises:
        KeyError: the template has a slot that is not in `slots`.
    """
    text = _SHARED.sub(lambda found: _read(__package__, found[1]), _read(package, template))
    filled: dict[str, Iterable[str]] = dict(slots)
    for tag in ("script", "style"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        filled[f"{tag}_sha256"] = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()]
    # The template is split once, so that a text of the data that looks like a slot stays a text.
    for number, part in enumerate(_SLOT.split(text)):
        if number % 2:
            yield from filled[part]
        else:
            yield part


def _read(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def json_object(fields: Iterable[tuple[str, object]]) -> Iterator[str]:
    """Write a JSON object part by part, for a `<script type="application/json">`.

    Args:
        fields: names and values, taken one after the other; of a value that is an iterator, an array is written as its
            items come, so that a later value may be made of what was seen meanwhile.
    """
    yield "{"
    for number, (name, value) in enumerate(fields):
        yield f"{',' * bool(number)}{_json(name)}:"
        if isinstance(value, Iterator):
            yield "["
            for place, item in enumerate(value):
                yield f"{',' * bool(place)}{_json(item)}"
            yield "]"
        else:
            yield _json(value)
    yield "}"


def image_block(name: str, image: bytes) -> str:
    """Wrap an image file in a script block of id `name`: the page's script makes an image of it when it is shown."""
    return f'<script type="text/plain" id="{name}">{base64.b64encode(image).decode()}</script>\n'


def _json(value: object) -> str:
    # An escaped "<" can neither close the script block nor open a comment in it.
    return to_json(value, inf_nan_mode="null").decode().replace("<", "\\u003c")
