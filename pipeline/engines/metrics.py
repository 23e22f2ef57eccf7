"""What an engine counts of itself, from the Prometheus text that vLLM and `serving` both offer."""

import urllib.request
from http.client import HTTPException

from pipeline.engines.address import is_loopback

_HITS, _QUERIES = "vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"
_TIMEOUT_S = 10.0


def prefix_cache(url: str) -> tuple[float, float] | None:
    """Tokens of prompts that were found in the prefix cache, and all that were looked up, of all models and replicas.

    The counts are of processes: they begin anew with a replica that was replaced.

    Args:
        url: OpenAI base url, ends in /v1; the metrics are beside it.

    Returns:
        (hits, queries), or None if the engine tells neither.
    """
    from prometheus_client.parser import text_string_to_metric_families

    try:
        direct = [urllib.request.ProxyHandler({})] if is_loopback(url) else []
        page = f"{url.rstrip('/').removesuffix('/v1')}/metrics"
        with urllib.request.build_opener(*direct).open(page, timeout=_TIMEOUT_S) as reply:
            text = reply.read().decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except (OSError, ValueError, HTTPException):  # no such page, no answer, or another page
        return None
    hits, queries = ([sample.value for sample in samples if sample.name == counted] for counted in (_HITS, _QUERIES))
    return (sum(hits), sum(queries)) if queries else None
