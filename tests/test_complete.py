"""The candidate table of a catalog's answer, before anything is chosen."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from lcnkit.candidates import COLUMNS, complete, empty_search
from lcnkit.errors import PluginError
from lcnkit.model import Interval

YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))


def found(**columns) -> pd.DataFrame:
    """A catalog's answer of two rows."""
    plain = {
        "chip_id": ["A", "A"],
        "item_id": ["i", "j"],
        "collection": "c",
        "datetime": pd.to_datetime(["2018-01-01T00:00:00Z", "2018-12-31T23:00:00Z"]),
        "cloud_cover": [1.0, 2.0],
        "coverage": 1.0,
        "item_href": ["i.json", "j.json"],
    }
    return pd.DataFrame({**plain, **columns})


class TestComplete:
    def test_columns_and_types_are_exactly_the_schema(self):
        for answer in (found(), empty_search(), found(coverage=np.array([1, 1], "float32"), datetime=["2018-01-01T02:00:00+02:00", "2019-01-01"])):
            table = complete(answer, "s2", {"A": YEAR}, 5)
            assert list(table.columns) == list(COLUMNS)
            for name, (kind, _) in COLUMNS.items():
                assert table[name].dtype == object if kind == "str" else str(table[name].dtype) == kind, name

    def test_nothing_is_chosen_yet(self):
        table = complete(found(), "s2", {"A": YEAR}, 5)
        assert table["period"].tolist() == [1, 5]
        assert table["source"].tolist() == ["s2", "s2"]
        assert not table["selected"].any()
        assert table["rank"].tolist() == [0, 0]
        assert table["interval_start"][0] == pd.Timestamp("2018-01-01", tz="UTC")
        assert table["interval_end"][0] == pd.Timestamp("2019-01-01", tz="UTC")

    @pytest.mark.parametrize(
        ("published", "percent"),
        [
            (0, 0),
            (100, 100),
            ("12.5", 12.5),
            (None, None),
            ("", None),
            ("n/a", None),
            (-1, None),
            (100.1, None),
            (float("nan"), None),
            (float("inf"), None),
        ],
    )
    def test_cloud_cover_is_percent_or_unknown(self, published, percent):
        table = complete(found(cloud_cover=pd.Series([published, 3], dtype=object)), "s2", {"A": YEAR}, 5)
        known = percent is not None
        assert table["cloud_cover"].tolist() == [pytest.approx(percent) if known else pytest.approx(float("nan"), nan_ok=True), 3]
        assert table["cloud_source"].tolist() == ["metadata" if known else "", "metadata"]

    def test_an_item_named_twice_counts_once(self):
        twice = pd.concat([found(), found()], ignore_index=True)
        assert complete(twice, "s2", {"A": YEAR}, 5)["item_id"].tolist() == ["i", "j"]

    def test_each_chip_has_its_own_interval(self):
        other = Interval(date(2018, 12, 1), date(2018, 12, 31))
        table = complete(found(chip_id=["A", "B"]), "s2", {"A": YEAR, "B": other}, 2)
        assert table["period"].tolist() == [1, 2]
        assert complete(found(chip_id=["B", "B"]), "s2", {"B": other}, 2)["period"].tolist() == [0, 2]

    def test_an_answer_without_a_column(self):
        with pytest.raises(PluginError, match=r"lacks the columns coverage, item_href; see lcnkit\.contracts\.Catalog\.search"):
            complete(found().drop(columns=["coverage", "item_href"]), "s2", {"A": YEAR}, 5)
