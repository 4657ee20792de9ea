"""midpoint: the clear acquisition nearest to the middle of each period."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnkit.strategy.midpoint import Midpoint
from lcnkit.testing.candidates import make_candidates
from lcnkit.testing.strategy import StrategyContract, chosen


class TestMidpoint(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return Midpoint()


class TestMidpointWithoutLimit(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return Midpoint(max_cloud=100)


# Two periods of two days: the middles are midnight of the 2nd and of the 4th.
TWO_PERIODS = {"interval": ("2018-01-01", "2018-01-04"), "n_periods": 2}
MIDDLES = {1: pd.Timestamp("2018-01-02", tz="UTC"), 2: pd.Timestamp("2018-01-04", tz="UTC")}
days = st.sampled_from(["2018-01-01", "2018-01-01T20:00", "2018-01-02T04:00", "2018-01-03", "2018-01-04T02:00", "2018-01-05"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), days, st.sampled_from([None, 0.0, 10.0, 20.0, 20.1])), max_size=30))
def test_the_choice_is_that_of_the_plain_loop(rows) -> None:
    table = make_candidates(rows, **TWO_PERIODS)
    best: dict[tuple[str, int], tuple] = {}
    for row in table.itertuples():
        if row.period and row.cloud_cover <= 20:
            entry = (abs(row.datetime - MIDDLES[row.period]), row.cloud_cover, row.datetime, row.item_id)
            best[row.chip_id, row.period] = min(entry, best.get((row.chip_id, row.period), entry))
    assert chosen(Midpoint(), table) == {(chip_id, entry[-1]) for (chip_id, _), entry in best.items()}


def test_one_nanosecond_nearer_is_nearer() -> None:
    rows = [("a", "2018-01-01T20:00", 0.0, "clear"), ("a", "2018-01-02T03:59:59.999999999", 20.0, "near")]
    assert chosen(Midpoint(), make_candidates(rows, **TWO_PERIODS)) == {("a", "near")}


def test_the_reason_gives_distance_and_cloud_cover() -> None:
    table = make_candidates([("a", "2018-01-01T12:00", 5.0), ("a", "2018-01-03", 0.0), ("a", "2018-01-01", 0.0)], **TWO_PERIODS)
    answer = Midpoint().select(table)
    assert answer["rank"].tolist() == [1, 1, 2]
    assert answer["reason"].tolist() == [
        "nearest of 2 to the middle of period 1 (0.5 days away, 5.0 %)",
        "nearest of 1 to the middle of period 2 (1.0 days away, 0.0 %)",
        "only number 2 of 2 to the middle of period 1 (1.0 days away, 0.0 %)",
    ]
