"""Explains one masklet of a run in a text: what it is, what became of it, and every request with its reply.

A run does not keep the images that models were shown. They are drawn again into `explain/`, and matched with the stored
requests by their SHA-256.
"""

import difflib
import hashlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow.compute as pc

from manifests.arrow import arrow_schema, conform
from manifests.io import Folder
from manifests.row_results import FatalError
from manifests.schema import MASK_STRIDE, AnnotationRow, Call, Facts, ManifestRow, Reason, Row, Status
from pipeline.engines import reply_store
from pipeline.run import resume
from pipeline.run.run_config import RunConfig
from pipeline.run.run_stages import run_stages
from stages.audit_texts import why_failed
from stages.render_views import RenderViews
from stages.video.lineup_drawing import LineupDrawing, pair

_NEAR = 5  # similar ids in an error message
_WIDTH = 120
_NAME = 12  # characters for a name, with the space after it
_TEXTS = {
    "crop": "caption_crop",
    "masked": "caption_masked",
    "verdict": "verdict",
    "conflict": "conflict",
    "object": "object_description",
    "scene": "scene_description",
    "video": "video_description",
    "expression": "expression",
}
_VIEWS = ("crop", "masked", "scene")


@dataclass(frozen=True)
class _Images:
    """The views of an object as they were drawn now."""

    paths: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of a JPEG -> its path
    problem: str | None = None  # why none could be drawn


def explain(out: Folder, sav: Folder, config: RunConfig, object_id: str) -> str:
    """Return the text, which ends in a line break, and write the images to `explain/<object_id with _ for />/`.

    Args:
        out: folder of a run.
        sav: SAV_ROOT, for the video; if the video is gone, the text says so.
        config: settings of the run, which say how its views are drawn.
        object_id: `<video_id>/<manual|auto>/<position>`.

    Raises:
        ValueError: the run has no such masklet; the message has ids that are spelt alike.
    """
    manifest = _manifest_row(out, object_id)
    lives = _lives(out, object_id)
    images = _draw(out, sav, config, manifest, lives[-1] if lives else None)
    lines = [object_id, "=" * len(object_id), *_manifest_lines(manifest), "", *_state_lines(manifest, lives)]
    if lives:
        lines += [*_text_lines(lives[-1]), *_facts_lines(lives[-1].facts)]
    lines += ["", "PICTURES", *(_pair("not drawn", images.problem) if images.problem else [])]
    lines += [f"  {path}" for path in images.paths.values()]
    if lives:
        lines += ["", *_calls_lines(out, lives[-1], images)]
    return "\n".join(lines) + "\n"


# ---- reading the run ----


def _manifest_row(out: Folder, object_id: str) -> ManifestRow:
    if not out.exists("manifest.parquet"):
        raise ValueError(f"--explain {object_id}: {out.path()} holds no run: give the --out (make: OUT=…) of one")
    ids = out.read_table("manifest.parquet", ["object_id"])["object_id"]
    at = pc.index(ids, object_id).as_py()
    if at < 0:
        known = ids.to_pylist()
        near = difflib.get_close_matches(object_id, known, _NEAR, cutoff=0.5)
        raise ValueError(
            f"--explain: {out.path()} has no masklet {object_id!r}"
            + (f"; near to it are {', '.join(near)}" if near else f"; its ids are like {', '.join(known[:_NEAR])}")
        )
    (row,) = out.read_table("manifest.parquet").slice(at, 1).to_pylist()
    return ManifestRow.model_validate(row)


def _lives(out: Folder, object_id: str) -> list[AnnotationRow]:
    """Return the row as it was at every end that it came to, the last one last; empty if it never ended."""
    lives: list[AnnotationRow] = []
    for name in (*resume.taken_back(out), *out.names("annotations", ".parquet")):
        at = pc.index(out.read_table(name, ["object_id"])["object_id"], object_id).as_py()
        if at >= 0:
            table = conform(out.read_table(name).slice(at, 1), arrow_schema(AnnotationRow))
            lives.append(AnnotationRow.model_validate(table.to_pylist()[0]))
    return [life for number, life in enumerate(lives) if life not in lives[:number]]


