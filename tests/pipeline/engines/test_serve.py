"""Two tiny models served by the real vLLM through Ray Serve, on one local Ray: answers, accidents and the end."""

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import product
from pathlib import Path

import numpy as np
import psutil
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionContentPartImageParam
from openai.types.shared_params.response_format_json_schema import JSONSchema
from PIL import Image
from pydantic import ValidationError

from manifests.io import Folder
from manifests.lineup import AMBIGUOUS, NOT_FOUND, SINGLED_OUT
from manifests.row_results import FatalError
from pipeline.engines.chat import Endpoint
from pipeline.engines.models import EngineModel, Sampling, revision_of
from pipeline.engines.serve import Served, extra_slots, serving
from pipeline.run.ray_connect import connect, disconnect
from pipeline.run.run_stages import run_stages
from pipeline.run.session import prefix_cache
from pipeline.writers.model_writer import ModelWriter
from prompts.replies import REPLIES
from stages.lineup_trials import LineupConfig
from stages.repair_lineup import RepairLineup
from stages.shorten_expression import ShortenExpression
from stages.verify_lineup import VerifyLineup
from stages.writer import Model
from tests.stages.test_verify_lineup import SECOND, Judging, balls
from tests.tiny_models import make_internvl, make_qwen

pytestmark = pytest.mark.timeout(900)  # the first test waits for two engines, 80 s of work for one core each


class Running:
    """What the module's tests share."""

    def __init__(self, folder: Path) -> None:
        self.models = [
            EngineModel(model=str(make(folder / name)), context_tokens=8192)
            for name, make in (("qwen", make_qwen), ("internvl", make_internvl))
        ]
        self.open = ExitStack()
        self.others = psutil.Process().children(recursive=True)
        self.served: Served

    @property
    def client(self) -> OpenAI:
        return OpenAI(base_url=self.served.url, api_key="none", max_retries=40, timeout=400)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    run = Running(tmp_path_factory.mktemp("tiny"))
    with run.open, pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        patch.setenv("HF_HUB_OFFLINE", "1")
        # On a busy machine Serve gives up its proxy after 5 and 10 s, and Ray its only node after half a minute
        for check in ("READY", "HEALTH"):
            patch.setenv(f"RAY_SERVE_PROXY_{check}_CHECK_TIMEOUT_S", "120")
        patch.setenv("RAY_health_check_failure_threshold", "60")
        run.open.callback(disconnect)
        connect(None, 1, extra_slots([*run.models, run.models[0]]))  # the model that cannot be served has a slot too
        run.served = run.open.enter_context(serving([*run.models, run.models[0]], 8, "tiny", start_timeout_s=600))
        yield run


def picture(seed: int) -> ChatCompletionContentPartImageParam:
    cells = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(cells).resize((640, 360)).save(file, "JPEG")
    return {
        "type": "image_url",
        "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()},
    }


def ask(client: OpenAI, model: str, prompt: str, pictures: int, seed: int = 0) -> ChatCompletion:
    schema: JSONSchema = {"name": prompt, "schema": REPLIES[prompt].model_json_schema(), "strict": True}
    return client.chat.completions.create(
        model=model,
        messages=[
            {"role": "system", "content": "You describe what you are shown."},
            {
                "role": "user",
                "content": [*map(picture, range(pictures)), {"type": "text", "text": "What is it? " * 20}],
            },
        ],
        response_format={"type": "json_schema", "json_schema": schema},
        temperature=0.3,
        top_p=0.9,
        seed=seed,
        max_tokens=1024,
    )


def test_every_reply_of_every_model_fits_its_class(running: Running) -> None:
    """Noise may be longer than a class admits, which no schema says: of three replies one must fit."""
    pictures_of = zip(REPLIES, (1, 2, 0, 1, 8, 0, 3, 5, 6, 2, 0), strict=True)
    left = {(model.model, *asked) for model, asked in product(running.models, pictures_of)}
    for seed in (1, 2, 3):
        left = misfits(running.client, sorted(left), seed)
    assert not left


def misfits(client: OpenAI, asked: list[tuple[str, str, int]], seed: int) -> set[tuple[str, str, int]]:
    """Ask each model each prompt with so many pictures; returns those whose reply is longer than its class admits."""
    longer = set()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(ask, client, model, prompt, pictures, seed) for model, prompt, pictures in asked]
        replies = [each.result() for each in waiting]
    for (model, prompt, pictures), reply in zip(asked, replies, strict=True):
        choice = reply.choices[0]
        assert choice.finish_reason == "stop"
        fields = REPLIES[prompt].model_fields
        required = {name for name, field in fields.items() if field.is_required()}
        assert required <= set(json.loads(choice.message.content or "")) <= set(fields)
        assert reply.model == model
        assert reply.usage
        assert reply.usage.prompt_tokens > 200 + 16 * pictures, "the pictures were looked at"
        try:
            REPLIES[prompt].model_validate_json(choice.message.content or "")
        except ValidationError:
            longer.add((model, prompt, pictures))
    return longer


