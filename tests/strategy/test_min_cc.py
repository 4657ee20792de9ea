"""min_cc: the k least cloudy of the whole interval."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnkit.contracts import chooses_by_period, frames_wanted
from lcnkit.errors import ConfigError
from lcnkit.strategy.min_cc import MinCC
from lcnkit.testing.candidates import make_candidates
from lcnkit.testing.strategy import StrategyContract, chosen


class TestMinCC(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return MinCC(k=3)


rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["2018-01-01", "2018-06-01", "2018-12-31T10:00", "2019-01-01"]),
        st.sampled_from([None, 0.0, 10.0, 60.0]),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(rows=rows, k=st.integers(1, 6), max_cloud=st.sampled_from([100.0, 50.0]))
def test_the_choice_is_that_of_a_plain_sort(rows, k: int, max_cloud: float) -> None:
    table = make_candidates(rows)
    expected = set()
    for chip_id, chip in table.groupby("chip_id"):
        fit = [
            (math.inf if math.isnan(row.cloud_cover) else row.cloud_cover, row.datetime, row.item_id)
            for row in chip.itertuples()
            if row.period and (max_cloud == 100 or row.cloud_cover <= max_cloud)
        ]
        expected |= {(chip_id, item_id) for _, _, item_id in sorted(fit)[:k]}
    assert chosen(MinCC(k=k, max_cloud=max_cloud), table) == expected


def test_rank_and_reason_count_from_the_clearest() -> None:
    table = make_candidates([("a", "2018-05-01", 30.0), ("a", "2018-05-02", 10.0), ("a", "2018-09-01", 20.0)])
    answer = MinCC(k=2).select(table)
    assert answer["rank"].tolist() == [3, 1, 2]
    assert answer["reason"].tolist() == [
        "3rd clearest of 3 (30.0 %), only 2 are kept",
        "1st clearest of 3 (10.0 %)",
        "2nd clearest of 3 (20.0 %)",
    ]


def test_a_chip_is_to_have_k_frames_whatever_the_periods() -> None:
    assert not chooses_by_period(MinCC())
    assert frames_wanted(MinCC(k=7), n_periods=5) == 7


@pytest.mark.parametrize("k", [0, -2, 2.5, True])
def test_a_k_that_is_no_count_is_named(k) -> None:
    with pytest.raises(ConfigError, match=rf"^strategy\.k is {k}; it must be a whole number of at least 1"):
        MinCC(k=k)
