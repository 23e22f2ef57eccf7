"""Reads the candidates of an annotation run: its kept expressions, cut into the three parts that people judge."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import arrow_schema
from manifests.expression import PART_STARTS
from manifests.io import Folder
from manifests.schema import AnnotationRow, Status
from stages.video_files import VideoFiles
from validation_ui.importing import strata
from validation_ui.settings import MAX_TEXT_CHARS, PARTS

_FILE = ("video_id", "shard", "video_path", "height_px", "width_px", "frame_count", "video_fps")
_DESCRIPTIONS = ("object_description", "scene_description", "video_description")
_TEXT = ("object_id", *_FILE, *_DESCRIPTIONS, "expression", "short_expression", "contradictions", "facts", "writer")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\s\d])")
_OPENINGS = tuple(re.compile(start, re.I) for start in PART_STARTS)
_OPENING_SCORE = 0.5  # added if a part begins with its usual words: as much as sharing half of a sentence's words


@dataclass(frozen=True)
class Clip:
    """A video of the run.

    Attributes:
        id: the video id, e.g. sav_000001.
        path: path of the mp4, relative to SAV_ROOT.
        annotations: masklet type -> path of its annotation file, which may be missing.
        height_px: height of the upright image.
        width_px: width of the upright image.
        frame_count: number of source frames, as the run counted them.
    """

    id: str
    path: str
    annotations: dict[str, str]
    height_px: int
    width_px: int
    fps: float
    frame_count: int


@dataclass(frozen=True)
class Candidate:
    """Holds a kept expression that may become an item.

    Attributes:
        parts: texts of the parts object, scene and video, which together are the expression.
        strata: facet (`strata.FACETS`) -> level.
        clean: the run found no contradiction between the text and the measured facts.
        alike: ids of the video's other candidates; the one that is most easily confused with this one comes first.
        short: the run's short expression, for people to confirm or replace; None if it has none.
    """

    object_id: str
    video_id: str
    parts: dict[str, str]
    strata: dict[str, str]
    clean: bool
    alike: tuple[str, ...]
    short: str | None = None


@dataclass(frozen=True)
class Run:
    """The candidates of an annotation run and their videos.

    Attributes:
        clips: video id -> video, for every video with a kept expression.
        candidates: all candidates, sorted by object_id.
        unusable: object_id -> why its expression cannot be judged.
        writers: writer -> number of its expressions.
        fingerprint: sha256 of all ids and expressions, which identifies the run.
    """

    clips: dict[str, Clip]
    candidates: list[Candidate]
    unusable: dict[str, str]
    writers: dict[str, int]
    fingerprint: str


def read_run(out: Folder) -> Run:
    """Read the kept rows of a run.

    Raises:
        ValueError: there are none, or the run was made by an older release.
    """
    rows = _kept_rows(out)
    facts = read_facts(out, sorted({row["video_id"] for row in rows}))
    clips, candidates, unusable, writers = {}, [], {}, dict[str, int]()
    usable_parts = {}
    for row in rows:
        clips[row["video_id"]] = _clip(row)
        writer = row["writer"] or "unknown"
        writers[writer] = writers.get(writer, 0) + 1
        try:
            usable_parts[row["object_id"]] = split(row["expression"], [row[name] for name in _DESCRIPTIONS])
        except ValueError as error:
            unusable[row["object_id"]] = str(error)
    for row in rows:
        if parts := usable_parts.get(row["object_id"]):
            near = [other for other in facts[row["video_id"]] if other["object_id"] != row["object_id"]]
            texts = [other for other in near if other["object_id"] in usable_parts]
            candidates.append(
                Candidate(
                    object_id=row["object_id"],
                    video_id=row["video_id"],
                    parts=parts,
                    strata=strata.levels(row["facts"], parts, near),
                    clean=not row["contradictions"],
                    alike=tuple(strata.by_likeness(row["facts"], texts)),
                    short=row["short_expression"],
                )
            )
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row['object_id']}\n{row['expression']}\n".encode())
    return Run(clips, candidates, unusable, writers, digest.hexdigest())


def split(expression: str | None, descriptions: Sequence[str | None]) -> dict[str, str]:
    """Cut an expression between its sentences into the parts object, scene and video.

    Most writers copy the three descriptions one after the other; some add a sentence or rewrite them. The cuts are
    chosen so that the sentences share as many words as possible with the description of their part, and so that the
    parts begin with their usual words. Of equally good cuts the latest are taken: a sentence in doubt goes to the
    earlier part.

    Args:
        expression: the expression.
        descriptions: the descriptions of object, scene and video that it was composed from.

    Raises:
        ValueError: the expression has fewer than three sentences, a part is too long, or it has control characters.
    """
    text = " ".join(unicodedata.normalize("NFC", expression or "").split())
    bad = next((letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co")), None)
    if bad is not None:
        raise ValueError(f"an expression must not have control characters, got U+{ord(bad):04X}")
    sentences = _SENTENCE_END.split(text)
    if len(sentences) < len(PARTS["long"]):
        raise ValueError(f"an expression must have a sentence for each of three parts, got {len(sentences)}: {text!r}")
    described = [_words(description) for description in descriptions]
    scores = [[len(words & part) / max(1, len(words)) for part in described] for words in map(_words, sentences)]
    cuts = ((i, j) for j in range(len(sentences) - 1, 1, -1) for i in range(j - 1, 0, -1))

    def fit(cut: tuple[int, int]) -> float:
        bounds = (0, *cut, len(sentences))
        shared = sum(scores[s][k] for k in range(3) for s in range(bounds[k], bounds[k + 1]))
        return shared + _OPENING_SCORE * sum(_OPENINGS[k].match(sentences[bounds[k]]) is not None for k in range(3))

    first, second = max(cuts, key=fit)  # the first of equals: the latest cuts
    bounds = (0, first, second, len(sentences))
    parts = {name: " ".join(sentences[bounds[k] : bounds[k + 1]]) for k, name in enumerate(PARTS["long"])}
    if longest := next((name for name, part in parts.items() if len(part) > MAX_TEXT_CHARS), None):
        raise ValueError(f"a part must have at most {MAX_TEXT_CHARS} characters, got {len(parts[longest])}: {longest}")
    return parts


def _words(text: str | None) -> set[str]:
    return set(re.findall(r"\w+", (text or "").casefold()))


def _kept_rows(out: Folder) -> list[dict[str, Any]]:
    rows = read_columns(out, _TEXT, pc.field("status") == Status.KEPT)
    if not rows:
        raise ValueError(f"{out.path('annotations')} must hold kept expressions, got none: run `make annotate` first")
    return rows


def read_columns(out: Folder, columns: Sequence[str], rule: pc.Expression) -> list[dict[str, Any]]:
    """Read some columns of the rows of a run that a rule holds for, sorted by object_id, which is one of the columns.

    Raises:
        ValueError: the run was made by another release.
    """
    tables = [_read(out, name, columns, rule) for name in out.names("annotations", ".parquet")]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).sort_by("object_id").to_pylist() if tables else []
    return rows


def read_facts(out: Folder, videos: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
    """Return video id -> facts of all its measured objects, kept or not, sorted by object_id."""
    measured = pc.is_valid(pc.field("facts")) & pc.field("video_id").isin(list(videos))
    by_video: dict[str, list[Mapping[str, Any]]] = {}
    for name in out.names("annotations", ".parquet"):
        for row in _read(out, name, ("video_id", "facts"), measured).to_pylist():
            by_video.setdefault(row["video_id"], []).append(row["facts"])
    return {video: sorted(facts, key=lambda entry: str(entry["object_id"])) for video, facts in by_video.items()}


def _read(out: Folder, name: str, columns: Sequence[str], rule: pc.Expression) -> pa.Table:
    """Some rows and columns of a file; row by row of files, as areas and previews are most of a run's bytes."""
    try:
        needed = list(dict.fromkeys((*columns, "status")))
        table = out.read_table(name, needed)
        return table.select(needed).filter(rule).select(list(columns)).cast(_schema(columns))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{out.path(name)} must have the columns of this release, got {error}: it comes from another release; "
            "make the run again with `make annotate`"
        ) from error


def _schema(columns: Sequence[str]) -> pa.Schema:
    full_schema = arrow_schema(AnnotationRow)
    return pa.schema([full_schema.field(name) for name in columns])


def _clip(row: Mapping[str, Any]) -> Clip:
    files = VideoFiles(row["video_id"], row["shard"], folder=row["video_path"].rpartition("/")[0])
    return Clip(
        id=row["video_id"],
        path=row["video_path"],
        annotations={kind: files.anno_path(kind) for kind in ("manual", "auto")},
        height_px=row["height_px"],
        width_px=row["width_px"],
        fps=row["video_fps"],
        frame_count=row["frame_count"],
    )
