"""From settings to a writer: finds or starts the engine, and lets it go at the end."""

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from manifests.io import Folder
from pipeline.config import RunConfig
from pipeline.engines.config import ModelConfig
from pipeline.export.run_info import EngineInfo
from pipeline.writers.measured import MeasuredWriter
from stages.writer import Writer

logger = logging.getLogger(__name__)

_IN_FLIGHT_EACH = 8  # of one process: with few, its rows keep step, and none is alone at the end of a unit
_REPLACED_S = 1200.0  # a replica of ours that died is loaded anew; requests wait for it


@dataclass
class Session:
    """A writer that is ready to be asked."""

    writer: Writer
    info: EngineInfo | None = None  # what run.json keeps of the engine; seconds and cache are filled in at the end
    workers: dict[str, int] = field(default_factory=dict)  # pool -> processes that ask it


def revisions(config: RunConfig) -> dict[str, str] | None:
    """`name@revision` of the models by role; None if no model is asked.

    Raises:
        ValueError: a local model folder is not there, or the hub does not know the model.
    """
    return {role: f"{model.model}@{_revision(config, model)}" for role, model in config.models.items()} or None


def slots(config: RunConfig) -> int:
    """CPU slots that Ray needs on this machine beside those of the rendering workers."""
    if config.engine != "vllm":
        return 1
    from pipeline.engines import serve

    return 1 + serve.extra_slots(_models(config))


def check(config: RunConfig) -> None:
    """Ask a running endpoint for its models, before anything is made.

    Raises:
        ValueError: it serves others.
        FatalError: it does not answer.
    """
    if config.engine != "http":
        return
    from pipeline.engines.chat import ChatClient, Endpoint

    async def served() -> list[str]:
        client = ChatClient(Endpoint(url=config.engine_url or ""))
        try:
            return await client.models()
        finally:
            await client.close()

    names = asyncio.run(served())
    missing = sorted({model.model for model in _models(config)} - set(names))
    if missing:
        raise ValueError(
            f"{config.engine_url} does not serve {', '.join(missing)} but {', '.join(names) or 'no model'}: give "
            "--vlm-model and --llm-model (make: VLM_MODEL=… LLM_MODEL=…) as the endpoint calls them"
        )


@contextmanager
def opened(config: RunConfig, out: Folder) -> Iterator[Session]:
    """The writer of a run, for the time of the block; `info` is complete after it.

    Raises:
        FatalError: the engine cannot be started.
    """
    if config.engine == "measured":
        yield Session(MeasuredWriter())
    elif config.engine == "http":
        assert config.engine_url
        with _measured(config, out, config.engine_url, 0) as session:
            yield session
    else:
        from pipeline.engines import serve

        logger.info("starting vLLM for %s; it logs to %s", ", ".join(m.model for m in _models(config)), serve.logs())
        started_s = time.monotonic()
        with (
            serve.serving(
                [_pinned(model) for model in _models(config)],
                f"refsav-{hashlib.sha256(out.path().encode()).hexdigest()[:8]}",
            ) as served,
            _measured(config, out, served.url, served.gpus) as session,
        ):
            logger.info("vLLM answers at %s after %.0f s", served.url, time.monotonic() - started_s)
            yield session


@contextmanager
def _measured(config: RunConfig, out: Folder, url: str, gpus: int) -> Iterator[Session]:
    from pipeline.engines.metrics import prefix_cache
    from pipeline.writers.model import ModelWriter

    info = EngineInfo(url=url, gpus=gpus, seconds=0.0, prefix_hits=None, prefix_queries=None)
    started_s, before = time.monotonic(), prefix_cache(url)
    try:
        yield Session(_writer(config, out, url), info, {ModelWriter.pool: _workers(config)})
    finally:
        info["seconds"] = time.monotonic() - started_s
        after = prefix_cache(url)
        if before and after:
            info["prefix_hits"], info["prefix_queries"] = after[0] - before[0], after[1] - before[1]


def _writer(config: RunConfig, out: Folder, url: str) -> Writer:
    from pipeline.engines.chat import Endpoint
    from pipeline.writers.model import Model, ModelWriter

    endpoint = Endpoint(url=url, in_flight=_in_flight(config) // _workers(config))
    if config.engine == "vllm":
        endpoint = replace(endpoint, patience_s=_REPLACED_S, timeout_s=2 * _REPLACED_S)
    models = {role: Model(model.model, _revision(config, model)) for role, model in config.models.items()}
    return ModelWriter(endpoint, models["vlm"], models["llm"], config.sampling, out)


def _revision(config: RunConfig, model: ModelConfig) -> str:
    if config.engine == "http":
        return model.revision or ""
    from pipeline.engines import serve

    return serve.revision_of(model)


def _pinned(model: ModelConfig) -> ModelConfig:
    """The commit that was written down is the one that all replicas load, today and after a restart."""
    from pipeline.engines import serve

    return model if Path(model.model).is_dir() else replace(model, revision=serve.revision_of(model))


def _models(config: RunConfig) -> list[ModelConfig]:
    """Each model once: one may have both roles."""
    return list({model.model: model for model in config.models.values()}.values())


def _in_flight(config: RunConfig) -> int:
    return sum(model.in_flight * model.max_replicas for model in _models(config))


def _workers(config: RunConfig) -> int:
    return math.ceil(_in_flight(config) / _IN_FLIGHT_EACH)
