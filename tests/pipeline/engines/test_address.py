"""Keys, proxies and what may be shown of an address."""

import os

import pytest

from pipeline.engines import address


@pytest.mark.parametrize("given", ["sk-1", "sk-1\n", "\r\n sk-1\t", "\ufeffsk-1", '"sk-1"', "'sk-1'\n", "Bearer sk-1"])
def test_white_space_around_a_key_is_no_part_of_it(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", given)
    assert address.api_key() == "sk-1"


@pytest.mark.parametrize("given", ["sk\n1", "sk-\u2019x", "sk 1", "sk\x7f1", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", given)
    with pytest.raises(
        ValueError, match=r"OPENAI_API_KEY must have .*got U\+[0-9A-F]{4} at position \d+ of \d+"
    ) as error:
        address.api_key()
    assert given not in str(error.value)


def test_no_key_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " \n")
    assert address.api_key() == "none"


@pytest.mark.parametrize(
    "url",
    ["host:8000/v1", "http:///v1", "http://[::1/v1", "http://h:99999/v1", "http://h:x/v1", "http://h /v1", "ftp://h"],
)
def test_what_is_no_address(url: str) -> None:
    assert not address.is_address(url)
    assert address.is_address("http://[::1]:8000/v1?api-version=1")
    assert address.public("http://me:secret@[::1/v1") == "http://[::1/v1"


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://localhost:8000/v1", True),
        ("http://LOCALHOST./v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://0.0.0.0:8000/v1", True),
        ("http://10.0.0.1/v1", False),
        ("http://localhost.example.org/v1", False),
        ("https://api.example.org/v1", False),
    ],
)
def test_this_machine_is_reached_without_a_proxy(url: str, loopback: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://user:secret@proxy.example:3128")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert address.is_loopback(url) is loopback
    assert address.proxy_of(url) == (None if loopback else "http://proxy.example:3128")


def test_no_proxy_is_kept_and_gets_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "intern.example")
    assert address.proxy_of("http://vllm.intern.example/v1") is None
    address.bypass_for_loopback()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "intern.example,localhost,127.0.0.1,::1"


def test_names_and_keys_in_an_address_are_not_shown() -> None:
    assert address.public("https://me:secret@host:1/v1?api-key=abc&v=2") == "https://host:1/v1?api-key=***&v=2"
