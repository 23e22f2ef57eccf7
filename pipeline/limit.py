"""Which videos `--limit N` takes: always the same, spread over the shard, and those of a smaller N are among them."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import Status

_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, are spread evenly whatever their number
_SEED = 0


def chosen_videos(video_ids: Sequence[str], number: int, seed: int = _SEED) -> list[str]:
    """Choose `number` of the videos; the choice for a smaller number is a part of that for a larger one.

    Args:
        video_ids: of the shard, each once, sorted.
        number: at least 1; more than there are takes all.
        seed: another seed gives another choice.
    """
    keys = [((at + seed) * _GOLDEN) % 1.0 for at in range(len(video_ids))]
    ranked = sorted(range(len(video_ids)), key=keys.__getitem__)[:number]
    return [video_ids[at] for at in sorted(ranked)]


def left_out(manifest: pa.Table, number: int) -> set[str]:
    """Ids of the rows of all videos but `number` of those in which something is to be described.

    Args:
        manifest: columns object_id, video_id and status of the whole manifest.
        number: of videos to take.
    """
    pending = manifest.filter(pc.equal(manifest["status"], Status.PENDING.value))["video_id"]
    chosen = chosen_videos(sorted(set(pending.to_pylist())), number)
    out = pc.invert(pc.is_in(manifest["video_id"], value_set=pa.array(chosen, pa.string())))
    return set(manifest.filter(out)["object_id"].to_pylist())
