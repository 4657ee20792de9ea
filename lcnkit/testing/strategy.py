"""What every strategy must keep to, as tests to inherit.

Inherit them, and say in a fixture which strategy to try::

    class TestLatestClear(StrategyContract):
        @pytest.fixture
        def strategy(self):
            return LatestClear(max_cloud=30)

A test that fails is named after the rule that was broken.
"""

from __future__ import annotations

import pickle
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from lcnkit.contracts import Strategy
from lcnkit.testing.candidates import make_candidates
from lcnkit.testing.plugin import PluginContract

#: What a strategy may fill in; ``period`` because a rule may cut the interval in its own way.
ANSWERS = ["period", "rank", "selected", "reason"]


def mixed_candidates() -> pd.DataFrame:
    """Four chips: ties in cloud cover and date, unknown cloud cover, the first and last instant, a chip with these two only.

    Like a run's, the table holds only candidates inside the interval (period 1 or later). The rows are shuffled
    and the index is not 0, 1, 2: a strategy that mixes up labels and positions is found out.
    """
    rows: list[tuple[str, str, float | None, str]] = []
    for chip in ("chip_b", "chip_a", "chip_c"):
        for day in range(0, 365, 9):
            when = f"{np.datetime64('2018-01-01') + np.timedelta64(day, 'D')}T10:30:00"
            cloud = None if day % 5 == 4 else float((day * 7 + ord(chip[-1])) % 4 * 15)
            rows += [(chip, when, cloud, f"{chip}_{day}"), (chip, when, cloud, f"{chip}_{day}_again")]
    rows += [("chip_d", "2018-01-01", 0.0, "chip_d_first"), ("chip_d", "2018-12-31T23:59:59", 0.0, "chip_d_last")]
    table = make_candidates(rows).sample(frac=1, random_state=0)
    return table.set_index(pd.Index(np.arange(len(table))[::-1] * 3 + 7))


def chosen(strategy: Strategy, candidates: pd.DataFrame) -> set[tuple[str, str]]:
    """The chip and item ids that a strategy selects."""
    kept = strategy.select(candidates)
    kept = kept[kept["selected"]]
    return set(zip(kept["chip_id"], kept["item_id"], strict=True))


class StrategyContract(PluginContract):
    """Inherit in a class named ``Test...`` and write one fixture, ``strategy``, which gives the strategy to try."""

    kind: ClassVar[str] = "strategy"

    @pytest.fixture
    def strategy(self) -> Strategy:
        """The strategy to try."""
        raise NotImplementedError("A test class that inherits StrategyContract needs a fixture named 'strategy'.")

    @pytest.fixture
    def plugin(self, strategy: Strategy) -> Strategy:
        """For the tests that all kinds share."""
        return strategy

    def test_keeps_all_rows_their_index_and_their_columns(self, strategy: Strategy) -> None:
        """The same rows come back, in any order; only the columns of the answer differ."""
        table = mixed_candidates()
        answer = strategy.select(table)
        assert sorted(answer.index) == sorted(table.index), "rows were lost, added or given another index"
        given = table.drop(columns=ANSWERS)
        pd.testing.assert_frame_equal(answer.loc[table.index, list(given.columns)], given)

    def test_leaves_its_input_alone(self, strategy: Strategy) -> None:
        """The table handed in is not changed in place."""
        table = mixed_candidates()
        before = table.copy(deep=True)
        strategy.select(table)
        pd.testing.assert_frame_equal(table, before)

    def test_says_true_or_false_for_every_row(self, strategy: Strategy) -> None:
        """``selected`` is a plain boolean column, without missing values."""
        assert strategy.select(mixed_candidates())["selected"].dtype == np.dtype(bool), "`selected` must have dtype bool"

    def test_selects_nothing_that_it_puts_outside_the_interval(self, strategy: Strategy) -> None:
        """A rule may cut the periods in its own way; what it then gives period 0 is not selected."""
        table = mixed_candidates()
        answer = strategy.select(table).loc[table.index]
        period = answer.get("period", table["period"])
        assert not (answer["selected"] & (period < 1)).any(), "a candidate of period 0 was selected"

    def test_forgets_an_earlier_choice(self, strategy: Strategy) -> None:
        """A table that was chosen from before gives the same choice."""
        table = mixed_candidates()
        assert chosen(strategy, table.assign(selected=True, rank=1, reason="an earlier run")) == chosen(strategy, table)

    @pytest.mark.parametrize("seed", range(3))
    def test_does_not_depend_on_the_order_of_the_rows(self, strategy: Strategy, seed: int) -> None:
        """Catalogs answer in any order; the choice is the same."""
        table = mixed_candidates()
        assert chosen(strategy, table.sample(frac=1, random_state=seed)) == chosen(strategy, table)

    def test_chooses_for_each_chip_as_if_it_were_alone(self, strategy: Strategy) -> None:
        """Adding chips to a run does not change the choice for the others."""
        table = mixed_candidates()
        alone = [chosen(strategy, chip) for _, chip in table.groupby("chip_id")]
        assert set().union(*alone) == chosen(strategy, table)

    def test_says_the_same_when_asked_again(self, strategy: Strategy) -> None:
        """Two calls, or a copy on another machine, give the same answer."""
        table = mixed_candidates()
        answer = strategy.select(table)
        pd.testing.assert_frame_equal(strategy.select(table), answer)
        pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(strategy)).select(table), answer)

    def test_takes_a_table_without_rows(self, strategy: Strategy) -> None:
        """A run whose catalog finds nothing gets as far as saying so."""
        answer = strategy.select(make_candidates([]))
        assert len(answer) == 0, "rows were made up"
        assert "selected" in answer.columns, "the column `selected` is missing"

    def test_takes_candidates_of_unknown_cloud_cover_only(self, strategy: Strategy) -> None:
        """Whether they are chosen is the rule's affair, but it must give an answer."""
        table = mixed_candidates().assign(cloud_cover=np.nan)
        assert strategy.select(table)["selected"].dtype == np.dtype(bool), "`selected` must have dtype bool"
