"""Invented rows of a run that asked two models: kept, repaired, contradicted, refused and failed ones."""

from typing import Any

import pyarrow as pa

import prompts
from manifests.arrow import to_table
from manifests.schema import AnnotationRow, Call, Contradiction, Reason, Status
from pipeline.run.run_json import EngineInfo, RunInfo
from tests.pipeline import rows

VLM, LLM = "OpenGVLab/InternVL2-Llama3-76B", "Qwen/Qwen2-72B-Instruct"
STAGES = (
    *("select_objects", "render_views", "caption_object", "check_consistency", "repair_object", "describe_scene"),
    *("describe_video", "compose_expression", "check_facts", "repair_expression"),
)
RUN = RunInfo(
    shards=["sav_000"],
    writer=f"{VLM}@1f2e3d + {LLM}@9a8b7c",
    models={"vlm": f"{VLM}@1f2e3d", "llm": f"{LLM}@9a8b7c"},
    engine=EngineInfo(
        url="http://127.0.0.1:8000/v1", gpus=4, seconds=1800.0, prefix_hits=600.0, prefix_queries=1000.0, dialects={}
    ),
    seconds=1900.0,
    git_commit="0123abc",
    useless_passes=0,
    versions={"refsav": "0.1.0", "ray": "2.60.0"},
    config={"sampling": {"temperatures": [0.3, 0.6], "top_p": 0.9, "max_tokens": 512, "seed": 0}},
)
_OF_LLM = ("check_consistency", "compose_expression")
PASS = ("caption_crop", "caption_masked", "check_consistency", "describe_scene", "describe_video", "compose_expression")


def call(name: str, key: str, **changes: object) -> Call:
    """A request of prompt `name` that was used: 1,000 tokens in, 100 out."""
    llm = name in _OF_LLM
    used = {
        "prompt": prompts.load(name).id,
        "model": LLM if llm else VLM,
        "revision": "9a8b7c" if llm else "1f2e3d",
        "key": key,
        "temperature": 0.3,
        "seed": 0,
        "tokens_in": 1000,
        "tokens_cached": 0,
        "tokens_out": 100,
        "seconds_s": 1.5,
        "resent": 0,
        "stored": False,
        "fault": None,
    }
    return Call.model_validate({**used, **changes})


def calls(object_id: str, names: tuple[str, ...] = PASS) -> list[Call]:
    """One call of each prompt, for this object alone."""
    return [call(name, f"{object_id}:{name}") for name in names]


def kept(video: int, position: int, **changes: object) -> AnnotationRow:
    """A kept row whose texts models wrote."""
    object_id = f"sav_{video:06d}/manual/{position}"
    ids = [prompts.load(name).id for name in PASS]
    asked: dict[str, Any] = {"writer": RUN["writer"], "calls": calls(object_id), "prompt_ids": ids}
    return rows.row(video, position, **{**asked, **changes})


def lost(
    video: int, position: int, status: Status, stage: str, reason: Reason, asked: list[Call], **changes: object
) -> AnnotationRow:
    """A row that ended at `stage` after these requests."""
    ids = list(dict.fromkeys(each.prompt for each in asked))
    state = {"status": status, "stage": stage, "reason": reason, "detail": f"{reason}, as told", "expression": None}
    return kept(video, position, **{**state, "calls": asked, "prompt_ids": ids, **changes})


def table() -> pa.Table:
    """Twelve objects of two videos: every kind that a run with models has."""
    first = calls("sav_000000/manual/1", PASS[:3])
    second = [*calls("sav_000001/manual/1", PASS[:3]), call("repair_object", "repair:2")]
    leak = [
        call("caption_crop", "leak:0", fault="caption speaks of how the object was shown: 'black background'"),
        call(
            "caption_crop",
            "leak:1",
            temperature=0.6,
            seed=1,
            fault="ended by 'length' after 512 tokens",
            tokens_out=512,
        ),
        call("caption_crop", "leak:2", temperature=0.8, seed=2, resent=2),
    ]
    again = [each.model_copy(update={"stored": True}) for each in calls("sav_000001/manual/0")]
    contradiction = Contradiction(kind="direction", claim="it moves to the right", measured="it moves left, 212 px")
    found = [
        kept(0, 0, preview_jpeg=rows.preview(1)),
        kept(
            0,
            1,
            preview_jpeg=rows.preview(2),
            calls=[*first, call("repair_object", "repair:1"), *calls("sav_000000/manual/1", PASS[3:])],
            verdict="repaired",
            conflict="crop: 'a red mug'; masked: 'a red bowl'",
            repairs=["object"],
        ),
        kept(0, 2, contradictions=[contradiction]),
        kept(0, 3, calls=[*leak, *calls("sav_000000/manual/3", PASS[1:])]),
        kept(1, 0, calls=again),
        lost(1, 1, Status.REJECTED, "repair_object", Reason.INCONSISTENT, second),
        lost(
            1,
            2,
            Status.REJECTED,
            "caption_object",
            Reason.REFUSED,
            [call("caption_crop", "no", fault="refused: 'Sorry'")],
        ),
        lost(1, 3, Status.FAILED, "describe_video", Reason.BAD_REPLY, calls("sav_000001/manual/3", PASS[:5])),
        lost(1, 4, Status.POISONED, "caption_object", Reason.ENGINE_ERROR, [], attempts=3),
        *(rows.stopped(1, position, position) for position in (6, 7)),
        rows.stopped(1, 10, 4),
    ]
    return to_table(found, AnnotationRow)
