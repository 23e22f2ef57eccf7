"""Rows with real images, taken through the stages of text by a ModelWriter that asks a real server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openai._base_client
import pytest

from manifests.io import Folder
from manifests.schema import Row
from pipeline.engines import chat, liveness
from pipeline.engines.chat import Endpoint
from pipeline.engines.models import Sampling
from pipeline.run.run_stages import run_stages
from pipeline.writers.model_writer import ModelWriter
from stages.base import Stage
from stages.caption_object import CaptionObject
from stages.check_consistency import CheckConsistency
from stages.compose_expression import ComposeExpression
from stages.describe_scene import DescribeScene
from stages.describe_video import DescribeVideo
from stages.writer import Model
from tests.misbehaving import Server
from tests.pipeline.facts_factory import make_facts, make_row

PROMPTS = (
    "caption_crop",
    "caption_masked",
    "check_consistency",
    "describe_scene",
    "describe_video",
    "compose_expression",
)


def jpeg(label: str) -> bytes:
    """A small JPEG; what it tells stands behind its end, where decoders do not look."""
    return bytes(cv2.imencode(".jpg", np.full((16, 16, 3), 99, np.uint8))[1]) + label.encode()


def text_rows(number: int, **given: Any) -> list[Row]:
    """Rows after render_views; images and descriptions say whose they are: `<3>` is of the third object."""
    rows = []
    for position in range(number):
        label = f"<{position}>"
        images = {name: jpeg(f"{name} {label}") for name in ("crop_jpeg", "masked_jpeg", "scene_jpeg")}
        views = [jpeg(f"view {view} {label}") for view in range(2)]
        rows.append(make_row(make_facts(position), **({**images, "video_jpegs": views} | given)))
    return rows


def writer_of(url: str, out: Path, revision: str = "r1", sampling: Sampling | None = None, **given: Any) -> ModelWriter:
    endpoint = Endpoint(url=url, **given)
    return ModelWriter(
        endpoint, Model("vlm", revision), Model("llm", revision), sampling or Sampling(), Folder(str(out))
    )


def text_stages(writer: ModelWriter) -> list[Stage]:
    return [
        CaptionObject(writer),
        CheckConsistency(writer),
        DescribeScene(writer),
        DescribeVideo(writer),
        ComposeExpression(writer),
    ]


def through(server: Server, out: Path, rows: Sequence[Row], **given: Any) -> None:
    """Take `rows` through all stages of text, in place."""
    run_stages(text_stages(writer_of(server.url, out, **given)), rows)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number of tries and looks with hardly a pause between."""
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(openai._base_client, "MAX_RETRY_DELAY", 0.03)
    for name, value in {"_QUIET_S": 0.3, "_PROBE_S": 0.2, "_PROBE_PAUSE_S": 0.05, "_ALIVE_S": 0.5}.items():
        monkeypatch.setattr(liveness, name, value)
    monkeypatch.setattr(chat, "_LIST_S", 0.2)
