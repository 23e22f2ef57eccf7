"""Which of an endpoint's models is meant by a name."""

import pytest

from pipeline.engines.models import ModelConfig
from pipeline.run.session import _named


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
    model = _named(ModelConfig(model=asked), listed)
    assert (model and (model.model, model.revision)) == found
