"""Starts vLLM replicas inside the run's Ray cluster, by Ray Serve, behind the same OpenAI API as any other endpoint.

An application of Ray Serve is named after its run and its models. One that a killed run left behind is used again if it
serves the same models, else removed. Replicas log where Ray Serve does: in `logs` of the session's folder.
"""

import importlib
import logging
import math
import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from manifests.row_results import FatalError
from pipeline.engines.models import EngineModel, fingerprint, revision_of

_REPLICAS_PER_INGRESS = 4  # one Python process can pass images on to so many
_LEAST_BATCH_TOKENS = 8192  # of one step; a request's images must fit, so it is never less than the context
_HEALTH_PERIOD_S, _HEALTH_TIMEOUT_S = 3.0, 30.0  # a CPU replica that reads eight images answers late
_STOP_S = 5.0  # for requests that are open at the end
_POLL_S = 0.5
_PASSED_ON = (
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_ENDPOINT",
)  # environment variables for the replicas, and all VLLM_*
_VLLM_LEVEL = "VLLM_LOGGING_LEVEL"
_RAISED = re.compile(r"^[\w.]+(?:Error|Exception): (?!Traceback)", re.MULTILINE)
_LOGGED = re.compile(r"ERROR .*?\] ([\w.]+(?:Error|Exception): .*)")
_LOGS = {"log_level": "WARNING", "enable_access_log": False}


@dataclass(frozen=True)
class Served:
    """An endpoint that `serving` started."""

    url: str  # base URL of the OpenAI API, ends in /v1
    gpus: int  # most GPUs that it holds; 0 on CPUs


@contextmanager
def serving(
    models: Sequence[EngineModel], in_flight: int, name: str, start_timeout_s: float = 1800
) -> Iterator[Served]:
    """Serve every distinct model of `models` under its own name for the time of the block; Ray must be connected.

    Args:
        models: what to serve; a model may be given twice.
        in_flight: most open requests, which the replicas of a model share.
        name: name of the run, of letters, digits, - and _; two runs in one cluster must have different names.
        start_timeout_s: longest time until every model has its least number of replicas.

    Raises:
        FatalError: a model cannot be served here, or was not ready in time.
    """
    distinct = list({model.model: model for model in models}.values())
    on_gpu = _on_gpu(distinct)
    app = f"{name}-{fingerprint(*(f'{model} {revision_of(model)}'.encode() for model in distinct))}"
    _import_quietly()
    from ray import serve

    ours = _client() is None
    try:
        if ours:
            host = _address()
            listen = {"host": host, "port": _free_port(host)}
            serve.start(proxy_location="HeadOnly", http_options=listen, logging_config=_LOGS)
        for left, status in _applications(f"{name}-").items():
            ours = True
            if left != app or status not in ("DEPLOYING", "RUNNING"):
                serve.delete(left)
        if app not in _applications(app):
            _deploy(distinct, in_flight, app, on_gpu)
        _wait(app, distinct, time.monotonic() + start_timeout_s)
        http = _client().http_config
        host = _address() if http.host in ("0.0.0.0", "::") else http.host
        gpus = sum(model.max_replicas * model.tensor_parallel for model in distinct) if on_gpu else 0
        yield Served(f"http://{host}:{http.port}/{app}/v1", gpus)
    finally:
        if app in _applications(app):
            serve.delete(app)
        if ours and not _applications(""):
            with redirect_stdout(None):  # Ray reports that Serve was killed, as asked
                serve.shutdown()


def extra_slots(models: Sequence[EngineModel]) -> int:
    """Return the CPU slots that a local Ray needs for replicas; the rest of Serve needs none."""
    return sum({model.model: model.max_replicas for model in models}.values())


def _on_gpu(models: Sequence[EngineModel]) -> bool:
    there = int(ray.cluster_resources().get("GPU", 0))
    need = sum(model.min_replicas * model.tensor_parallel for model in models)
    if there == 0 and not any(model.gpu_memory_gib for model in models):
        return False
    if there < need:
        names = ", ".join(model.model for model in models)
        raise FatalError(f"{names} need {need} GPUs, this Ray has {there}: add machines, or take a smaller recipe")
    return True


