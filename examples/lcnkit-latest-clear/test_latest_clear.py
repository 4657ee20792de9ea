"""latest_clear keeps the contract of strategies, and chooses what it says."""

from __future__ import annotations

import pytest
from lcnkit_latest_clear import LatestClear

from lcnkit.testing.candidates import make_candidates
from lcnkit.testing.strategy import StrategyContract, chosen


class TestLatestClear(StrategyContract):
    """All that every strategy must keep to."""

    @pytest.fixture
    def strategy(self) -> LatestClear:
        """The strategy to try."""
        return LatestClear(max_cloud=30)


def test_the_latest_that_is_clear_enough() -> None:
    """By date, then by id; never cloudier than the limit, nor of unknown cloud cover."""
    table = make_candidates(
        [
            ("a", "2018-01-01", 0, "early"),
            ("a", "2018-01-20", 20, "latest clear"),
            ("a", "2018-01-30", 21, "cloudy"),
            ("a", "2018-01-31", None, "unknown"),
            ("b", "2018-01-20", 20, "tie 1"),
            ("b", "2018-01-20", 20, "tie 2"),
        ],
        n_periods=1,
    )
    assert chosen(LatestClear(), table) == {("a", "latest clear"), ("b", "tie 2")}
    answer = LatestClear().select(table).set_index("item_id")
    assert answer["rank"].to_dict() == {"early": 2, "latest clear": 1, "cloudy": 0, "unknown": 0, "tie 1": 2, "tie 2": 1}
    assert answer.loc["cloudy", "reason"] == "cloudier than 20 %"
    assert answer.loc["unknown", "reason"] == "unknown cloud cover"


def test_a_limit_that_is_no_percentage_is_refused() -> None:
    """A run says so before it starts."""
    with pytest.raises(ValueError, match="percentage"):
        LatestClear(max_cloud=120)
