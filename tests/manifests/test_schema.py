import pytest
from pydantic import BaseModel, ValidationError

from manifests.schema import (
    AnnotationRow,
    Colour,
    Facts,
    ManifestRow,
    Neighbour,
    Reason,
    Row,
    Span,
    Status,
)
from tests.rows import make_row

MODELS = (Colour, Span, Neighbour, Facts, ManifestRow, AnnotationRow, Row)


@pytest.mark.parametrize("model", MODELS)
def test_every_field_says_what_it_means(model: type[BaseModel]) -> None:
    silent = [name for name, field in model.model_fields.items() if len(field.description or "") < 5]
    assert not silent


@pytest.mark.parametrize("model", MODELS)
def test_a_misspelt_column_is_refused(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"no_such_column": 1})


def test_what_has_no_default_must_be_given() -> None:
    with pytest.raises(ValidationError, match="height_px"):
        ManifestRow.model_validate(make_row().model_dump(include=set(ManifestRow.model_fields) - {"height_px"}))


def test_a_row_has_the_columns_of_the_manifest_then_of_the_annotations_then_its_pictures() -> None:
    manifest, annotations = list(ManifestRow.model_fields), list(AnnotationRow.model_fields)
    assert annotations[: len(manifest)] == manifest
    assert list(Row.model_fields)[: len(annotations)] == annotations
    dropped = set(Row.model_fields) - set(annotations)
    of_question = {"lineup_shown", "lineup_times_s", "trial"}
    pictures = {"crop_jpeg", "masked_jpeg", "scene_jpeg", "video_jpegs", "lineup_frames"}
    assert dropped == {*pictures, *of_question, "sibling_facts"}


@pytest.mark.parametrize("states", [Status, Reason])
def test_states_are_their_own_lower_case_names(states: type[Status] | type[Reason]) -> None:
    """They stand in parquet as text; another spelling there would be a third way to say the same."""
    assert [state.value for state in states] == [name.lower() for name in states.__members__]


def test_rows_do_not_share_their_lists() -> None:
    first, second = make_row(), make_row()
    first.prompt_ids.append("caption_crop@12345678")
    assert second.prompt_ids == []
