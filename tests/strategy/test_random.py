"""random: one of each period by lot, the same lot everywhere."""

from __future__ import annotations

import pytest

from lcnkit.errors import ConfigError
from lcnkit.strategy.random import Random
from lcnkit.testing.candidates import make_candidates
from lcnkit.testing.strategy import StrategyContract, chosen, mixed_candidates


class TestRandom(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return Random(seed=3)


def test_draws_exactly_one_of_each_period_that_has_any() -> None:
    table = mixed_candidates()
    answer = Random(max_cloud=40).select(table)
    fit = table[(table["period"] > 0) & (table["cloud_cover"] <= 40)]
    per_period = answer[answer["selected"]].groupby(["chip_id", "period"]).size()
    assert (per_period == 1).all()
    assert set(per_period.index) == set(fit.groupby(["chip_id", "period"]).size().index)


def test_the_lot_is_fair_and_turns_with_the_seed() -> None:
    rows = [(f"chip_{chip:03d}", "2018-01-05", 0.0, item) for chip in range(400) for item in ("left", "right")]
    table = make_candidates(rows)
    first, second = chosen(Random(seed=0), table), chosen(Random(seed=1), table)
    assert 150 < sum(item == "left" for _, item in first) < 250
    assert 150 < len(first & second) < 250


def test_the_lot_is_the_same_on_every_machine() -> None:
    table = make_candidates([("chip", f"2018-01-{day:02d}", 0.0, f"item_{day:02d}") for day in range(1, 31)])
    answer = Random(seed=0).select(table)
    assert answer.loc[answer["selected"], "item_id"].tolist() == ["item_09"]


def test_the_reason_names_the_seed() -> None:
    answer = Random(seed=5).select(make_candidates([("a", "2018-01-05", 12.0), ("a", "2018-01-06", 12.0)]))
    assert sorted(answer["reason"]) == [
        "drawn 1st of 2 in period 1 with seed 5 (12.0 %)",
        "drawn 2nd of 2 in period 1 with seed 5 (12.0 %), only the first is kept",
    ]


@pytest.mark.parametrize("seed", [1.5, "a", None, True])
def test_a_seed_that_is_no_whole_number_is_named(seed) -> None:
    with pytest.raises(ConfigError, match=r"^strategy\.seed is "):
        Random(seed=seed)