def test_line_ups_repairs_and_short_texts_are_asked_for_by_the_real_stages(running: Running, tmp_path: Path) -> None:
    """With their own prompts and pictures; noise may be no usable reply, but not for several objects in a row."""
    config = LineupConfig()
    for at, model in enumerate(running.models):
        asked = Model(model.model, "1")
        writer = ModelWriter(
            Endpoint(url=running.served.url), asked, asked, Sampling(), Folder(str(tmp_path / str(at))), judge=asked
        )
        confused = VerifyLineup(Judging(lambda _: [SECOND]), config, repair=True)
        judged, rewritten, shortened = ([balls(count) for count in (2, 3)] for _ in range(3))
        run_stages([VerifyLineup(writer, config)], judged)
        run_stages([confused, RepairLineup(writer, config)], rewritten)
        run_stages([ShortenExpression(writer)], shortened)
        calls = [call for row in (*judged, *rewritten, *shortened) for call in row.calls]
        used = {call.prompt.split("@")[0] for call in calls if not call.fault}
        assert used == {"lineup", "repair_lineup", "shorten_expression"}, model.model
        assert {call.model for call in calls} == {model.model}
        assert min(call.tokens_in for call in calls) > 1000, "the whole prompt"
        held = [row.lineup for row in judged if row.lineup]
        assert held
        assert {(one.judge, one.decision in (SINGLED_OUT, AMBIGUOUS, NOT_FOUND)) for one in held} == {
            (model.model, True)
        }


def test_same_seed_same_text_and_other_pictures_other_text(running: Running) -> None:
    texts = [
        ask(running.client, running.models[0].model, "describe_scene", pictures).choices[0].message.content
        for pictures in (2, 2, 3)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_what_was_read_before_is_told_by_replies_and_by_the_engines(running: Running) -> None:
    model = running.models[1].model
    before = prefix_cache(running.served.url)
    usages = [ask(running.client, model, "caption_crop", 6, seed).usage for seed in (1, 2)]
    after = prefix_cache(running.served.url)
    assert before
    assert after
    assert usages[1]
    assert usages[1].prompt_tokens_details
    cached = usages[1].prompt_tokens_details.cached_tokens
    assert cached
    assert after[0] - before[0] >= cached
    assert after[1] - before[1] >= 2 * usages[1].prompt_tokens


def test_a_replica_that_is_killed_is_replaced_while_requests_wait(running: Running) -> None:
    model = running.models[0].model
    [victim] = processes("ServeReplica:tiny-", "Replica:0-qwen")
    its_own = victim.children(recursive=True)
    [engine] = [child for child in its_own if "EngineCore" in " ".join(child.cmdline())]
    assert engine.environ()["VLLM_NO_USAGE_STATS"] == "1", "nobody is told what is served here"
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(ask, running.client, model, "caption_crop", 2, seed) for seed in range(20)]
        waiting[0].result()
        victim.kill()
        replies = [each.result() for each in waiting]
    assert all(reply.choices[0].finish_reason == "stop" for reply in replies)
    [replaced] = processes("ServeReplica:tiny-", "Replica:0-qwen")
    assert replaced != victim
    assert not psutil.wait_procs(its_own, timeout=60)[1], "the engine of the killed replica lives on"


def test_a_folder_that_is_no_model_is_told_and_harms_nobody(running: Running, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a": 1}')
    wrong = EngineModel(model=str(tmp_path))
    with (
        pytest.raises(FatalError, match=rf"cannot serve {tmp_path}: .*Unrecognized model.*logs: /") as caught,
        serving([wrong], 8, "wrong"),
    ):
        pass
    assert len(str(caught.value)) < 600
    assert not processes("ServeReplica:wrong-")
    assert ask(running.client, running.models[0].model, "caption_crop", 1).choices


def test_what_a_killed_run_left_is_taken_over_and_at_the_end_nothing_is_left(running: Running) -> None:
    replicas = processes("ServeReplica:tiny-")
    assert len(replicas) == 3, "two models and the ingress"
    below = set(psutil.Process().children(recursive=True)) - set(running.others)
    assert any("EngineCore" in " ".join(process.cmdline()) for process in below)
    with serving(running.models, 8, "tiny") as again:
        assert again == running.served
        assert processes("ServeReplica:tiny-") == replicas
    running.open.close()
    left = psutil.wait_procs(list(below), timeout=60)[1]
    assert not left


def test_a_model_is_known_by_its_files(tmp_path: Path) -> None:
    config = EngineModel(model=str(make_qwen(tmp_path / "model", seed=1)))
    revision = revision_of(config)
    assert len(revision) == 8
    assert revision_of(config) == revision
    make_qwen(tmp_path / "model", seed=2)
    assert revision_of(config) != revision


def test_a_hub_model_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FatalError, match=r"nobody/nothing \(revision main\) is not in the cache"):
        revision_of(EngineModel(model="nobody/nothing"))
    with pytest.raises(FatalError, match="neither a folder nor a model's name"):
        revision_of(EngineModel(model="/no/such/folder"))


def processes(*names: str) -> list[psutil.Process]:
    """Living processes below this one whose titles hold all of `names`."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if all(name in " ".join(process.cmdline()) for name in names):
                found.append(process)
    return found