def _draw(out: Folder, sav: Folder, config: RunConfig, manifest: ManifestRow, life: AnnotationRow | None) -> _Images:
    if manifest.status is Status.REJECTED:
        return _Images(problem="select_objects rejected it, nobody was shown pictures of it")
    row = Row.model_validate(manifest.model_dump())
    stage = RenderViews(config.views, sav, lineup=config.lineup is not None)
    try:
        stage.setup()
        run_stages([stage], [row])
    except FatalError as error:
        return _Images(problem=str(error))
    if row.status is not Status.PENDING:
        if not sav.exists(row.video_path):
            return _Images(problem=f"{sav.path(row.video_path)} is gone")
        detail = row.detail or ""
        return _Images(problem=detail.splitlines()[-1] if row.reason is Reason.UNEXPECTED_ERROR else detail)
    folder = f"explain/{manifest.object_id.replace('/', '_')}"
    drawn = {f"{view}.jpg": getattr(row, f"{view}_jpeg") for view in _VIEWS}
    drawn |= {f"video_{number}.jpg": image for number, image in enumerate(row.video_jpegs)}
    if life and row.lineup_frames:
        drawn |= _lineup_images(row, life)
    for name, image in drawn.items():
        out.write_bytes(f"{folder}/{name}", image)
    return _Images({hashlib.sha256(image).hexdigest(): out.path(f"{folder}/{name}") for name, image in drawn.items()})


def _lineup_images(row: Row, life: AnnotationRow) -> dict[str, bytes]:
    """Draw what the judge was shown, and the two objects that a repair was shown, by name of the file."""
    texts = {"before": life.lineup_before, "lineup": life.lineup}
    texts |= {f"catch_{catch.kind}": catch.lineup for catch in life.catch_trials}
    drawn: dict[str, bytes] = {}
    for name, held in texts.items():
        frames = [frame for frame in row.lineup_frames if held and frame.time_s in held.times_s]
        for number, trial in enumerate(held.trials if held else ()):
            for heat, asked in enumerate(trial.heats):
                images = LineupDrawing(frames, sorted(asked.shown)).numbered(asked.shown)
                drawn |= {f"{name}_{number}_{heat}_{at}.jpg": image for at, image in enumerate(images)}
    shown = {name for frame in row.lineup_frames for name in frame.masks}
    if life.lineup_before and life.lineup_before.runner_up in shown and row.object_id in shown:
        one, other, _ = pair(row.lineup_frames, row.object_id, life.lineup_before.runner_up)
        drawn |= {"pair_0.jpg": one, "pair_1.jpg": other}
    return drawn


# ---- writing the text ----


def _manifest_lines(row: ManifestRow) -> Iterator[str]:
    yield "MASKLET"
    yield from _pair(
        "video", f"{row.video_path}, {row.width_px}x{row.height_px} px, {row.frame_count} frames, {row.video_fps:g} fps"
    )
    yield from _pair("masks", f"{row.anno_path}, column {row.masklet_position}, masklet_id {row.masklet_id}")
    if row.source:
        called = f", called {row.source_label!r}" if row.source_label else ""
        yield from _pair("imported", f"from {row.source}, there {row.source_id}{called}")
    if row.best_index is not None:
        frame_px = row.height_px * row.width_px
        area_px = row.areas_px[row.best_index]
        x, y, width, height = row.boxes_px[row.best_index]
        seen = sum(area > 0 for area in row.areas_px)
        yield from _pair("visible", f"in {seen} of {len(row.areas_px)} annotated frames")
        yield from _pair(
            "largest",
            f"{area_px:,} px, {area_px / frame_px:.2%} of the frame, in source frame "
            f"{row.best_index * MASK_STRIDE}; box ({x}, {y}), {width}x{height} px",
        )
    yield from _pair("part of", row.part_of)
    yield from _pair("beside", ", ".join(other for other in row.siblings if other != row.object_id))
    chosen = f"no: {row.reason}: {row.detail}" if row.status is Status.REJECTED else "yes"
    yield from _pair("chosen", chosen)


def _state_lines(manifest: ManifestRow, lives: Sequence[AnnotationRow]) -> Iterator[str]:
    yield "STATE"
    if manifest.status is Status.REJECTED:
        yield from _pair("now", f"rejected at {manifest.stage}: {manifest.reason}")
        return
    if not lives:
        yield from _pair("now", "not through the stages yet")
        return
    for number, life in enumerate(lives, 1):
        ended = f"{life.status} at {life.stage}: {life.reason}" if life.stage else str(life.status)
        asked = f", {len(life.calls)} requests" if life.calls else ""
        state = f"{ended} (attempt {life.attempts}, writer {life.writer or 'none'}{asked}, {life.seconds_s:.2f} s)"
        yield from _pair("now" if number == len(lives) else f"before {number}", state)
        yield from _pair("", life.detail)


