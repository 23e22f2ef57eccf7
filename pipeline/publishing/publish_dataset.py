"""Writes a dataset from runs, step by step: one pass through the runs' rows, everything else from what it wrote."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.io import Folder
from manifests.outputs import NEGATIVES_FILE, TRAIN_FILE, brief
from manifests.schema import Status
from pipeline.export import card, cost, refsav_json
from pipeline.export.annotations import Annotations
from pipeline.publishing import croissant, dataset_card, leaks, published, viewer
from pipeline.publishing.dataset_card import Config
from pipeline.publishing.dataset_files import checksums, complete_folder, copy_split, licence, notice, write_sums
from pipeline.publishing.features import published_schema
from pipeline.publishing.join_negatives import write_negatives
from pipeline.publishing.joined import JoinedAnnotations
from pipeline.publishing.mixture import check_alike, differences
from pipeline.publishing.parts import MAX_BYTES, PartWriter
from pipeline.publishing.runs import PublishedRun, joined_info, joined_stages
from pipeline.publishing.viewer_frames import FrameReader
from pipeline.verification.summary import verify

_BATCH_ROWS = 500
_SHOWN = 5  # names in a note
BENCHMARK = "benchmark"


@dataclass(frozen=True, kw_only=True)
class PublishSettings:
    """Holds what a dataset is to be.

    Attributes:
        out: its folder.
        split: folder of a benchmark split, to be published with it; None = without.
        leave_out: publish without the rows that the split shares or resembles, instead of refusing.
        mix: take runs that were not made alike.
        repo: USER/NAME on the hub.
        title: heading of the card and the viewer.
        creator: who made it.
        date: YYYY-MM-DD.
        version: MAJOR.MINOR.PATCH.
        sav_root: folder of the videos, for frames with masks in the viewer; None = without.
        pictures: most rows with a picture in the viewer.
        max_bytes: most bytes of a parquet file.
    """

    out: Path
    split: Path | None = None
    leave_out: bool = False
    mix: bool = False
    repo: str = "USER/NAME"
    title: str = "Ref-SAV"
    creator: str = "the publishers of this dataset"
    date: str
    version: str = "1.0.0"
    sav_root: Path | None = None
    pictures: int = viewer.MAX_PICTURES
    max_bytes: int = MAX_BYTES


@dataclass(frozen=True)
class Published:
    """Holds the counts of a dataset: rows of the runs = kept + not_kept + left_out."""

    rows: int
    kept: int
    not_kept: int
    left_out: int
    files: int
    size_bytes: int
    notes: list[str]


def publish(given: Sequence[PublishedRun], settings: PublishSettings, say: Callable[[str], None]) -> Published:
    """Write a dataset; its folder appears when it is complete.

    Args:
        given: the runs, in any order.
        settings: what it is to be.
        say: told what is done next.

    Raises:
        ValueError: the runs or the split break a rule; nothing was written.
    """
    runs = sorted(given, key=lambda run: run.first_id)
    if not settings.mix:
        check_alike(runs)
    mixed = differences(runs, [", ".join(run.info["shards"]) for run in runs])
    notes: list[str] = []
    with complete_folder(settings.out, published.INFO) as root:
        joined = JoinedAnnotations(runs)
        found = _compared(joined, settings, say)
        leaving = found.videos if found else frozenset()
        say(f"writing {joined.num_rows:,} rows")
        configs, left_out = _write_rows(joined, root, leaving, settings)
        kept, not_kept = configs[0].rows, configs[1].rows
        assert joined.num_rows == kept + not_kept + left_out, (joined.num_rows, kept, not_kept, left_out)
        del joined
        info, stages = joined_info(runs), joined_stages(runs)
        told = {"run": info, "stages": stages, "left_out": left_out, "mixed": mixed, "version": settings.version}
        (root / published.INFO).write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        rows = published.PublishedAnnotations(Folder(str(root)))
        if negatives := write_negatives(rows, root, settings.max_bytes):
            configs.append(negatives)
        say("writing the training file, the card and the viewer")
        Folder(str(root)).write_text(TRAIN_FILE, refsav_json.text(rows))
        if settings.split:
            copy_split(settings.split, root / BENCHMARK)
        (root / "LICENSE").write_text(licence(), encoding="utf-8")
        versions = f"{info['versions'].get('refsav', 'unknown')}, commit {info['git_commit']}"
        (root / "NOTICE").write_text(notice(info["models"], versions), encoding="utf-8")
        values = card.values(rows, info, stages, cost.cost(rows, info), verify(rows))
        others = [(name, text) for name, text in _FOR_TRAINING if (root / name).is_file()] + list(_OTHERS)
        text = dataset_card.dataset_card(
            values,
            configs,
            title=settings.title,
            repo=settings.repo,
            runs=_runs(runs),
            unpacked={
                config.name: dataset_card.unpacked_bytes([str(root / part.name) for part in config.parts])
                for config in configs
            },
            mixed=mixed,
            left_out=_left_out(left_out, leaving),
            agreement=_agreement(settings, found),
            others=others,
        )
        (root / "README.md").write_text(text, encoding="utf-8")
        frames = FrameReader(settings.sav_root) if settings.sav_root else None
        about = {
            "title": settings.title,
            "lede": f"{kept:,} of {kept + not_kept:,} masklets kept with an expression, of {_runs(runs)}.",
            "notes": [_left_out(left_out, leaving)] * bool(left_out),
        }
        viewer.write_viewer(rows, root, about, frames_of=frames, max_pictures=settings.pictures)
        if frames and frames.missing:
            notes.append(f"{len(frames.missing):,} rows have no frames in the viewer, e.g. {frames.missing[0]}")
        if found and found.unseen:
            notes.append(f"{found.unseen:,} videos with kept rows have no preview: compared with the split by id alone")
        if found and found.without_frames:
            few = ", ".join(found.without_frames[:_SHOWN])
            notes.append(
                f"{len(found.without_frames):,} videos of the split have no frame that can be read ({few}): "
                "compared by id alone"
            )
        _describe(root, configs, settings, values, info)
        sizes = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
    return Published(kept + not_kept + left_out, kept, not_kept, left_out, len(sizes), sum(sizes), notes)


_FOR_TRAINING = (
    (TRAIN_FILE, "the kept rows for the official Sa2VA training code"),
    (NEGATIVES_FILE, "texts that fit nothing in their video, or another object, for this project's training"),
)
_OTHERS = (
    ("index.html", "shows the rows in a browser"),
    ("croissant.json", "describes the files for programs"),
    ("LICENSE, NOTICE", "licence; whom to name, and the models' licences"),
    ("SHA256SUMS", "checksums, for `sha256sum -c SHA256SUMS`"),
)


def _compared(joined: Annotations, settings: PublishSettings, say: Callable[[str], None]) -> leaks.Leaks | None:
    if settings.split is None:
        return None
    say("comparing the rows with the split")
    found = leaks.find_leaks(joined, leaks.read_split(settings.split))
    if not settings.leave_out:
        found.check(settings.split)
    return found


def _write_rows(
    joined: Annotations, root: Path, leaving: frozenset[str], settings: PublishSettings
) -> tuple[list[Config], int]:
    """Write the rows of both configs; return them, and the number of rows that were left out."""
    schema = published_schema(joined.schema)
    kept = PartWriter(root, published.KEPT, schema, settings.max_bytes)
    others = PartWriter(root, published.NOT_KEPT, schema, settings.max_bytes)
    left_out, gone = 0, pa.array(sorted(leaving), pa.string())
    for batch in joined.batches(joined.schema.names, _BATCH_ROWS):
        leaks_out = pc.is_in(batch["video_id"], value_set=gone)
        left_out += pc.sum(leaks_out).as_py() or 0
        rows = batch.filter(pc.invert(leaks_out))
        is_kept = pc.equal(rows["status"], Status.KEPT.value)
        kept.write(rows.filter(is_kept))
        others.write(rows.filter(pc.invert(is_kept)))
    return [
        Config("default", published.KEPT, schema, kept.close(), "masklets with an expression"),
        Config("not_kept", published.NOT_KEPT, schema, others.close(), "rejected and failed masklets"),
    ], left_out


def _runs(runs: Sequence[PublishedRun]) -> str:
    return f"{len(runs):,} run{'s' * (len(runs) != 1)}"


def _left_out(rows: int, videos: frozenset[str]) -> str:
    if not rows:
        return ""
    return f"{rows:,} rows of {len(videos):,} videos are left out: these are in the benchmark split, or look like it."


def _agreement(settings: PublishSettings, found: leaks.Leaks | None) -> tuple[str, str] | None:
    if settings.split is None or found is None:
        return None
    apart = f"No video of it has training rows here, by id; by look, {found.compared:,} videos were compared."
    report = settings.split / "agreement.md"
    try:
        told = (
            report.read_text(encoding="utf-8") if report.is_file() else "The split came without a report on agreement."
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"{report} must be text in UTF-8, got {brief(error)}: export the split again") from error
    return apart, told


def _describe(
    root: Path, configs: Sequence[Config], settings: PublishSettings, values: dict[str, Any], info: Any
) -> None:
    """Write croissant.json and SHA256SUMS."""
    named = [part.name for config in configs for part in config.parts]
    named += [name for name, _ in _FOR_TRAINING if (root / name).is_file()]
    sums = checksums(root, named)
    judged = settings.split is not None
    texts = {
        "description": (
            f"{values['kept']:,} referring expressions for masklets of SA-V videos, each in three parts (object, "
            f"scene, video), and {values['rows'] - values['kept']:,} masklets that were not kept, each with its reason."
        ),
        "protocol": (
            "A writer describes each masklet from its crop, from the frame with all else black, from the frame with a "
            f"contour and from 8 frames of the video; the parts are checked against one another and against facts that "
            f"are measured from masks and pixels. Writer: {info['writer']}."
        ),
        "analysis": (
            "People judged the expressions of the benchmark split; their agreement is in benchmark/agreement.md."
            if judged
            else "No person judged these texts."
        ),
        "per_item": "0 in the training rows; at least 2 in the benchmark split" if judged else "0",
        "biases": "Objects and places are those of SA-V; what people are called follows the models that wrote.",
        "limitations": (
            "Texts may be wrong or fit a second object that has no masklet: SA-V is not exhaustive. Training rows were "
            "not read by people."
        ),
    }
    models = sorted({one for names in (info["models"] or {}).values() for one in names.split(", ")})
    described = croissant.describe(
        configs,
        sums,
        {name: (root / name).stat().st_size for name in named},
        name=settings.title,
        repo=settings.repo,
        creator=settings.creator,
        date=settings.date,
        version=settings.version,
        texts=texts,
        tools=[f"refsav {info['versions'].get('refsav', '')}".strip(), *models],
    )
    faults = croissant.check(described)
    assert not faults, faults
    (root / croissant.FILE).write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_sums(root)
