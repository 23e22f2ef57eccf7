"""Which of an endpoint's models is meant by a name; the prefix cache's counts, from pages of a real HTTP server."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from pipeline.engines.models import EngineModel
from pipeline.run.session import _named, prefix_cache

PAGE = """\
# HELP vllm:prefix_cache_queries_total Prefix cache queries, in terms of number of queried tokens.
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="one"} 726.0
vllm:prefix_cache_queries_created{engine="0",model_name="one"} 1.79e+09
# HELP vllm:prefix_cache_hits_total Prefix cache hits, in terms of number of cached tokens.
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{engine="0",model_name="one"} 256.0
vllm:external_prefix_cache_hits_total{engine="0",model_name="one"} 7.0
"""


@pytest.mark.parametrize(
    ("asked", "listed", "found"),
    [
        ("m-vl", ["m-vl", "other"], ("m-vl", None)),
        ("lab/m-vl@fp8", ["lab/m-vl@fp8"], ("lab/m-vl@fp8", None)),
        ("lab/m-vl@c0ffee", ["lab/m-vl"], ("lab/m-vl", "c0ffee")),
        ("@cf/lab/m-vl", ["@cf/lab/m-vl"], ("@cf/lab/m-vl", None)),
        ("m-vl", ["m-vl:latest"], ("m-vl", None)),
        ("gemini-x", ["models/gemini-x"], ("gemini-x", None)),
        ("m-vl", ["m-vl-2"], None),
        ("@cf/lab/m-vl", ["m-vl"], None),
        ("m", [], None),
    ],
)
def test_names_with_revisions_and_of_other_servers(
    asked: str, listed: list[str], found: tuple[str, str | None] | None
) -> None:
    model = _named(EngineModel(model=asked), listed)
    assert (model and (model.model, model.revision)) == found


@pytest.fixture
def pages() -> Iterator[tuple[str, dict[str, str]]]:
    """A server's url and its pages by path."""
    found: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in found else 404)
            self.end_headers()
            self.wfile.write(found.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", found
        server.shutdown()


def test_hits_and_queries_are_beside_v1_and_summed_over_replicas(pages: tuple[str, dict[str, str]]) -> None:
    root, found = pages
    found["/app/metrics"] = PAGE + "\n" + PAGE.replace('"one"', '"two"').replace("256.0", "44.0")
    assert prefix_cache(f"{root}/app/v1") == (300.0, 1452.0)
    assert prefix_cache(f"{root}/app/v1/") == (300.0, 1452.0)


@pytest.mark.parametrize("page", [None, "<html>not for you</html>", "up 1.0\n"])
def test_an_engine_that_does_not_tell_is_no_error(pages: tuple[str, dict[str, str]], page: str | None) -> None:
    root, found = pages
    if page is not None:
        found["/metrics"] = page
    assert prefix_cache(f"{root}/v1") is None


def test_nobody_there_is_no_error() -> None:
    assert prefix_cache("http://127.0.0.1:9/v1") is None