def _text_lines(row: AnnotationRow) -> Iterator[str]:
    yield from ("", "TEXTS")
    for name, column in _TEXTS.items():
        yield from _pair(name, getattr(row, column))
    yield from _pair("repaired", ", ".join(row.repairs))
    for one in row.contradictions:
        yield from _pair("contradicts", f"{one.kind}: {one.claim!r}, but measured: {one.measured}")
    for given in row.given_texts:
        failed = why_failed(given)
        yield from _pair("given", f"{given.text} ({': '.join(failed) if failed else 'nothing against it'})")
    for name, held in (("before", row.lineup_before), ("line-up", row.lineup)):
        if held:
            trials = "; ".join(", ".join(trial.picked) or "none" for trial in held.trials)
            yield from _pair(name, f"{held.decision} by {held.judge}: {trials or 'nobody was asked'}")
            yield from _pair("", held.expression if name == "before" else None)


def _facts_lines(facts: Facts | None) -> Iterator[str]:
    if facts is None:
        return
    spans = ", ".join(f"{span.start_s:.1f} to {span.end_s:.1f} s" for span in facts.visible_spans)
    colours = ", ".join(f"{colour.name} {colour.share_frac:.0%}" for colour in facts.colours)
    neighbours = ", ".join(f"{other.relation} {other.object_id}" for other in facts.neighbours)
    yield from ("", "MEASURED")
    yield from _pair("time", f"in sight {spans} of {facts.duration_s:.1f} s")
    yield from _pair("place", f"{facts.place_start}, at last {facts.place_end}, largest {facts.place_best}")
    yield from _pair("size", f"{facts.size}, {facts.area_median_frac:.2%} of the frame, {facts.size_change}")
    speed = f", {facts.own_speed_px_s:.0f} px/s" if facts.speed_known else ""
    yield from _pair("motion", f"{facts.motion}{speed}; camera {facts.camera}")
    yield from _pair("colours", colours if facts.colours_known else f"not known for sure: {colours}")
    yield from _pair("neighbours", neighbours)


def _calls_lines(out: Folder, row: AnnotationRow, images: _Images) -> Iterator[str]:
    yield "REQUESTS"
    if not row.calls:
        yield from _pair("", f"none: {row.writer or 'nobody'} asks no model")
    for number, call in enumerate(row.calls, 1):
        yield f"{'' if number == 1 else chr(10)}{number}. {call.prompt} -> {call.model}@{call.revision or '?'}"
        yield from _pair("sampling", f"temperature {call.temperature:g}, seed {call.seed}")
        sent = f", sent {1 + call.resent} times" if call.resent else ""
        paid = "taken from replies/, not paid again" if call.stored else f"{call.seconds_s:.2f} s{sent}"
        cached = f" ({call.tokens_cached:,} cached)" if call.tokens_cached else ""
        yield from _pair("tokens", f"{call.tokens_in:,} in{cached}, {call.tokens_out:,} out; {paid}")
        yield from _pair("used", "yes" if call.fault is None else f"no: {call.fault}")
        yield from _exchange_lines(out, call, images)


def _exchange_lines(out: Folder, call: Call, images: _Images) -> Iterator[str]:
    try:
        kept = reply_store.read(out, call.key)
    except (FileNotFoundError, ValueError):
        yield from _pair("kept as", f"{call.key}, but replies/ has no such file, or none that can be read")
        return
    asked, answer = kept["asked"], kept["answer"]
    yield from _pair("kept as", f"replies/{call.key[:2]}/{call.key}.json")
    for number, sha256 in enumerate(asked["pictures"], 1):
        yield from _pair(f"picture {number}", _shown(sha256, images))
    for name, text in (("system", asked["system"]), ("user", asked["user"]), ("reply", answer["text"])):
        yield f"  {name}:"
        yield textwrap.indent(text or "(nothing)", "    | ", lambda _: True)
    if answer["refusal"]:
        yield from _pair("refusal", answer["refusal"])
    yield from _pair("ended by", answer["finish_reason"])


def _shown(sha256: str, images: _Images) -> str:
    if path := images.paths.get(sha256):
        return path
    if images.problem:
        return f"sha256 {sha256[:16]}…, could not be drawn again"
    return (
        f"sha256 {sha256[:16]}…: the pictures drawn now are others, as with other settings, another video or "
        "another version of OpenCV or FFmpeg"
    )


def _pair(name: str, value: str | None) -> Iterator[str]:
    """Yield the lines of a value behind its name, wrapped, with its own line breaks; none if it is empty or None."""
    if not value:
        return
    head = f"  {name}".ljust(_NAME + 2)
    for line in value.splitlines():
        yield textwrap.fill(
            line,
            _WIDTH,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )
        head = " " * len(head)
