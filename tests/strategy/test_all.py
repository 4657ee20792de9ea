"""all: everything in the interval that is clear enough."""

from __future__ import annotations

import pytest

from lcnkit.contracts import frames_wanted
from lcnkit.strategy.all import All
from lcnkit.testing.candidates import make_candidates
from lcnkit.testing.strategy import StrategyContract, chosen


class TestAll(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return All()


ROWS = [
    ("a", "2018-12-31T23:59", 99.0, "last"),
    ("a", "2018-01-01", None, "first"),
    ("a", "2019-01-01", 0.0, "after"),
    ("b", "2018-05-01", 20.0, "clear"),
]


def test_keeps_the_whole_interval_in_order_of_time() -> None:
    answer = All().select(make_candidates(ROWS))
    assert answer["selected"].tolist() == [True, True, False, True]
    assert answer["rank"].tolist() == [2, 1, 0, 1]
    assert answer["reason"].tolist() == [
        "2nd of 2 in time, all are kept (99.0 %)",
        "1st of 2 in time, all are kept (unknown cloud cover)",
        "outside the interval",
        "1st of 1 in time, all are kept (20.0 %)",
    ]


def test_the_limit_leaves_out_what_is_cloudier_or_unknown() -> None:
    assert chosen(All(max_cloud=20), make_candidates(ROWS)) == {("b", "clear")}


def test_the_number_of_frames_is_left_open() -> None:
    assert frames_wanted(All(), n_periods=5) is None
