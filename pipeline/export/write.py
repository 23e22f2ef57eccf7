"""Writes the exports of a run beside its annotations: report.html, Ref-SAV.json and the dataset card."""

from collections.abc import Sequence

from manifests.io import Folder
from pipeline.export import card, refsav_json, report
from pipeline.export.annotations import Annotations
from pipeline.export.cost import Cost
from pipeline.export.run_info import RunInfo


def write_exports(
    out: Folder, annotations: Annotations, info: RunInfo, stages: Sequence[str], bill: Cost | None
) -> None:
    """Write all exports; each is whole or not there."""
    out.write_text("Ref-SAV.json", refsav_json.text(annotations))
    out.write_text("README.md", [card.card(annotations, info, stages, bill)])
    out.write_text("report.html", report.report(annotations, info, stages, bill))
