"""Makes the writer of a run from its settings: finds or starts the engine, and releases it at the end."""

import asyncio
import hashlib
import json
import logging
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.io import Folder
from pipeline.engines.address import api_key, is_address, is_loopback, public
from pipeline.engines.dialect import Dialect
from pipeline.engines.models import EngineModel, revision_of
from pipeline.run.feed import processes
from pipeline.run.run_config import RunConfig
from pipeline.run.run_json import EngineInfo
from pipeline.writers.measured import MeasuredWriter
from stages.writer import JudgeWriter, Model

if TYPE_CHECKING:  # the base install has no openai
    from pipeline.engines.chat import Endpoint
    from pipeline.engines.preflight import Settled

logger = logging.getLogger(__name__)

_HITS, _QUERIES = "vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"
_METRICS_TIMEOUT_S = 10.0
_NAMES_SHOWN = 12
_REPLACED_S = 1200.0  # a replica that died is loaded again; requests wait so long for it


@dataclass
class Session:
    """Holds a writer that is ready, and what is known of its engine."""

    writer: JudgeWriter
    info: EngineInfo | None = None  # for run.json; seconds and cache figures are filled in at the end
    timed: tuple[float, int] = (0.0, 0)  # of the slowest request of the preflight: seconds, and tokens of its reply


def revisions(config: RunConfig) -> dict[str, str] | None:
    """Return `name@revision` of the models by role, the name alone if no revision is known; None if no model is asked.

    Raises:
        FatalError: the hub does not know a model, or does not answer.
    """
    named = {role: (model.model, _revision(config, model)) for role, model in config.models.items()}
    return {role: "@".join(filter(None, parts)) for role, parts in named.items()} or None


def slots(config: RunConfig) -> int:
    """Return the CPU slots that Ray needs on this machine, beside those of the workers that render."""
    if config.engine != "vllm":
        return 1
    from pipeline.engines import serve

    return 1 + serve.extra_slots(_models(config))


def check(config: RunConfig) -> RunConfig:
    """Check the key and the endpoint before any work; returns the settings with the endpoint's names of the models.

    An endpoint without a list of its models is checked by the preflight alone.

    Raises:
        ValueError: the endpoint serves other models, the address is not that of one, or the key cannot be sent.
        FatalError: the endpoint does not answer.
    """
    if config.engine != "http":
        return config
    from pipeline.engines.chat import ChatClient, Endpoint

    url = config.engine_url or ""
    if not is_address(url):
        raise ValueError(f"--engine-url (make: ENGINE_URL=…) must be like http://host:8000/v1, got {public(url)!r}")
    endpoint = Endpoint(url=url, api_key=api_key())

    async def served() -> list[str] | None:
        client = ChatClient(endpoint)
        try:
            return await client.models()
        finally:
            await client.close()

    names = asyncio.run(served())
    if names is None:
        logger.info("%s has no list of its models: whether it serves them is seen by the first request", public(url))
        return config
    served_as = {role: _named(model, names) for role, model in config.models.items()}
    if missing := sorted({config.models[role].model for role, model in served_as.items() if model is None}):
        raise ValueError(
            f"{public(url)} does not serve {', '.join(missing)} but {_some(names)}: give "
            "--vlm-model, --llm-model and --judge-model (make: VLM_MODEL=… LLM_MODEL=… JUDGE_MODEL=…) as the endpoint "
            "calls them"
        )
    judge = served_as.get("judge", config.judge) if config.judge else None
    vlm, llm = served_as.get("vlm", config.vlm), served_as.get("llm", config.llm)  # of given texts neither may be asked
    return replace(config, vlm=vlm, llm=llm, judge=judge)


def _named(model: EngineModel, names: Sequence[str]) -> EngineModel | None:
    """Return the model under the name that the endpoint lists, with or without `@revision`; None if it lists neither.

    Ollama lists `name:latest`, and Google `models/name`, for a model that is asked for as `name`.
    """
    before, _, revision = model.model.rpartition("@")
    for name, known in ((model.model, model.revision), (before, revision)):
        if name and not _listed_as(name).isdisjoint(names):
            return replace(model, model=name, revision=known)
    return None


def _listed_as(name: str) -> set[str]:
    """Return the names under which endpoints list a model that is asked for as `name`."""
    return {name, f"{name}:latest", f"models/{name}", name.removeprefix("models/")}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} others" if len(names) > _NAMES_SHOWN else ""
    return (", ".join(names[:_NAMES_SHOWN]) or "no model") + more


