"""From candidates to frames: what a strategy may answer, and what becomes of empty periods."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnkit.candidates import COLUMNS
from lcnkit.contracts import chooses_by_period, frames_wanted
from lcnkit.errors import PlanError, PluginError
from lcnkit.model import Chip, Frame, Grid, Interval
from lcnkit.selection import Shape, choose, fill_nearest, frames_by_chip, refuse_gaps, selected_of, sorted_out
from lcnkit.strategy.all import All
from lcnkit.strategy.min_cc import MinCC
from lcnkit.strategy.season_min_cc import SeasonMinCC
from lcnkit.testing.candidates import make_candidates

YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))


@dataclass(frozen=True, kw_only=True)
class LatestClear:
    """The example of a third party's rule: it fills ``selected`` and nothing else."""

    max_cloud: float = 20.0

    def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
        clear = candidates[candidates["cloud_cover"] <= self.max_cloud]
        in_time = clear.sort_values(["datetime", "item_id"])
        latest = in_time.groupby(["chip_id", "period"]).tail(1)
        return candidates.assign(selected=candidates.index.isin(latest.index))


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A rule that does whatever a test wants."""

    function: Any

    def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
        return self.function(candidates)


def answer(function, table: pd.DataFrame | None = None) -> pd.DataFrame:
    return choose(Answers(function=function), example() if table is None else table, "mine")


def example() -> pd.DataFrame:
    return make_candidates(
        [("a", "2018-01-10", 5), ("a", "2018-02-10", 50), ("a", "2018-08-01", 10), ("b", "2018-03-01", None), ("b", "2019-01-01", 0)]
    )


class TestChoose:
    def test_a_rule_that_fills_only_selected(self):
        table = choose(LatestClear(), example(), "latest_clear")
        assert table["selected"].tolist() == [True, False, True, False, False]
        assert table["reason"].tolist() == [
            "chosen by latest_clear",
            "not chosen by latest_clear",
            "chosen by latest_clear",
            "not chosen by latest_clear",
            "outside the interval",
        ]
        assert table["rank"].tolist() == [0] * 5
        assert {name: str(kind) for name, kind in table.dtypes.items()} == {
            name: "object" if kind == "str" else kind for name, (kind, _) in COLUMNS.items()
        }

    def test_the_table_given_is_neither_lent_nor_changed(self):
        table = example()
        before = table.copy(deep=True)

        def spoil(candidates):
            assert candidates["period"].min() > 0, "rows outside the interval are not given"
            candidates["cloud_cover"] = 0.0
            candidates["item_id"] = "spoilt"
            return candidates.assign(selected=True)

        chosen = answer(spoil, table)
        pd.testing.assert_frame_equal(table, before)
        assert chosen["item_id"].tolist() == before["item_id"].tolist()

    def test_rows_may_come_back_in_any_order(self):
        chosen = answer(lambda table: table.assign(selected=table["item_id"] == "item_0002", rank=range(len(table))).iloc[::-1])
        assert chosen["item_id"][chosen["selected"]].tolist() == ["item_0002"]
        assert chosen["rank"].tolist() == [0, 1, 2, 3, 0]

    @pytest.mark.parametrize("flags", [[1, 0, 0, 1], [1.0, 0.0, 0.0, 1.0], [True, None, False, True], [1, np.nan, 0, 1]])
    def test_other_ways_to_say_yes(self, flags):
        chosen = answer(lambda table: table.assign(selected=pd.Series(flags, index=table.index, dtype=object)))
        assert chosen["selected"].tolist() == [True, False, False, True, False]
        assert chosen["selected"].dtype == bool

    def test_nullable_and_categorical_columns(self):
        def select(table):
            return table.assign(
                selected=pd.array([True, None, False, True], dtype="boolean"),
                rank=pd.array([1, None, 2, 1], dtype="Int64"),
                reason=pd.Categorical(["good", None, "bad", "good"]),
            )

        chosen = answer(select)
        assert chosen["selected"].tolist() == [True, False, False, True, False]
        assert chosen["rank"].tolist() == [1, 0, 2, 1, 0]
        assert chosen["reason"].tolist() == ["good", "not chosen by mine", "bad", "good", "outside the interval"]

    @pytest.mark.parametrize(
        ("function", "wrong"),
        [
            (lambda table: None, "must return the candidate table; it returned NoneType"),
            (lambda table: table["selected"], "it returned Series"),
            (lambda table: table[["rank"]], "must fill the column `selected`; it returned the columns rank"),
            (lambda table: table.iloc[:-1], "was given 4 rows and returned 3"),
            (lambda table: pd.concat([table, table]), "was given 4 rows and returned 8"),
            (lambda table: table.iloc[[0, 0, 1, 2]], "must keep every row and the index"),
            (lambda table: table.set_index("item_id"), "must keep every row and the index"),
            (lambda table: table.assign(selected="yes"), "wrote 'yes' into the column `selected`; it must hold True or False"),
            (lambda table: table.assign(selected=2), "wrote 2 into the column `selected`"),
            (lambda table: table.assign(selected=True, rank="best"), "wrote 'best' into the column `rank`; it must hold whole numbers"),
            (lambda table: table.assign(selected=True, rank=-1), "wrote -1 into the column `rank`"),
            (lambda table: table.assign(selected=True, rank=1.5), "wrote 1.5 into the column `rank`"),
            (lambda table: table.assign(selected=True, period=0), "selected item_0000, item_0001, item_0002 and 1 more, which are in no period"),
            (lambda table: table.assign(selected=True, period=6), "which are in no period"),
        ],
    )
    def test_answers_that_break_the_contract(self, function, wrong):
        with pytest.raises(PluginError) as error:
            answer(function)
        assert str(error.value).startswith("The strategy 'mine'")
        assert wrong in str(error.value)

    def test_without_a_candidate_in_the_interval_the_rule_is_not_asked(self):
        def never(table):
            raise AssertionError("asked")

        assert answer(never, make_candidates([])).empty
        assert answer(never, make_candidates([("a", "2019-05-01", 0)]))["reason"].tolist() == ["outside the interval"]

    def test_a_rule_may_cut_periods_its_own_way(self):
        chosen = choose(SeasonMinCC(compat="notebook"), make_candidates([("a", "2018-12-31T10:00", 0), ("a", "2018-12-30", 0)]), "season_min_cc")
        assert chosen["period"].tolist() == [0, 5]
        assert chosen["selected"].tolist() == [False, True]


# Few instants, many ties: days of a year, in which 1, 2 and 4 periods have the middles of days among them.
instants = st.sampled_from(["01-01", "02-14", "03-01", "04-01", "05-16", "06-30", "07-02", "07-03", "08-15", "10-01", "11-15", "12-31"])
rows = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        instants,
        st.sampled_from([None, 0.0, 5.0, 100.0]),
        st.sampled_from(["out", "ranked", "selected"]),
        st.sampled_from("xyz"),
    ),
    max_size=14,
)


def filled_by_hand(table: pd.DataFrame) -> list[tuple[str, int, str]]:
    """``(chip, period, item)`` of the rows to add, one gap and one candidate at a time, in integers."""
    added = []
    for chip_id in dict.fromkeys(table["chip_id"]):
        own = [row for row in table[table["chip_id"] == chip_id].itertuples() if row.period > 0 and (row.rank > 0 or row.selected)]
        filled = {row.period for row in own if row.selected}
        for period in range(1, own[0].n_periods + 1) if filled else ():
            others = [row for row in own if row.period != period]
            if period in filled or not others:
                continue
            begins, length = own[0].interval_start.value, own[0].interval_end.value - own[0].interval_start.value
            middle = begins + (2 * period - 1) * length // (2 * own[0].n_periods)
            best = min(
                others,
                key=lambda row: (
                    abs(row.datetime.value - middle),
                    101 if np.isnan(row.cloud_cover) else row.cloud_cover,
                    row.datetime,
                    row.item_id,
                ),
            )
            added.append((chip_id, period, best.item_id))
    return added


class TestFillNearest:
    @given(rows, st.sampled_from([1, 2, 3, 4, 12]))
    @settings(max_examples=80, deadline=None)
    def test_against_the_rule_written_out(self, rows, n_periods):
        table = make_candidates(
            [(chip_id, f"2018-{day}T12:00", cloud, f"{item}_{number:02d}") for number, (chip_id, day, cloud, _, item) in enumerate(rows)],
            n_periods=n_periods,
        )
        state = np.array([row[3] for row in rows], dtype=object)
        table = table.assign(selected=state == "selected", rank=np.where(state == "out", 0, 1))
        result = fill_nearest(table)
        pd.testing.assert_frame_equal(result.iloc[: len(table)], table)
        new = result.iloc[len(table) :]
        assert sorted(zip(new["chip_id"], new["period"], new["item_id"], strict=True)) == sorted(filled_by_hand(table))
        assert new["selected"].all()

    def fill(self, *rows, n_periods=5, selected=None):
        table = make_candidates(rows, n_periods=n_periods)
        keep = table["item_id"].isin(selected) if selected else table["period"] > 0
        result = fill_nearest(table.assign(selected=keep, rank=keep.astype("int64")))
        return result[len(table) :]

    def test_both_neighbours_and_several_empty_periods(self):
        """Periods of 73 days; 1 and 4 are there, and 2, 3 and 5 are not."""
        new = self.fill(("a", "2018-02-01", 0, "one"), ("a", "2018-09-01", 0, "four"))
        assert list(zip(new["period"], new["item_id"], strict=True)) == [(2, "one"), (3, "four"), (5, "four")]
        assert new["reason"].tolist() == [
            f"nearest in time: period {gap} has no candidate, this is of period {by}" for gap, by in ((2, 1), (3, 4), (5, 4))
        ]
        assert new["datetime"].tolist() == [pd.Timestamp(day, tz="UTC") for day in ("2018-02-01", "2018-09-01", "2018-09-01")]

    def test_equally_close_ones_go_by_cloud_then_date_then_id(self):
        """Of three periods, the middle of the second is noon of 2 July."""
        at = {"before": "2018-03-02T12:00", "after": "2018-11-01T12:00"}
        keys = {"n_periods": 3}
        assert self.fill(("a", at["before"], 9, "p"), ("a", at["after"], 1, "q"), **keys)["item_id"].tolist() == ["q"]
        assert self.fill(("a", at["before"], None, "p"), ("a", at["after"], 100, "q"), **keys)["item_id"].tolist() == ["q"]
        assert self.fill(("a", at["before"], 1, "q"), ("a", at["after"], 1, "p"), **keys)["item_id"].tolist() == ["q"]
        assert self.fill(("a", at["before"], 1, "q"), ("a", at["before"], 1, "p"), **keys)["item_id"].tolist() == ["p", "p"]

    def test_what_the_strategy_ruled_out_is_never_taken(self):
        new = self.fill(("a", "2018-05-30", 99, "ruled_out"), ("a", "2018-12-01", 0, "far"), n_periods=2, selected=["far"])
        assert new["item_id"].tolist() == ["far"]
        assert new["reason"].tolist() == ["nearest in time: no candidate of period 1 was chosen, this is of period 2"]

    def test_a_chip_without_a_choice_stays_empty(self):
        assert self.fill(("a", "2018-05-30", 99, "x"), ("b", "2018-05-30", 99, "y"), selected=["y"])["chip_id"].unique().tolist() == ["b"]

    def test_nothing_to_fill(self):
        table = make_candidates([("a", "2018-03-01", 0)], n_periods=1).assign(selected=True)
        assert fill_nearest(table) is table
        assert fill_nearest(make_candidates([])).empty

    def test_chips_with_other_intervals(self):
        late = make_candidates([("b", "2018-12-24", 0, "late")], interval=("2018-12-01", "2018-12-31"), n_periods=2)
        early = make_candidates([("a", "2018-01-02", 0, "early")], interval=("2018-01-01", "2018-01-31"), n_periods=2)
        table = pd.concat([late, early], ignore_index=True)
        new = fill_nearest(table.assign(selected=True))[2:]
        assert sorted(zip(new["chip_id"], new["period"], strict=True)) == [("a", 2), ("b", 1)]

    def test_nine_thousand_chips(self):
        """LandCoverNet has 8,934 chips and some 72 acquisitions of each; with 24 periods each chip has gaps here."""
        chips, days = 9000, 36
        number = np.arange(chips * days)
        one = make_candidates([("a", f"2018-{1 + day // 3:02d}-{1 + 9 * (day % 3):02d}", day) for day in range(days)], n_periods=24)
        table = one.iloc[number % days].reset_index(drop=True)
        table["chip_id"] = np.char.add("chip_", (number // days).astype(str)).astype(object)
        kept = (number * 7919 % 11 < 5) & (table["period"] > 0)
        table = table.assign(selected=kept & ~table.duplicated(["chip_id", "period"]), rank=kept.astype("int64"))
        assert fill_nearest(table)["selected"].sum() == chips * 24


def chip(name: str) -> Chip:
    return Chip(name, name, "", Grid("EPSG:4326", (1, 0, 0, 0, -1, 0), (1, 1)), YEAR, shapely.box(0, 0, 1, 1))


def frames(table: pd.DataFrame, strategy: Any, n_periods: int = 5, names: str = "ab") -> dict[str, tuple[Frame, ...]]:
    shape = Shape(chooses_by_period(strategy), frames_wanted(strategy, n_periods))
    return {c.id: own for c, own in frames_by_chip([selected_of(choose(strategy, table, "rule"))], [chip(name) for name in names], n_periods, shape)}


class TestFrames:
    def test_in_order_of_period_and_time_with_gaps_marked(self):
        table = make_candidates([("a", "2018-08-01", 5, "late"), ("a", "2018-01-10", 7, "early"), ("b", "2018-12-31T23:59", None, "last")])
        made = frames(table, SeasonMinCC())
        assert [(frame.period, frame.item_id, frame.missing) for frame in made["a"]] == [
            (1, "early", False),
            (2, "", True),
            (3, "late", False),
            (4, "", True),
            (5, "", True),
        ]
        assert [frame.period for frame in made["b"] if not frame.missing] == [5]
        assert made["a"][0].cloud_cover == 7
        assert np.isnan(made["b"][4].cloud_cover)
        assert made["a"][0].time == np.datetime64("2018-01-10T00:00:00", "ns")
        assert made["a"][0].item_href == "early.json"
        assert made["a"][1].time == np.datetime64("2018-04-20T12:00:00", "ns"), "the middle of its 73 days"

    def test_chips_in_the_order_given_also_without_a_candidate(self):
        made = frames(make_candidates([("a", "2018-08-01", 5)]), SeasonMinCC(), names="ca")
        assert list(made) == ["c", "a"]
        assert all(frame.missing for frame in made["c"])
        assert len(made["c"]) == 5

    def test_a_filled_period_stands_in_its_own_place(self):
        table = make_candidates([("a", "2018-11-01", 5, "only")], n_periods=3)
        filled = fill_nearest(choose(SeasonMinCC(), table, "rule"))
        ((_, made),) = frames_by_chip([selected_of(filled)], [chip("a")], 3, Shape(by_period=True, n_frames=3))
        assert [(frame.period, frame.item_id) for frame in made] == [(1, "only"), (2, "only"), (3, "only")]

    def test_fewer_than_k_are_padded_at_the_end(self):
        table = make_candidates([("a", "2018-08-01", 5, "second"), ("a", "2018-01-10", 7, "first"), ("b", "2018-05-01", 0, "x")])
        made = frames(table, MinCC(k=3))
        assert [(frame.item_id, frame.missing) for frame in made["a"]] == [("first", False), ("second", False), ("", True)]
        assert [frame.missing for frame in made["b"]] == [False, True, True]
        assert made["b"][2].period == 0
        assert made["b"][2].time < YEAR.end
        assert made["b"][2].time >= made["b"][0].time

    def test_all_has_as_many_as_there_are(self):
        table = make_candidates([("a", f"2018-{month:02d}-05", 50) for month in range(12, 0, -1)])
        made = frames(table, All(), names="a")["a"]
        assert len(made) == 12
        assert [frame.time for frame in made] == sorted(frame.time for frame in made)
        assert not any(frame.missing for frame in made)

    def test_same_time_goes_by_item_id(self):
        table = make_candidates([("a", "2018-08-01", 5, "y"), ("a", "2018-08-01", 5, "x")])
        assert [frame.item_id for frame in frames(table, All(), names="a")["a"]] == ["x", "y"]


class TestWhenEmpty:
    whole = (Frame(1, np.datetime64("2018-01-01", "ns"), "x"), Frame(2, np.datetime64("2018-09-01", "ns"), "y"))
    gap = (*whole, Frame(3, np.datetime64("2018-12-01", "ns")))

    def test_only_drop_drops(self):
        assert [sorted_out(self.gap, rule) for rule in ("pad", "drop", "nearest", "error")] == [False, True, False, False]
        assert not sorted_out(self.whole, "drop")

    def test_error_names_the_first_gaps(self):
        refuse_gaps([])
        with pytest.raises(PlanError, match=r"7 frames have no acquisition: c0 \(period 2\), .*c4 \(period 2\) and 2 more. Choose when_empty=pad"):
            refuse_gaps([(f"c{number}", 2) for number in range(7)])
        with pytest.raises(PlanError, match=r"a \(too few acquisitions\)"):
            refuse_gaps([("a", 0)])
