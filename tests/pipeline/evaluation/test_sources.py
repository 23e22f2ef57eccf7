"""Sources keep their names whatever else is scored, and no name leads out of OUT."""

import json
from pathlib import Path

import pytest

from pipeline.evaluation.sources import Kind, ScoredSource, named, parse_source


def model(path: Path) -> ScoredSource:
    return parse_source("model", str(path))


def names(*sources: ScoredSource, out: Path | None) -> list[str]:
    return [source.name for source in named(sources, out)]


def predicted(out: Path, source: ScoredSource) -> None:
    """Leave what a model's predictions leave in OUT."""
    (out / source.name).mkdir(parents=True)
    (out / source.name / "run.json").write_text(json.dumps({"model": str(source.path.resolve())}))


def test_a_model_keeps_its_name_when_another_of_that_name_comes(tmp_path: Path) -> None:
    a, b, c = (model(tmp_path / run / "training/model") for run in "abc")
    out = tmp_path / "out"
    assert names(a, b, out=out) == ["a_training_model", "b_training_model"]
    (first,) = named([a], out)
    assert first.name == "model"
    predicted(out, first)
    second = named([b, a], out)[0]
    assert names(b, a, out=out) == ["training_model", "model"]
    predicted(out, second)
    assert names(b, out=out) == ["training_model"]
    assert names(c, b, a, out=out) == ["c_training_model", "training_model", "model"]
    assert names(a, b, out=tmp_path / "fresh") == ["a_training_model", "b_training_model"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 3}'])
def test_a_name_is_not_kept_by_files_of_another_kind(tmp_path: Path, content: str) -> None:
    (tmp_path / "out/model").mkdir(parents=True)
    (tmp_path / "out/model/run.json").write_text(content)
    assert names(model(tmp_path / "a/model"), model(tmp_path / "b/model"), out=tmp_path / "out") == [
        "a_model",
        "b_model",
    ]


def test_what_exists_is_a_path_even_with_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("lr=1", "runs/lr=1", "1"):
        Path(folder).mkdir(parents=True)
    Path("a=b.json").touch()
    kinds: list[Kind] = ["model", "predictions"]
    for kind in kinds:
        assert parse_source(kind, "a=b.json") == ScoredSource(kind, "", Path("a=b.json"))
        assert parse_source(kind, "c=a=b.json") == ScoredSource(kind, "c", Path("a=b.json"))
        assert parse_source(kind, "=b.json") == ScoredSource(kind, "", Path("=b.json"))
        assert parse_source(kind, "x" * 5000) == ScoredSource(kind, "", Path("x" * 5000))
    for path in ("lr=1", "runs/lr=1"):
        assert parse_source("model", path) == ScoredSource("model", "", Path(path))
        assert parse_source("predictions", path) == ScoredSource("predictions", "", Path(path) / "results.json")
    assert parse_source("model", "runs/lr=2") == ScoredSource("model", "", Path("runs/lr=2"))


@pytest.mark.parametrize(
    "name", ["..", ".", "../up", "a/b", "a\\b", "comparison.md", "comparison.csv", "a\nb", "x" * 300]
)
def test_a_name_that_is_no_folder_in_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="NAME, and without one the folder's, is that of a folder in OUT"):
        named([parse_source("model", f"{name}={tmp_path}")], tmp_path / "out")


@pytest.mark.parametrize("name", ["...", "v1.5", "a b", "größer", "comparison"])
def test_other_names_are_taken(tmp_path: Path, name: str) -> None:
    assert names(parse_source("model", f"{name}={tmp_path}"), out=tmp_path / "out") == [name]
