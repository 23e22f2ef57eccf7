"""What must hold before a split leaves the house."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from validation_ui.exporting.benchmark import Expression
from validation_ui.exporting.errors import ExportError, named
from validation_ui.settings import Settings

MARK = "split.json"  # a folder with this file and SUMS is an export of ours, and may be replaced
SUMS = "SHA256SUMS"


def check_out(out: Path) -> None:
    """Nothing but an earlier export may be replaced.

    Raises:
        ExportError: something else is there.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not all((out / name).is_file() for name in (MARK, SUMS)):
        raise ExportError(
            f"an export replaces nothing but an earlier export, got {out}, which has no {MARK} and {SUMS}; name a new "
            "folder"
        )


def check_chosen(chosen: Sequence[Expression], settings: Settings) -> None:
    """There is something to export, and no more than was asked for.

    Raises:
        ExportError: nothing was accepted, or a quota was made smaller than what was accepted under it.
    """
    if not chosen:
        raise ExportError("a split has at least one accepted expression, got none; the progress page tells what waits")
    objects: dict[str, set[int]] = defaultdict(set)
    for each in chosen:
        objects[each.video_id].add(each.masklet_id)
    kinds = Counter(each.kind for each in chosen)
    got = {"videos": len(objects), "long": kinds["long"], "short": kinds["short"]}
    for name, count in got.items():
        if count > getattr(settings, name):
            raise ExportError(
                f"a split keeps to its quotas, got {count} accepted for {name}={getattr(settings, name)}; raise it "
                "with `python -m validation_ui set`"
            )
    full = sorted(video_id for video_id, ids in objects.items() if len(ids) > settings.per_video)
    if full:
        raise ExportError(
            f"a video has at most per_video={settings.per_video} objects in the split, got more in {named(full)}; "
            "raise it with `python -m validation_ui set`"
        )
