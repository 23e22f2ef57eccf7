"""Settings: what they refuse, and that the database gives them back."""

import re

import pytest

from validation_ui.database import Database
from validation_ui.settings import Settings


def test_changes_are_read_by_the_kind_of_the_setting() -> None:
    changed = Settings().changed(["long=20", "overlap_frac=0.3"])
    assert (changed.long, changed.overlap_frac, changed.short) == (20, 0.3, 251)


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ("lnog=20", "a setting must be one of seed, videos, long"),
        ("long=many", "long must be a whole number, got 'many'"),
        ("long", "long must be a whole number, got ''"),
        ("overlap_frac=1.5", "overlap_frac must be in [0, 1], got 1.5"),
        ("per_video=-1", "per_video must not be negative, got -1"),
        ("lease_s=nan", "lease_s must be finite, got nan"),
        ("lease_s=inf", "lease_s must be finite, got inf"),
        ("rejected_frac=nan", "rejected_frac must be in [0, 1], got nan"),
        ("no_target=nan", "no_target must be a whole number, got 'nan'"),
        ("lease_s=soon", "lease_s must be a number, got 'soon'"),
    ],
)
def test_a_wrong_setting_is_told(pair: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Settings().changed([pair])


def test_a_project_keeps_its_settings(store: Database) -> None:
    with store.read() as connection:
        assert Settings.load(connection) == Settings()
    store.write(Settings(long=7).save)
    with store.read() as connection:
        assert Settings.load(connection) == Settings(long=7)
