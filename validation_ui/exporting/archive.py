"""Packs an export into one zip file, for a download: the same files give the same bytes."""

import zipfile
from pathlib import Path

_AT = (1980, 1, 1, 0, 0, 0)  # the earliest time that the format has; real times would make every archive another


def pack(folder: Path, to: Path) -> None:
    """Write all files below `folder` into a zip file, in the order of their names, and remove each once it is in.

    The files are stored as they are: pictures do not get smaller, and the bytes depend on no version of zlib.
    """
    with zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(f"split/{path.relative_to(folder).as_posix()}", _AT)
            info.external_attr = 0o644 << 16
            info.file_size = path.stat().st_size  # so that files above 2 GiB get the large form from the start
            with path.open("rb") as file, archive.open(info, "w") as entry:
                while part := file.read(1 << 20):
                    entry.write(part)
            path.unlink()
