"""Publishes the negatives of the kept rows: texts that fit nothing in their video, or another object of it.

The hub gets them as rows of their own, `negatives/train-….parquet`; training reads `negatives.json`.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manifests.io import Folder
from manifests.outputs import NEGATIVES_FILE
from manifests.schema import Status
from pipeline.export import negatives_json
from pipeline.export.annotations import Annotations
from pipeline.publishing import published
from pipeline.publishing.dataset_card import Config
from pipeline.publishing.features import published_schema
from pipeline.publishing.parts import PartWriter

_BATCH_ROWS = 500
_OF_ROW = ("object_id", "video_id")


def write_negatives(annotations: Annotations, root: Path, max_bytes: int) -> Config | None:
    """Write the negatives into the folder of a dataset; None if there are none.

    Args:
        annotations: the published rows.
        root: folder of the dataset.
        max_bytes: most bytes of a file.
    """
    own = annotations.schema.field("negatives").type.value_type
    schema = published_schema(pa.schema([*(annotations.schema.field(name) for name in _OF_ROW), *own]))
    writer = PartWriter(root, published.NEGATIVES, schema, max_bytes)
    written = 0
    for batch in annotations.batches([*_OF_ROW, "status", "negatives"], _BATCH_ROWS):
        kept = batch.filter(pc.equal(batch["status"], Status.KEPT.value)).combine_chunks()
        negatives = pc.list_flatten(kept["negatives"].combine_chunks())
        if not len(negatives):
            continue
        of_row = kept.take(pc.list_parent_indices(kept["negatives"].combine_chunks()))
        columns = [*(of_row[name] for name in _OF_ROW), *(pc.struct_field(negatives, field.name) for field in own)]
        writer.write(pa.table(columns, schema.names))
        written += len(negatives)
    if not written:
        return None
    Folder(str(root)).write_text(NEGATIVES_FILE, negatives_json.text(annotations))
    return Config("negatives", published.NEGATIVES, schema, writer.close(), "texts that no object, or another, fits")
