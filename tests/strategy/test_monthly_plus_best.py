"""monthly_plus_best: one of each month, then the clearest of the rest."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnkit.contracts import frames_wanted
from lcnkit.errors import ConfigError
from lcnkit.strategy.monthly_plus_best import MonthlyPlusBest
from lcnkit.testing.candidates import make_candidates
from lcnkit.testing.strategy import StrategyContract, chosen


class TestMonthlyPlusBest(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return MonthlyPlusBest(best=4)


def oracle(table, best: int, max_cloud: float) -> set[tuple[str, str]]:
    kept = set()
    for chip_id, chip in table.groupby("chip_id"):
        fit = [
            (math.inf if math.isnan(row.cloud_cover) else row.cloud_cover, row.datetime, row.item_id)
            for row in chip.itertuples()
            if row.period and (max_cloud == 100 or row.cloud_cover <= max_cloud)
        ]
        taken = []
        for month in {(time.year, time.month) for _, time, _ in fit}:
            of_month = sorted(entry for entry in fit if (entry[1].year, entry[1].month) == month)
            equals = [entry for entry in of_month if entry[0] == of_month[0][0]]
            date = equals[len(equals) // 2][1]
            taken.append(min(entry for entry in equals if entry[1] == date))
        taken += sorted(entry for entry in fit if entry not in taken)[:best]
        kept |= {(chip_id, item_id) for _, _, item_id in taken}
    return kept


days = st.sampled_from(
    [
        "2017-12-31T23:59",
        "2018-01-01",
        "2018-01-20",
        "2018-01-31T23:59:59",
        "2018-02-01",
        "2018-02-02",
        "2019-01-05",
        "2019-03-01",
    ]
)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from(["a", "b"]), days, st.sampled_from([None, 0.0, 10.0, 60.0])), max_size=30),
    best=st.integers(0, 4),
    max_cloud=st.sampled_from([100.0, 50.0]),
)
def test_the_choice_is_that_of_the_plain_loop(rows, best: int, max_cloud: float) -> None:
    table = make_candidates(rows, interval=("2018-01-01", "2019-01-31"))
    assert chosen(MonthlyPlusBest(best=best, max_cloud=max_cloud), table) == oracle(table, best, max_cloud)


def test_a_full_year_gives_the_24_of_landcovernet() -> None:
    rows = [("a", f"2018-{month:02d}-{day:02d}", float(day)) for month in range(1, 13) for day in (3, 8, 13, 18)]
    answer = MonthlyPlusBest().select(make_candidates(rows))
    assert answer["selected"].sum() == 24
    assert sorted(answer["rank"]) == list(range(1, 49))
    assert (answer["selected"] == (answer["rank"] <= 24)).all()


def test_the_months_rank_before_the_rest_and_each_says_why() -> None:
    rows = [("a", "2018-03-01", 5.0), ("a", "2018-03-02", 6.0), ("a", "2018-03-03", 7.0), ("a", "2018-04-01", 50.0)]
    answer = MonthlyPlusBest(best=1).select(make_candidates(rows))
    assert answer["rank"].tolist() == [1, 3, 4, 2]
    assert answer["selected"].tolist() == [True, True, False, True]
    assert answer["reason"].tolist() == [
        "least cloudy of 3 in 2018-03 (5.0 %)",
        "1st clearest of the rest (6.0 %)",
        "2nd clearest of the rest (7.0 %), only 1 are kept",
        "the only candidate in 2018-04 (50.0 %)",
    ]


def test_the_number_of_frames_is_left_open() -> None:
    assert frames_wanted(MonthlyPlusBest(), n_periods=5) is None


def test_a_best_that_is_no_count_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^strategy\.best is -1"):
        MonthlyPlusBest(best=-1)
