"""A split of some videos of a run without people's judgement: to try the scorer, not to compare models by.

`python -m tests.pipeline.evaluation.unjudged RUN SPLIT VIDEO_ID…`; RUN must have a frame store (`--store`).
"""

import json
import sys
from pathlib import Path

import pyarrow as pa


def main(run: Path, split: Path, video_ids: list[str]) -> None:
    """Write the long text of every kept object of these videos, its masks, and the frames."""
    entries = json.loads((run / "Ref-SAV.json").read_text())
    meta: dict[str, dict[str, object]] = {}
    masks: dict[str, list[dict[str, object]]] = {}
    for video_id in video_ids:
        with pa.memory_map(str(run / "frames" / f"{video_id}.arrow")) as file:
            batch = pa.ipc.open_file(file).get_batch(0)
        info = json.loads(batch.schema.metadata[b"refsav.frames"])
        size = [info["height_px"], info["width_px"]]
        names = [f"{t:05d}" for t in range(0, info["frame_count"], 4)]
        folder = split / "videos" / video_id
        folder.mkdir(parents=True)
        for name, jpeg in zip(names, batch["jpeg"].to_pylist(), strict=True):
            (folder / f"{name}.jpg").write_bytes(jpeg)
        expressions = {}
        rows = batch["manual"].to_pylist()
        for column, described in entries[f"{video_id}_manual"]["objects"].items():
            anno_id = str(len(masks))
            masks[anno_id] = [{"size": size, "counts": row[int(column)].decode()} for row in rows]
            expressions[anno_id] = {
                "exp": described["formated"],
                "obj_id": [int(anno_id)],
                "anno_id": [int(anno_id)],
                "type_id": 0,
            }
        meta[video_id] = {"expressions": expressions, "frames": names, "height": size[0], "width": size[1]}
    (split / "meta_expressions_valid.json").write_text(json.dumps({"videos": meta}))
    (split / "mask_dict.json").write_text(json.dumps(masks))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