def _deploy(models: Sequence[EngineModel], in_flight: int, app: str, on_gpu: bool) -> None:
    from ray import serve
    from ray.serve.llm import build_llm_deployment
    from ray.serve.llm.deployment import LLMServer
    from ray.serve.llm.ingress import OpenAiIngress, make_fastapi_ingress
    from starlette.responses import PlainTextResponse, Response

    class Replica(LLMServer):
        """A replica of Ray Serve that also returns what its engine has counted."""

        async def metrics(self) -> str:
            from prometheus_client import generate_latest

            return generate_latest().decode()

    class Ingress(OpenAiIngress):
        """An ingress that also answers /metrics as a plain vLLM server does, for all replicas one after the other."""

        async def metrics(self) -> Response:
            texts: list[str] = []
            for model in self._default_serve_handles:
                handle = self._get_configured_serve_handle(model).options(stream=False)
                texts += await handle.broadcast("metrics").results_async(timeout_s=10, return_exceptions=True)
            return PlainTextResponse("\n".join(text for text in texts if isinstance(text, str)))

    routes = {
        "models": lambda api: api.get("/v1/models"),
        "chat": lambda api: api.post("/v1/chat/completions"),
        "metrics": lambda api: api.get("/metrics"),
    }
    crowded = sum(model.max_replicas for model in models) > 1
    configs = {
        model.model: _llm_config(model, in_flight, _short(number, model), on_gpu, crowded, Replica)
        for number, model in enumerate(models)
    }
    ingress = serve.deployment(
        make_fastapi_ingress(Ingress, endpoint_map=routes),
        name="ingress",
        num_replicas=math.ceil(sum(model.max_replicas for model in models) / _REPLICAS_PER_INGRESS),
        max_ongoing_requests=10**9,  # replicas limit what is in flight; the rest waits here
        ray_actor_options={"num_cpus": 0},
        max_constructor_retry_count=1,
        logging_config=_LOGS,
    ).bind(
        llm_deployments={model: build_llm_deployment(config) for model, config in configs.items()},
        model_cards={model: _card(model) for model in configs},
    )
    target = serve.RunTarget(target=ingress, name=app, route_prefix=f"/{app}", logging_config=_LOGS)
    serve.run_many([target], wait_for_applications_running=False, wait_for_ingress_deployment_creation=False)