@contextmanager
def opened(config: RunConfig, out: Folder) -> Iterator[Session]:
    """Open the writer of a run for the time of the block, and start vLLM if asked to; `info` is complete after it.

    Raises:
        ValueError: the preflight found no way to ask the endpoint.
        FatalError: the engine cannot be started, or does not answer.
    """
    if config.engine == "measured":
        yield Session(MeasuredWriter())
    elif config.engine == "http":
        assert config.engine_url
        with _opened_at(config, out, config.engine_url, 0) as session:
            yield session
    else:
        from pipeline.engines import serve

        logger.info("starting vLLM for %s; it logs to %s", ", ".join(m.model for m in _models(config)), serve.logs())
        started_s = time.monotonic()
        with (
            serve.serving(
                [_pinned(model) for model in _models(config)],
                config.in_flight,
                f"refsav-{hashlib.sha256(out.path().encode()).hexdigest()[:8]}",
            ) as served,
            _opened_at(config, out, served.url, served.gpus) as session,
        ):
            logger.info("vLLM answers at %s after %.0f s", served.url, time.monotonic() - started_s)
            yield session


@contextmanager
def _opened_at(config: RunConfig, out: Folder, url: str, gpus: int) -> Iterator[Session]:
    """Open the writer that asks the endpoint at `url`; the preflight comes first, counts are read at the end."""
    from pipeline.engines.chat import Endpoint

    endpoint = Endpoint(
        url=url,
        api_key=api_key() if config.engine == "http" else "none",
        in_flight=config.in_flight // processes(config.in_flight),
        fields=config.request_fields,
    )
    if config.engine == "vllm":
        endpoint = replace(endpoint, patience_s=_REPLACED_S, timeout_s=2 * _REPLACED_S)
    settled = asyncio.run(_settled(config, endpoint))
    endpoint = replace(endpoint, dialects={model: one.dialect for model, one in settled.items()})
    info = EngineInfo(
        url=public(url),
        gpus=gpus,
        seconds=0.0,
        prefix_hits=None,
        prefix_queries=None,
        dialects={model: one.dialect.as_json() for model, one in settled.items()},
    )
    slowest = max(settled.values(), key=lambda one: one.seconds_s)
    started_s, before = time.monotonic(), prefix_cache(url)
    try:
        yield Session(_writer(config, out, endpoint), info, (slowest.seconds_s, slowest.tokens_out))
    finally:
        info["seconds"] = time.monotonic() - started_s
        after = prefix_cache(url)
        if before and after:
            info["prefix_hits"], info["prefix_queries"] = after[0] - before[0], after[1] - before[1]


def prefix_cache(url: str) -> tuple[float, float] | None:
    """Read the counts of the engine's prefix cache from its Prometheus page (vLLM and `serving` have one).

    The counts are of processes: those of a replica that was replaced start from 0.

    Args:
        url: base URL of the OpenAI API, ends in /v1; the page is `/metrics` beside it.

    Returns:
        Tokens of prompts that were in the cache, and all that were looked up, of all models and replicas; None if the
        engine has no such page.
    """
    from prometheus_client.parser import text_string_to_metric_families

    try:
        direct = [urllib.request.ProxyHandler({})] if is_loopback(url) else []
        page = f"{url.rstrip('/').removesuffix('/v1')}/metrics"
        with urllib.request.build_opener(*direct).open(page, timeout=_METRICS_TIMEOUT_S) as reply:
            text = reply.read().decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except (OSError, ValueError, HTTPException):  # no such page, no answer, or a page of another kind
        return None
    hits, queries = ([sample.value for sample in samples if sample.name == counted] for counted in (_HITS, _QUERIES))
    return (sum(hits), sum(queries)) if queries else None


async def _settled(config: RunConfig, endpoint: "Endpoint") -> "dict[str, Settled]":
    from pipeline.engines.chat import ChatClient
    from pipeline.engines.preflight import settle

    client = ChatClient(endpoint)
    roles = config.models
    try:
        settled = {}
        for model in _models(config):
            asked = {role for role, of in roles.items() if of.model == model.model}
            settled[model.model] = await settle(
                client, endpoint.url, model.model, images=bool(asked & {"vlm", "judge"}), text="llm" in asked
            )
            if (dialect := settled[model.model].dialect) != Dialect():
                logger.info("%s is spoken to by %s", model.model, json.dumps(dialect.as_json()))
        return settled
    finally:
        await client.close()


def _writer(config: RunConfig, out: Folder, endpoint: "Endpoint") -> JudgeWriter:
    from pipeline.writers.model_writer import ModelWriter

    models = {role: Model(model.model, _revision(config, model)) for role, model in config.models.items()}
    passes = json.loads(out.read_bytes("run.json")).get("useless_passes", 0) if out.exists("run.json") else 0
    # Of given texts the judge alone may be asked; then no other prompt is sent.
    vlm = models.get("vlm") or models["judge"]
    judge = models.get("judge")
    return ModelWriter(endpoint, vlm, models.get("llm", vlm), config.sampling, out, passes=passes, judge=judge)


def _revision(config: RunConfig, model: EngineModel) -> str:
    if config.engine == "http":
        return model.revision or ""
    return revision_of(model)


def _pinned(model: EngineModel) -> EngineModel:
    """Return the model with the commit that run.json names, so that every replica loads the same."""
    return model if Path(model.model).is_dir() else replace(model, revision=revision_of(model))


def _models(config: RunConfig) -> list[EngineModel]:
    """Return every model once: a model may have both roles."""
    return list({model.model: model for model in config.models.values()}.values())
