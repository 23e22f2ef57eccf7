"""Writes the exports of a run beside its annotations: report.html, Ref-SAV.json and the dataset card."""

from collections.abc import Sequence

import pyarrow as pa

from manifests.arrow import arrow_schema
from manifests.io import Folder
from manifests.schema import AnnotationRow
from pipeline.export import card, refsav_json, report
from pipeline.export.run_info import RunInfo

_PICTURES = "preview_jpeg"


def read_annotations(out: Folder, *, pictures: bool = False) -> pa.Table:
    """The annotations of a run, sorted by object_id; previews only if asked for, they are nearly all of the bytes."""
    schema = arrow_schema(AnnotationRow)
    at = schema.get_field_index(_PICTURES)
    schema = schema.set(at, schema.field(at).with_type(pa.large_binary()))  # binary ends at 2 GiB: 50,000 previews
    columns = [name for name in schema.names if pictures or name != _PICTURES]
    return out.read_tables("annotations", schema, columns).sort_by("object_id")


def write_exports(out: Folder, info: RunInfo, stages: Sequence[str]) -> None:
    """Write all exports; each is whole or not there."""
    table = read_annotations(out)
    out.write_json("Ref-SAV.json", refsav_json.entries(table))
    out.write_bytes("README.md", card.card(table, info, stages).encode())
    out.write_bytes("report.html", report.report(read_annotations(out, pictures=True), info, stages).encode())
