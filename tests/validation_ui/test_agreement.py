"""The figures of agreement equal those of published packages, and those worked out by hand."""

import math

import krippendorff
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from irrCAC.raw import CAC

from validation_ui.statistics.coefficients import Ratings, cohen_kappa, gwet_ac1, krippendorff_alpha, raw

# Cohen's kappa in textbooks: 50 grant applications, two readers: both yes 20, both no 15, 5 and 10 apart
GRANTS = np.array([[1, 1]] * 20 + [[1, 0]] * 5 + [[0, 1]] * 10 + [[0, 0]] * 15)

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C: 4 observers, 12 units, missing cells
ALPHA_C = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
).T - 1  # fmt: skip


def random_tables() -> list[Ratings]:
    """200 tables of all shapes, some with many holes; agreement well above and below chance."""
    rng = np.random.default_rng(5)
    tables = []
    for _ in range(200):
        items, raters, categories = rng.integers([3, 2, 2], [60, 6, 5])
        truth_N1 = rng.integers(categories, size=(items, 1))
        guess_NR = rng.integers(categories, size=(items, raters))
        ratings_NR = np.where(rng.random((items, raters)) < rng.random(), truth_N1, guess_NR)
        ratings_NR[rng.random((items, raters)) < rng.choice([0, 0.1, 0.5])] = -1
        ratings_NR[0], ratings_NR[1, :2] = np.arange(raters) % categories, [0, 1]  # two of each, so that all is defined
        tables.append(ratings_NR)
    return tables


def package(ratings_NR: Ratings) -> CAC:
    cells = pd.DataFrame(ratings_NR.astype(float)).replace(-1.0, math.nan)
    return CAC(cells, digits=12, categories=[float(k) for k in range(ratings_NR.max() + 1)])


@pytest.mark.parametrize("ratings_NR", random_tables())
def test_equals_the_packages_on_random_tables(ratings_NR: Ratings) -> None:
    theirs = package(ratings_NR)
    gwet = theirs.gwet()["est"]
    assert raw(ratings_NR) == pytest.approx(gwet["pa"], abs=1e-9)
    assert gwet_ac1(ratings_NR) == pytest.approx(gwet["coefficient_value"], abs=1e-9)
    alpha = krippendorff_alpha(ratings_NR)
    assert alpha == pytest.approx(theirs.krippendorff()["est"]["coefficient_value"], abs=1e-9)
    cells = np.where(ratings_NR < 0, math.nan, ratings_NR)
    assert alpha == pytest.approx(krippendorff.alpha(cells.T, level_of_measurement="nominal"), abs=1e-9)
    if ratings_NR.shape[1] == 2:  # Conger's kappa of two complete columns is Cohen's
        whole = ratings_NR[(ratings_NR >= 0).all(axis=1)]
        assert cohen_kappa(ratings_NR) == pytest.approx(package(whole).conger()["est"]["coefficient_value"], abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(arrays.arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(2, 4)), elements=st.integers(-1, 2)))
def test_equals_krippendorff_or_both_are_undefined(ratings_NR: Ratings) -> None:
    compared = ratings_NR[(ratings_NR >= 0).sum(axis=1) >= 2]
    if len(np.unique(compared[compared >= 0])) < 2:
        assert math.isnan(krippendorff_alpha(ratings_NR))
        return
    cells = np.where(ratings_NR < 0, math.nan, ratings_NR)
    theirs = krippendorff.alpha(cells.T, level_of_measurement="nominal")
    assert krippendorff_alpha(ratings_NR) == pytest.approx(theirs, abs=1e-9)


def test_grants_by_hand() -> None:
    assert raw(GRANTS) == pytest.approx(0.7)
    assert cohen_kappa(GRANTS) == pytest.approx((0.7 - 0.5) / (1 - 0.5))  # chance: .5 x .6 + .5 x .4
    # AC1: yes has (25 + 30) / 100 of the judgements, chance 2 x .55 x .45
    assert gwet_ac1(GRANTS) == pytest.approx((0.7 - 0.495) / (1 - 0.495))


def test_alpha_of_the_published_example() -> None:
    assert krippendorff_alpha(ALPHA_C) == pytest.approx(0.743, abs=5e-4)


def test_prevalence_moves_kappa_and_not_ac1() -> None:
    """What the specification warns of: 92% raw agreement at two shares of acceptance."""

    def table(both: int, neither: int) -> Ratings:
        return np.array([[1, 1]] * both + [[0, 0]] * neither + [[1, 0]] * 4 + [[0, 1]] * 4)

    even, skewed = table(56, 36), table(88, 4)
    assert raw(even) == raw(skewed) == pytest.approx(0.92)
    assert cohen_kappa(even) > 0.83
    assert cohen_kappa(skewed) < 0.5
    assert gwet_ac1(even) > 0.83
    assert gwet_ac1(skewed) > 0.9


def test_one_category_throughout() -> None:
    ratings_NR = np.ones((9, 2), np.int64)
    assert raw(ratings_NR) == 1
    assert math.isnan(cohen_kappa(ratings_NR))
    assert math.isnan(krippendorff_alpha(ratings_NR))
    assert gwet_ac1(ratings_NR, categories=2) == 1


@pytest.mark.parametrize("figure", [raw, cohen_kappa, krippendorff_alpha, gwet_ac1])
@pytest.mark.parametrize("ratings_NR", [np.zeros((0, 2), np.int64), np.full((5, 2), -1), np.array([[0, -1], [-1, 1]])])
def test_nothing_to_compare_is_nan(figure: object, ratings_NR: Ratings) -> None:
    assert callable(figure)
    assert math.isnan(figure(ratings_NR))


def test_refuses_what_is_no_rating() -> None:
    with pytest.raises(ValueError, match="got -2 to 1"):
        raw(np.array([[0, 1], [-2, 1]]))
    with pytest.raises(ValueError, match="0..1"):
        gwet_ac1(np.array([[0, 2]]), categories=2)
    with pytest.raises(ValueError, match="two judgements an item, got 3"):
        cohen_kappa(np.zeros((4, 3), np.int64))