def _llm_config(model: EngineModel, in_flight: int, name: str, on_gpu: bool, crowded: bool, server: type) -> Any:
    from ray.llm._internal.common.callbacks.base import CallbackBase
    from ray.serve.llm import LLMConfig

    class NoMirror(CallbackBase):
        """Keeps a process from importing vLLM only to look for a mirror, which is not used here."""

        async def on_before_node_init(self) -> None:
            self.ctx.run_init_node = False

    share = math.ceil(in_flight / model.max_replicas)  # of one replica, when all are running
    batch_tokens = max(model.context_tokens, _LEAST_BATCH_TOKENS)
    engine = {
        "max_model_len": model.context_tokens,
        "limit_mm_per_prompt": {"image": model.images_per_prompt, "video": 0},
        "max_num_seqs": share,
        "max_num_batched_tokens": batch_tokens,
        "enable_prefix_caching": True,
        "enable_prompt_tokens_details": True,  # replies say how much of the prompt was in the cache
    }
    if model.revision:
        engine |= {"revision": model.revision, "tokenizer_revision": model.revision}
    env = {key: value for key, value in os.environ.items() if key in _PASSED_ON or key.startswith("VLLM_")}
    env.setdefault("VLLM_NO_USAGE_STATS", "1")  # else vLLM tells its makers about the model and this machine
    if on_gpu:
        engine["tensor_parallel_size"] = model.tensor_parallel
        bundle = {"GPU": 1}
    else:
        # vLLM 0.29 stops on a CPU when a seeded request is read in chunks ("CPU Generator does not use offset").
        engine |= {"enforce_eager": True, "enable_chunked_prefill": False}
        bundle = {"CPU": 1}
        env.setdefault("VLLM_CPU_KVCACHE_SPACE", "4")
        if crowded:  # else all replicas would bind their threads to the same cores
            env.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    return LLMConfig(
        model_loading_config={"model_id": model.model, "model_source": model.model},
        engine_kwargs=engine | model.engine_kwargs,
        placement_group_config={"bundle_per_worker": bundle},
        runtime_env={"env_vars": env},
        log_engine_metrics=False,  # else they go to Ray's agents, which need not run
        server_cls=server,
        callback_config={"callback_class": NoMirror},
        deployment_config={
            "name": name,
            "ray_actor_options": {"num_cpus": int(on_gpu)},
            "autoscaling_config": {
                "min_replicas": model.min_replicas,
                "max_replicas": model.max_replicas,
                "initial_replicas": model.min_replicas,
                "target_ongoing_requests": max(1, share * 3 // 4),
            },
            "max_ongoing_requests": share,
            "max_constructor_retry_count": 1,
            "health_check_period_s": _HEALTH_PERIOD_S,
            "health_check_timeout_s": _HEALTH_TIMEOUT_S,
            "graceful_shutdown_timeout_s": _STOP_S,
            "graceful_shutdown_wait_loop_s": 0.5,
            "logging_config": _LOGS,
        },
    )


def _short(number: int, model: EngineModel) -> str:
    """Return a short name of a deployment, which is part of its logs' names: a folder's path would be too long."""
    return re.sub(r"[^\w-]", "-", f"{number}-{Path(model.model).name}")


def _card(model: str) -> Any:
    from ray.llm._internal.serve.core.configs.openai_api_models import ModelCard

    return ModelCard(id=model, object="model", owned_by="refsav", permission=[], metadata={})


def _wait(app: str, models: Sequence[EngineModel], until_s: float) -> None:
    """Wait until the application runs.

    Raises:
        FatalError: a model cannot be loaded (the message has what its replica said), or was not ready in time.
    """
    names = {f"Replica:{_short(number, model)}": model.model for number, model in enumerate(models)}
    while (status := _client().get_serve_status(app)).app_status.status != "RUNNING":
        for deployment in status.deployment_statuses:
            if deployment.status == "DEPLOY_FAILED":
                raise FatalError(
                    f"vLLM cannot serve {names.get(deployment.name, deployment.name)}: {_cause(deployment.message)} "
                    f"(logs: {logs()})"
                )
        if (state := status.app_status).status == "DEPLOY_FAILED" or time.monotonic() > until_s:
            waiting = [f"{names.get(part.name, part.name)}: {part.message}" for part in status.deployment_statuses]
            message = " ".join("; ".join([state.message, *waiting]).split())
            raise FatalError(f"vLLM has not started ({state.status.value}): {message} (logs: {logs()})")
        time.sleep(_POLL_S)


def _cause(message: str) -> str:
    """Return the message of the first error of a chain that a replica and its engine raised because of one another."""
    errors = list(_RAISED.finditer(message))
    cause = message[errors[-1].start() :] if errors else message
    if errors and (replica := re.search(r"pid=(\d+)", message)) and "Engine core" in cause:
        # The engine is a process of its own and writes to the replica's log, which can be read if it is on this node.
        for log in sorted(Path(logs()).glob(f"worker-*-{replica.group(1)}.*")):
            if raised := _LOGGED.search(log.read_text(errors="replace")):
                return raised.group(1)
    return " ".join(cause.split("[type=")[0].split())


def _client() -> Any:
    """Return the client of the Ray Serve that runs in this Ray; None if none runs."""
    from ray.serve.context import _get_global_client

    return _get_global_client(raise_if_no_controller_running=False)


def _applications(prefix: str) -> dict[str, str]:
    """Return the status, by name, of the applications whose names begin so; `serve.status()` takes 0.2 s for it."""
    client = _client()
    apps = {app.name: app.app_status.status.value for app in client.list_serve_statuses()} if client else {}
    return {name: status for name, status in apps.items() if name.startswith(prefix)}


def _address() -> str:
    """Return the address for the proxy: 127.0.0.1 if this process started Ray, else where other nodes find the head."""
    node = ray._private.worker._global_node
    if node is not None and node.head:
        return "127.0.0.1"
    heads = [node for node in ray.nodes() if "node:__internal_head__" in node["Resources"]]
    return str(heads[0]["NodeManagerAddress"])


def _free_port(host: str) -> int:
    """Find a free port on the head node."""

    @ray.remote(num_cpus=0, resources={"node:__internal_head__": 0.001})
    def find() -> int:
        with socket.socket() as free:
            free.bind((host, 0))
            return int(free.getsockname()[1])

    return int(ray.get(find.remote()))


def logs() -> str:
    """Return the folder of this Ray session's logs; those of the replicas are below it."""
    node = ray._private.worker._global_node
    return str(node.get_logs_dir_path() if node else "logs of the Ray session")


def _import_quietly() -> None:
    """Import Ray's part for language models and vLLM so that neither takes over the root logger or writes to stderr."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    level = os.environ.get(_VLLM_LEVEL)
    os.environ[_VLLM_LEVEL] = "ERROR"
    try:
        importlib.import_module("ray.serve.llm")
        importlib.import_module("vllm.logger")
    finally:
        root.handlers[:], root.level = before
        os.environ.pop(_VLLM_LEVEL) if level is None else os.environ.update({_VLLM_LEVEL: level})
    for name in ("ray.serve", "ray._private.worker"):  # the latter reports what Serve kills at its end
        logging.getLogger(name).setLevel(logging.CRITICAL)
