from typing import Any

import pytest

from validation_ui.importing.strata import FACETS, by_likeness, levels


def facts(object_id: str = "v/manual/0", **changed: Any) -> dict[str, Any]:
    return {
        "object_id": object_id,
        "size": "small",
        "motion": "none",
        "camera": "static",
        "hidden_spans": [],
        "occluded_spans": [],
        "colours": [{"name": "red", "share_frac": 0.6}, {"name": "blue", "share_frac": 0.3}],
        "neighbours": [],
    } | changed


SPAN = {"start_s": 1.0, "end_s": 2.0}


@pytest.mark.parametrize(
    ("changed", "facet", "level"),
    [
        ({"size": "tiny"}, "size", "tiny"),
        ({"motion": "none"}, "motion", "still"),
        ({"motion": "up-left"}, "motion", "moves"),
        ({"motion": "complex"}, "motion", "complex"),
        ({"motion": "unknown", "motion_known": False}, "motion", "unknown"),
        ({"camera": "static"}, "camera", "static"),
        ({"camera": "unknown"}, "camera", "unknown"),
        ({"camera": "pans left"}, "camera", "moving"),
        ({"camera": "moves"}, "camera", "moving"),
        ({"camera": "travels"}, "camera", "moving"),
        ({"occluded_spans": [SPAN], "occluded_known": False}, "occlusion", "unknown"),
        ({"occluded_spans": [SPAN], "occluded_known": False, "hidden_spans": [SPAN]}, "occlusion", "hidden"),
        ({}, "occlusion", "none"),
        ({"occluded_spans": [SPAN]}, "occlusion", "partly"),
        ({"occluded_spans": [SPAN], "hidden_spans": [SPAN]}, "occlusion", "hidden"),
    ],
)
def test_a_level_follows_from_one_fact(changed: dict[str, Any], facet: str, level: str) -> None:
    found = levels(facts(**changed), {"object": "one two three"}, [])
    assert tuple(found) == FACETS
    assert found[facet] == level
    rest = levels(facts(), {"object": "one two three"}, []) | {facet: level}
    assert found == rest


@pytest.mark.parametrize(
    ("words", "level"), [(1, "short"), (65, "short"), (66, "medium"), (80, "medium"), (81, "long")]
)
def test_length_counts_words(words: int, level: str) -> None:
    assert levels(facts(), {"object": "word " * words}, [])["length"] == level


def test_look_alikes_share_main_colour_and_size() -> None:
    twin = facts("v/manual/1")
    second_colour_only = facts("v/manual/2", colours=[{"name": "blue", "share_frac": 0.9}])
    larger = facts("v/manual/3", size="large")
    none = facts("v/manual/4", colours=[])
    assert levels(facts(), {}, [second_colour_only, larger, none])["look_alikes"] == "none"
    assert levels(facts(), {}, [twin, larger])["look_alikes"] == "one"
    assert levels(facts(), {}, [twin, facts("v/manual/5"), facts("v/manual/6")])["look_alikes"] == "several"
    assert levels(facts(colours=[]), {}, [none])["look_alikes"] == "none"


def test_the_most_easily_confused_object_comes_first() -> None:
    twin = facts("v/auto/9")
    near = facts("v/auto/1", size="large", motion="up", colours=[{"name": "pink", "share_frac": 1.0}])
    same_colour = facts("v/auto/2", size="large", motion="up")
    unlike = facts("v/auto/0", size="large", motion="up", colours=[{"name": "grey", "share_frac": 1.0}])
    me = facts(neighbours=[{"object_id": "v/auto/1"}])
    for others in ([twin, near, same_colour, unlike], [unlike, same_colour, near, twin]):
        assert by_likeness(me, others) == ["v/auto/9", "v/auto/2", "v/auto/1", "v/auto/0"]
