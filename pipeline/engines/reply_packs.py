"""Packs the replies of a run that is done: one zip file for every two digits instead of a file for every reply.

A shard of SA-V leaves about 10,000 replies, all of SA-V 600,000: as loose files they take five times the room of packs
on a disk, and a request each to copy or remove on an object store or a file system over a network. A pack is written
anew beside the old one, takes its place, and only then are the loose files removed. So whenever a run is killed, every
reply is in one place at least. A reply that comes later is a loose file again, until the next packing.
"""

import io
import threading
import zipfile
from collections import OrderedDict

from manifests.io import Folder

FOLDER = "replies"
_PACK_FROM = 4_096  # loose replies from which a finished run is packed
_OPENED = 16  # packs whose lists of contents are in memory: 1 MB each for all of SA-V
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that zip knows: the same replies make the same bytes


class Packs:
    """The packs of a run, for reading; any number of threads may use it. What is packed later is not seen.

    Sent to another process, it opens them anew.
    """

    def __init__(self, out: Folder) -> None:
        self._out = out
        self._names: frozenset[str] | None = None
        self._opened: OrderedDict[str, zipfile.ZipFile] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["Packs"], tuple[Folder]]:
        """Keep open files and the lock out of a pickle."""
        return Packs, (self._out,)

    def read(self, key: str) -> bytes:
        """Return the file that was stored under `key`.

        Raises:
            FileNotFoundError: no pack has it.
            ValueError: the pack is damaged.
        """
        with self._lock:
            if self._names is None:
                self._names = frozenset(self._out.names(FOLDER, ".zip"))
            name = _pack_name(key[:2])
            if name not in self._names:
                raise FileNotFoundError(f"no pack {name} in {self._out.path()}")
            try:
                return self._open(name).read(f"{key}.json")
            except KeyError as error:
                raise FileNotFoundError(f"{name} has no reply {key}") from error
            except (zipfile.BadZipFile, EOFError) as error:
                raise ValueError(f"{self._out.path(name)} must be a pack of replies, got {error}") from error

    def _open(self, name: str) -> zipfile.ZipFile:
        if name not in self._opened:
            source = self._out.path(name) if self._out.is_local else io.BytesIO(self._out.read_bytes(name))
            self._opened[name] = zipfile.ZipFile(source)
            if len(self._opened) > _OPENED:
                self._opened.popitem(last=False)[1].close()
        self._opened.move_to_end(name)
        return self._opened[name]


def pack(out: Folder) -> int:
    """Pack all loose replies of a run that nothing is written to now; returns how many."""
    folders = sorted({path.rpartition("/")[2] for path in _folders(out)})
    return sum(_pack_digits(out, digits) for digits in folders)


def pack_if_many(out: Folder) -> int:
    """Pack the replies of a finished run if they are many and lie on a disk; returns how many were packed."""
    if not out.is_local:
        return 0
    loose = sum(len(out.names(f"{FOLDER}/{path.rpartition('/')[2]}", ".json")) for path in _folders(out))
    return pack(out) if loose >= _PACK_FROM else 0


def _folders(out: Folder) -> list[str]:
    if not out.exists(FOLDER):
        return []
    listed = out.fs.ls(out.path(FOLDER), detail=True, refresh=True)
    return [str(entry["name"]).rstrip("/") for entry in listed if entry["type"] == "directory"]


def _pack_digits(out: Folder, digits: str) -> int:
    names = out.names(f"{FOLDER}/{digits}", ".json")
    if not names:
        return 0
    files: dict[str, bytes] = {}
    if out.exists(_pack_name(digits)):
        with zipfile.ZipFile(io.BytesIO(out.read_bytes(_pack_name(digits)))) as before:
            files = {name: before.read(name) for name in before.namelist()}
    files |= {name.rpartition("/")[2]: out.read_bytes(name) for name in names}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _TIME), content, zipfile.ZIP_DEFLATED)
    out.write_bytes(_pack_name(digits), packed.getvalue())
    for name in names:
        out.delete(name)
    if out.is_local:
        out.fs.rmdir(out.path(f"{FOLDER}/{digits}"))
    return len(names)


def _pack_name(digits: str) -> str:
    return f"{FOLDER}/{digits}.zip"
