"""Declares every column of a run once: its name, unit, null rule and meaning.

One row is one masklet, from the shard to the last table. `manifest.parquet` holds the columns of `ManifestRow`,
`annotations/*.parquet` those of `AnnotationRow`. A `Row` is what the stages pass to one another: it also carries
images and the facts of the other objects, which are dropped before the annotations are written.

Units: `_px` pixels of the upright source frame, `_frac` share in [0, 1], `_s` seconds, `_fps` frames per second.
Points are (x, y); boxes are (x, y, width, height); times are [start, end) with an exclusive end.
"Annotated frame" k is source frame 4k: SA-V videos have 24 fps and their masks 6 fps (README of the SA-V dataset).
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from manifests.lineup import CatchTrial, Lineup, LineupFrame

MASK_STRIDE = 4  # source frames from one annotated frame to the next
# Name of a size -> the largest median share of the frame that it covers: a ball far off is tiny, a dog across the
# street small, a person in full height medium.
SIZES_FRAC = {"tiny": 0.003, "small": 0.02, "medium": 0.12, "large": 1.0}


def size_name(area_median_frac: float) -> str:
    """Return the name in SIZES_FRAC of the size of an object whose masks cover this median share of the frame."""
    return next((name for name, limit_frac in SIZES_FRAC.items() if area_median_frac <= limit_frac), "large")


class Status(StrEnum):
    """The state of a masklet. Every state but PENDING is final for a run."""

    PENDING = "pending"  # chosen by select_objects, and not through the stages yet
    KEPT = "kept"  # came through all stages
    REJECTED = "rejected"  # ended by design, with a Reason
    FAILED = "failed"  # ended by an error; the next run tries it again
    POISONED = "poisoned"  # failed max_attempts times; no run tries it again


class Reason(StrEnum):
    """Why a row was rejected or failed. docs/annotate.md has a table of all reasons."""

    # Rejected by select_objects for the files of its video.
    JSON_MISSING = "json_missing"  # put the file back, or remove the video
    JSON_MALFORMED = "json_malformed"  # not JSON, truncated, or a key of the wrong type
    VIDEO_MISSING = "video_missing"
    VIDEO_UNDECODABLE = "video_undecodable"  # no video, cut off, or without frames, times or an upright view
    FRAME_COUNT_MISMATCH = "frame_count_mismatch"  # the stated number of frames is not the real one
    DURATION_MISMATCH = "duration_mismatch"  # the stated duration is not the real one: the mp4 has new timestamps
    ANNOTATION_COUNT_MISMATCH = "annotation_count_mismatch"  # there are not ceil(frames / 4) entries
    RLE_SIZE_MISMATCH = "rle_size_mismatch"  # a mask has another size than the video
    RLE_MALFORMED = "rle_malformed"  # the counts of a mask do not decode to height x width pixels
    SEVERAL_OBJECTS = "several_objects"  # an imported group of objects: a text of one object cannot be about it
    # Rejected by select_objects as not worth describing; the thresholds are in SelectConfig.
    NEVER_VISIBLE = "never_visible"
    TOO_FEW_VISIBLE_FRAMES = "too_few_visible_frames"
    TOO_SMALL = "too_small"
    AT_BORDER = "at_border"
    DUPLICATE = "duplicate"  # an outline of the same object as another masklet
    PART = "part"  # lies within another masklet
    OVER_VIDEO_LIMIT = "over_video_limit"  # its video has max_objects others that people are likelier to refer to
    NO_TEXT = "no_text"  # the file of given texts has none for it
    # Rejected for its text, by the stages from caption_object on.
    UNRECOGNIZABLE = "unrecognizable"  # it cannot be told what the object is
    INCONSISTENT = "inconsistent"  # its two captions are not about the same thing
    AMBIGUOUS = "ambiguous"  # the expression fits another object as well
    NOT_FOUND = "not_found"  # the judge of the line-up found no object that the expression fits
    MARKER_LEAK = "marker_leak"  # the text speaks of how the object was shown (contour, mask, image)
    CONTRADICTED = "contradicted"  # the text says what the masks and pixels rule out
    REFUSED = "refused"  # the model would not describe it
    # Failed.
    BAD_REPLY = "bad_reply"  # no attempt gave a usable reply: their faults are in `detail`, the requests in `calls`
    ENGINE_ERROR = "engine_error"  # the engine lives, but answers this row's request with an error
    DECODE_ERROR = "decode_error"  # the video opened, but broke off in the middle
    UNEXPECTED_ERROR = "unexpected_error"  # `detail` has the end of the traceback


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Colour(_Model):
    """A colour of an object and how much of the object has it."""

    name: str = Field(description="basic colour term: black grey white red orange brown yellow green blue purple pink")
    share_frac: float = Field(description="share of the object's measured pixels in [0, 1]")


class Span(_Model):
    """A stretch of time, [start_s, end_s)."""

    start_s: float = Field(description="seconds from the start of the video")
    end_s: float = Field(description="seconds from the start of the video, exclusive")


class Neighbour(_Model):
    """Another masklet of the video and where THIS object stands relative to it, by the 6 fps masks."""

    object_id: str = Field(description="the other masklet")
    relation: str = Field(
        description="this object is … the other: left of, right of, above, below, overlapping; near if that changes"
    )
    gap_frac: float = Field(description="median gap of the two boxes / frame diagonal; 0 = they touch")
    together_frac: float = Field(description="share of this object's visible frames in which the other is visible too")


class Facts(_Model):
    """What is measured of a masklet from masks and pixels, without a model (stages/facts.py)."""

    object_id: str = Field(description="the masklet measured")
    duration_s: float = Field(description="length of the video")
    place_start: str = Field(description="cell of a 3x3 grid at first sight: '<top|middle|bottom> <left|centre|right>'")
    place_end: str = Field(description="cell at last sight")
    place_best: str = Field(description="cell at the frame of largest area")
    centre_start_frac: list[float] = Field(description="(x, y) / (width, height) of the mask centre at first sight")
    centre_end_frac: list[float] = Field(description="(x, y) / (width, height) of the mask centre at last sight")
    area_median_frac: float = Field(description="median mask area over visible frames / frame area")
    area_best_frac: float = Field(description="largest mask area / frame area")
    size: str = Field(description="tiny, small, medium, large: by area_median_frac")
    size_ratio: float = Field(
        description="median area of the last fifth of the frames that show it whole / of the first fifth"
    )
    size_change: str = Field(description="grows, shrinks, stable: on the screen, by size_ratio and if its halves agree")
    shift_frac: list[float] = Field(description="(x, y) move on the screen, first to last sight / (width, height)")
    own_shift_px: list[float] = Field(description="(x, y) move with the camera's motion taken out, summed over steps")
    own_speed_px_s: float = Field(description="median speed with the camera's motion taken out")
    own_path_px: float = Field(description="length of the path with the camera's motion taken out")
    motion: str = Field(
        description="none, left, right, up, down, up-left …, complex (to and fro): camera taken out; unknown"
    )
    motion_known: bool = Field(
        description="false if the camera is unknown, or travels and its parallax would explain the motion as well"
    )
    speed_known: bool = Field(description="false if own_shift_px, own_speed_px_s and own_path_px hold parallax")
    camera_known: bool = Field(
        description="false if too little background could be tracked; the camera then counts as still"
    )
    camera_shift_px: list[float] = Field(description="(x, y) summed camera pan: positive x = the camera turns right")
    camera_speed_px_s: float = Field(description="median speed of the background in mid-picture")
    camera_zoom_ratio: float = Field(description="scale of the background, last / first frame; > 1 = nearer")
    camera: str = Field(description="static, pans left|right, tilts up|down, zooms in|out, travels, moves, unknown")
    visible_spans: list[Span] = Field(description="when the mask is not empty")
    hidden_spans: list[Span] = Field(description="gaps between visible spans")
    occluded_spans: list[Span] = Field(
        description="visible, but area well under that before and after; not when entering"
    )
    occluded_known: bool = Field(
        description="false if no other object was next to it in occluded_spans: it may have turned or bent"
    )
    enters_s: float | None = Field(description="first seen at this time if not there at the start")
    leaves_s: float | None = Field(description="last seen until this time if not there at the end")
    colours: list[Colour] = Field(description="over all sampled frames, largest share first, shares of at least 0.12")
    colours_best: list[Colour] = Field(description="at the frame of largest area only")
    colours_known: bool = Field(description="false in glare, in the dark, or if they change in the course of the video")
    surroundings: list[Colour] = Field(description="colours of a ring around the object at the frame of largest area")
    colour_drift_frac: float = Field(description="share of sampled frames whose colours are not those of the best one")
    camouflage_frac: float = Field(description="share of its surface in the colours of its surroundings, best frame")
    neighbours: list[Neighbour] = Field(description="other objects of the video, nearest first, at most 3")
    unseen_twin_possible: bool = Field(
        default=False, description="true if a region outside all masks has its colour and area, and moves along with it"
    )


class Contradiction(_Model):
    """A claim of the text that the facts rule out (stages/claims/contradictions.py)."""

    kind: str = Field(description="side, direction, size, visibility or colour")
    claim: str = Field(description="the words of the text")
    measured: str = Field(description="what the facts say instead, with figures")


class Claim(_Model):
    """One statement about an object that can be compared with its facts (stages/claims/measurable.py)."""

    kind: str = Field(description="colour, side, direction, order, visibility, size, rank, or said: a whole text")
    value: str = Field(description="what is claimed, in the vocabulary of its kind: 'mostly red', 'left at first'")
    words: str = Field(description="the same in English, as a text has it")


class Ruling(_Model):
    """What masks and pixels say of one claim about one object."""

    object_id: str = Field(description="the object that the claim is compared with")
    kind: str = Field(description="kind of the claim")
    claim: str = Field(description="words of the claim")
    state: str = Field(
        description="true; ruled out; unknown: neither is clear; hidden then: out of sight at the time it is about"
    )
    measured: str = Field(description="what was measured of the object, with figures")
    times_s: list[float] = Field(default_factory=list, description="times of frames that show it")


class Dropped(_Model):
    """What a text would fit without one of its claims."""

    claim: str = Field(description="words of the claim that is dropped")
    then_fits: list[str] = Field(description="object_ids of the others that the text fits then")


class Minimal(_Model):
    """A short text of which no claim can be dropped, and the proof (stages/claims/minimal.py)."""

    text: str = Field(description="a noun phrase of 3 to 20 words")
    claims: list[Claim] = Field(description="what it says, all of it true of the object")
    proof: list[Dropped] = Field(description="for every claim, which others the text fits without it")


class Negative(_Model):
    """A text that differs from a true one in one claim and fits no object, or another (stages/claims/negatives.py)."""

    text: str = Field(description="a noun phrase of 3 to 20 words")
    kind: str = Field(description="no_target: ruled out for every object; wrong_target: true of exactly one other")
    changed: str = Field(description="kind of the claim that was changed")
    instead_of: str = Field(description="the true text that was changed")
    claim: str = Field(description="words of the changed claim")
    target: str | None = Field(description="the other object that it is true of; null if there is none")
    rulings: list[Ruling] = Field(description="for every object what rules it out, or shows that it is the target")
    unseen_twin_possible: bool = Field(
        default=False, description="true if something without a masklet looks and moves like the object: it may fit"
    )


class ShortText(_Model):
    """A short text that was written for an object, and what its checks say (stages/shorten_expression.py)."""

    text: str = Field(description="a noun phrase")
    fault: str | None = Field(description="why it is not taken; null = it passes")
    contradictions: list[Contradiction] = Field(description="claims of it that the facts rule out")
    fits: list[str] = Field(description="object_ids that its measured claims leave, by the exact listener")
    lineup: Lineup | None = Field(default=None, description="its own line-up; null = it was not put to a judge")


class Call(_Model):
    """One request to a model and its outcome; request and answer are kept in `replies/` under `key`."""

    prompt: str = Field(description="name@sha8 of the prompt")
    model: str = Field(description="name of the model that was asked")
    revision: str = Field(description="its commit, fingerprint or given revision; empty if the endpoint tells none")
    key: str = Field(description="hash of pictures, prompt, model, revision and sampling: name of the file in replies/")
    temperature: float = Field(description="rises with each attempt at a usable reply")
    seed: int = Field(description="differs with each attempt and each time that the row is tried again")
    tokens_in: int = Field(description="tokens of text and pictures")
    tokens_cached: int = Field(description="those of tokens_in that the engine had in its prefix cache, if it tells")
    tokens_out: int = Field(description="tokens of the reply")
    seconds_s: float = Field(description="from sending to the whole reply, waiting and resending included")
    resent: int = Field(description="times it was sent again after a connection error, 429 or 5xx")
    stored: bool = Field(description="true: answered before, taken from replies/, not paid for again")
    forms: list[str] = Field(
        default_factory=list, description="ways in which the reply differed from a plain one; a server's settings show"
    )
    fault: str | None = Field(description="why the reply could not be used; null = it was used")
    purpose: str = Field(
        default="describe",
        description="what it was asked for: describe, lineup, repair (of a confused text), catch, short",
    )


class GivenText(_Model):
    """A text that was given for an object instead of being written, and what its checks say (stages/audit_texts.py)."""

    text: str = Field(description="as it was given")
    where: str = Field(description="its place in the file: 'line 3', or the entry, the object's key and the field")
    claims: list[str] = Field(
        default_factory=list, description="kinds of the claims in it that can be measured, true or not; empty = none"
    )
    contradictions: list[Contradiction] = Field(
        default_factory=list, description="claims of it that the facts rule out"
    )
    lineup: Lineup | None = Field(default=None, description="whether it singles out its object; null = not asked")
    unanswered: Reason | None = Field(
        default=None, description="refused or another reason for which the judge did not say it; null = it did"
    )


class ManifestRow(_Model):
    """One masklet of a shard and whether it is to be described, as select_objects writes it."""

    object_id: str = Field(description="'<video_id>/<manual|auto>/<masklet_position>'; …/file = an unreadable file")
    video_id: str = Field(description="e.g. sav_000001")
    shard: str = Field(description="folder below sav_train, e.g. sav_000")
    masklet_type: str = Field(description="manual or auto: which annotation file")
    masklet_position: int | None = Field(description="column in the file's inner lists; null for a …/file row")
    masklet_id: int | None = Field(description="the file's own id of the masklet; null if unknown")
    source: str | None = Field(default=None, description="what an imported masklet comes from, e.g. png; else null")
    source_id: str | None = Field(
        default=None, description="its own ids there, '<video>/<object>'; null if not imported"
    )
    source_label: str | None = Field(
        default=None, description="what the source's annotator called it, a category or noun phrase; null if nothing"
    )
    video_path: str = Field(description="relative to SAV_ROOT, e.g. sav_train/sav_000/sav_000001.mp4")
    anno_path: str = Field(description="relative to SAV_ROOT, e.g. sav_train/sav_000/sav_000001_manual.json")
    height_px: int = Field(description="of the upright video; 0 if unknown")
    width_px: int = Field(description="of the upright video; 0 if unknown")
    frame_count: int = Field(description="real number of source frames; 0 if unknown")
    video_fps: float = Field(description="source frames per second, on average; 0 if unknown")
    areas_px: list[int] = Field(description="mask area at each annotated frame; 0 = not visible")
    boxes_px: list[list[int]] = Field(description="(x, y, width, height) at each annotated frame; zeros = not visible")
    best_index: int | None = Field(description="annotated frame of the largest area; null if never visible")
    part_of: str | None = Field(default=None, description="object_id of the chosen masklet that contains this one")
    given_texts: list[GivenText] = Field(
        default_factory=list, description="texts of others that are audited; empty where texts are written"
    )
    siblings: list[str] = Field(
        default_factory=list,
        description="object_ids of all separate objects of this video that a text must be told apart from",
    )
    status: Status = Field(description="pending or rejected here; later kept, rejected, failed or poisoned")
    stage: str | None = Field(default=None, description="stage that rejected or failed the row")
    reason: Reason | None = Field(default=None, description="why; null when kept or pending")
    detail: str | None = Field(default=None, description="the figures behind the reason: rule and what was got")
    attempts: int = Field(default=0, description="times the row went through the stages")


class AnnotationRow(ManifestRow):
    """A manifest row with everything that the stages measured and wrote about its masklet."""

    facts: Facts | None = Field(default=None, description="measured without a model")
    video_times_s: list[float] = Field(default_factory=list, description="times of the 8 uniform views")
    preview_jpeg: bytes | None = Field(default=None, description="all views of the object on one small sheet, JPEG")
    caption_crop: str | None = Field(default=None, description="caption from the crop with context")
    caption_masked: str | None = Field(default=None, description="caption from the frame with all else black")
    verdict: str | None = Field(default=None, description="consistent, inconsistent, unrecognizable or repaired")
    conflict: str | None = Field(default=None, description="the claims of the two captions that contradict each other")
    object_description: str | None = Field(default=None, description="object level, paper 3.3")
    scene_description: str | None = Field(default=None, description="scene level, paper 3.3")
    video_description: str | None = Field(default=None, description="video level, paper 3.3")
    expression: str | None = Field(default=None, description="the final referring expression in three parts")
    contradictions: list[Contradiction] = Field(
        default_factory=list, description="claims of `expression` that the facts rule out; empty = none found"
    )
    repairs: list[str] = Field(
        default_factory=list, description="what a second look mended: object, expression, lineup"
    )
    lineup: Lineup | None = Field(
        default=None, description="whether `expression` singles out its object; null = not asked"
    )
    lineup_before: Lineup | None = Field(
        default=None, description="that of the text before it was repaired; null = it was not repaired"
    )
    lineup_jpeg: bytes | None = Field(default=None, description="the frames of the first trial on one sheet, JPEG")
    confuser_jpeg: bytes | None = Field(
        default=None, description="the object, then the one that it was confused with at first, side by side, JPEG"
    )
    catch_trials: list[CatchTrial] = Field(
        default_factory=list, description="texts of known truth that were put to the judge, to measure it"
    )
    short_expression: str | None = Field(
        default=None, description="the shortest of `short_texts` that passes its checks, 3 to 20 words; null = none"
    )
    short_texts: list[ShortText] = Field(default_factory=list, description="up to three, shortest first")
    minimal: Minimal | None = Field(
        default=None, description="proof that `short_expression` is minimal; null where a model wrote it"
    )
    negatives: list[Negative] = Field(
        default_factory=list, description="texts that differ in one claim, and fit no object or another one"
    )
    writer: str | None = Field(default=None, description="measured, or the name of the writer that asked models")
    prompt_ids: list[str] = Field(default_factory=list, description="name@sha8 of each prompt that was answered")
    calls: list[Call] = Field(default_factory=list, description="every request to a model for this row, in order")
    seconds_s: float = Field(
        default=0.0, description="time spent in stages, waiting for models included; a batch's time is shared"
    )


class Row(AnnotationRow):
    """A row between stages: an annotation row with images (JPEG) and the siblings' facts, which are not written."""

    crop_jpeg: bytes | None = Field(default=None, description="best frame, box of the mask with context, not masked")
    masked_jpeg: bytes | None = Field(default=None, description="best frame, all outside the mask black")
    scene_jpeg: bytes | None = Field(default=None, description="best frame, thin yellow contour")
    video_jpegs: list[bytes] = Field(default_factory=list, description="8 uniform frames, contour where visible")
    sibling_facts: list[Facts] = Field(default_factory=list, description="facts of `siblings`, this object's too")
    lineup_frames: list[LineupFrame] = Field(
        default_factory=list, description="frames to choose those of a line-up from"
    )
    lineup_shown: list[str] = Field(
        default_factory=list, description="object_ids by their numbers in the question now asked"
    )
    lineup_times_s: list[float] = Field(
        default_factory=list, description="times of the frames in the question now asked"
    )
    trial: int = Field(default=0, description="number of the trial now held: its requests have seeds of their own")
