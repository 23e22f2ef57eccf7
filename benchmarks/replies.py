"""What a folder of replies costs on a disk, loose and packed: `python -m benchmarks.replies`.

All of SA-V asks about 600,000 times: 72,509 kept objects and some 30,000 that are rejected after their captions. Here
--files replies (150,000) of the usual size are written as a run writes them, then listed, walked as rsync walks (name,
size and time of each), read in random order and removed; then the same for the replies packed (reply_packs.py).
"""

import argparse
import asyncio
import hashlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manifests.io import Folder
from pipeline.engines import reply_packs
from pipeline.engines.reading import ChatReply
from pipeline.engines.reply_store import ReplyStore

ANSWER_CHARS, READS = 700, 2_000


def main() -> None:
    """Print seconds, files and bytes, loose and packed."""
    command = argparse.ArgumentParser(prog="python -m benchmarks.replies", description=__doc__)
    command.add_argument("--files", type=int, default=150_000)
    command.add_argument("--root", type=Path, help="folder on the disk to measure; default a temporary one")
    options = command.parse_args()
    root = Path(tempfile.mkdtemp(dir=options.root))
    try:
        out = Folder(str(root / "run"))
        keys = [hashlib.sha256(f"{number}".encode()).hexdigest()[:32] for number in range(options.files)]
        with timed("written"):
            asyncio.run(_write(out, keys))
        _look_at(out, keys, "loose")
        copy = shutil.copytree(root / "run", root / "copy")
        with timed("loose: rm -r"):
            shutil.rmtree(copy)
        with timed("packed"):
            reply_packs.pack(out)
        _look_at(out, keys, "packed")
        with timed("packed: rm -r"):
            shutil.rmtree(root / "run")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _look_at(out: Folder, keys: list[str], name: str) -> None:
    root = Path(out.path("replies"))
    with timed(f"{name}: ls -R"):
        names = [entry for _, _, files in os.walk(root) for entry in files]
    with timed(f"{name}: walk with size and time"):
        stats = [path.stat() for path in root.rglob("*") if path.is_file()]
    chosen = random.Random(0).sample(keys, min(READS, len(keys)))
    with timed(f"{name}: {len(chosen):,} replies read"):
        asyncio.run(_read(out, chosen))
    used_mb = sum(one.st_blocks * 512 for one in stats) / 1e6
    print(
        f"{name:>36}  {len(names):,} files, {sum(one.st_size for one in stats) / 1e6:,.0f} MB, {used_mb:,.0f} on disk"
    )


async def _write(out: Folder, keys: list[str]) -> None:
    store, words = ReplyStore(out), random.Random(0)
    for key in keys:
        text = "".join(words.choices("abcdefghij klmnop", k=ANSWER_CHARS))
        asked = {
            "prompt": "describe_scene@00000000",
            "model": "m",
            "user": text,
            "system": "s" * 900,
            "pictures": [key],
        }
        await store.put(key, asked, ChatReply(text=text, finish_reason="stop", tokens_in=900, tokens_out=160))


async def _read(out: Folder, keys: list[str]) -> None:
    store = ReplyStore(out)
    for key in keys:
        assert await store.get(key) is not None


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the seconds of a block."""
    began_s = time.perf_counter()
    yield
    print(f"{what:>36}  {time.perf_counter() - began_s:8.2f} s", flush=True)


if __name__ == "__main__":
    main()
