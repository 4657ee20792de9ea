"""season_min_cc against the rule written out plainly, one chip and one period at a time."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnkit.errors import ConfigError
from lcnkit.strategy.season_min_cc import SeasonMinCC
from lcnkit.testing.candidates import make_candidates
from lcnkit.testing.strategy import StrategyContract, chosen


class TestSeasonMinCC(StrategyContract):
    @pytest.fixture(params=[{}, {"compat": "notebook"}, {"max_cloud": 20}], ids=str)
    def strategy(self, request):
        return SeasonMinCC(**request.param)


def notebook_period(row) -> int:
    """The tutorial's periods; the dates below are all whole hours, and its edges too, so integers will do."""
    hours = (row.datetime - row.interval_start) // timedelta(hours=1)
    all_hours = (row.interval_end - row.interval_start) // timedelta(hours=1) - 24
    if hours == 0:
        return 1
    inside = [k for k in range(1, row.n_periods + 1) if (k - 1) * all_hours < hours * row.n_periods <= k * all_hours]
    return inside[0] if inside else 0


def oracle(table: pd.DataFrame, max_cloud: float, notebook: bool) -> set[tuple[str, str]]:
    """The rule as the design states it, with nothing but lists and loops."""
    groups: dict[tuple[str, int], list] = {}
    for row in table.itertuples():
        period = notebook_period(row) if notebook else row.period
        known = not math.isnan(row.cloud_cover)
        if period and (row.cloud_cover <= max_cloud if known else max_cloud == 100):
            groups.setdefault((row.chip_id, period), []).append(row)

    kept = set()
    for (chip_id, _), rows in groups.items():
        clouds = [math.inf if math.isnan(row.cloud_cover) else row.cloud_cover for row in rows]
        if notebook:
            clouds = [cloud if cloud == math.inf else int(cloud) for cloud in clouds]
        equals = [row for row, cloud in zip(rows, clouds, strict=True) if cloud == min(clouds)]
        n = len(equals)
        index = (n + 1) // 2 if notebook and n % 2 and n > 1 else n // 2
        date = sorted(row.datetime for row in equals)[index]
        kept.add((chip_id, min(row.item_id for row in equals if row.datetime == date)))
    return kept


# Few dates and few values, so that most groups have ties; edges, the last day and the days around the interval are in.
hours = st.sampled_from([-1, 0, 29, 48, 60, 72, 73, 96, 143, 144, 145, 168])
dates = hours.map(lambda hour: pd.Timestamp(datetime(2018, 1, 1) + timedelta(hours=hour)))
clouds = st.sampled_from([None, 0.0, 0.4, 1.0, 1.9, 50.0, 99.5, 100.0])
candidates = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), dates, clouds), max_size=40)


@settings(deadline=None, max_examples=200)
@given(
    rows=candidates,
    days=st.sampled_from([("2018-01-01", "2018-01-07"), ("2018-01-02", "2018-01-05"), ("2018-01-03", "2018-01-03")]),
    n_periods=st.sampled_from([1, 2, 3]),
    max_cloud=st.sampled_from([100.0, 50.0, 0.4, 0.0]),
    compat=st.sampled_from(["none", "notebook"]),
    order=st.randoms(use_true_random=False),
)
def test_the_choice_is_that_of_the_plain_loop(rows, days, n_periods, max_cloud, compat, order) -> None:
    ids = [f"item_{number:02d}" for number in range(len(rows))]
    order.shuffle(ids)
    named = [(*row, item_id) for row, item_id in zip(rows, ids, strict=True)]
    table = make_candidates(named, interval=days, n_periods=n_periods)
    answer = SeasonMinCC(max_cloud=max_cloud, compat=compat).select(table)
    kept = answer.loc[answer["selected"], ["chip_id", "item_id"]].itertuples(index=False, name=None)
    assert sorted(kept) == sorted(oracle(table, max_cloud, compat == "notebook"))

    assert (answer["selected"] == (answer["rank"] == 1)).all()
    for _, group in answer[answer["rank"] > 0].groupby(["chip_id", "period"]):
        in_order = group.sort_values("rank")
        assert in_order["rank"].tolist() == list(range(1, len(group) + 1))
        if compat == "none":
            assert in_order["cloud_cover"].fillna(101).is_monotonic_increasing
    assert answer["reason"].str.len().gt(0).all()


EQUALS = ["2018-01-05", "2018-01-10", "2018-01-15", "2018-01-20", "2018-01-25"]


@pytest.mark.parametrize(("n", "none", "notebook"), [(1, 0, 0), (2, 1, 1), (3, 1, 2), (4, 2, 2), (5, 2, 3)])
def test_of_n_equals_the_median_date(n: int, none: int, notebook: int) -> None:
    table = make_candidates([("a", date, 3.0, date) for date in reversed(EQUALS[:n])])
    assert chosen(SeasonMinCC(), table) == {("a", EQUALS[none])}
    assert chosen(SeasonMinCC(compat="notebook"), table) == {("a", EQUALS[notebook])}


def test_unknown_cloud_cover_is_chosen_only_where_nothing_is_known_and_there_is_no_limit() -> None:
    table = make_candidates([("a", "2018-01-05", None, "unknown"), ("a", "2018-01-06", 100.0, "overcast")])
    assert chosen(SeasonMinCC(), table) == {("a", "overcast")}
    assert chosen(SeasonMinCC(), table.iloc[:1]) == {("a", "unknown")}
    assert chosen(SeasonMinCC(max_cloud=99.9), table) == set()


def test_the_notebook_loses_the_last_day_and_its_periods_are_in_the_answer() -> None:
    table = make_candidates([("a", "2018-12-31T10:00", 0.0, "last"), ("a", "2018-07-02", 5.0, "edge")], n_periods=2)
    assert chosen(SeasonMinCC(), table) == {("a", "last"), ("a", "edge")}
    answer = SeasonMinCC(compat="notebook").select(table)
    assert answer[["period", "selected"]].to_numpy().tolist() == [[0, False], [1, True]]
    assert answer["reason"][0] == "on the last day, which compat=notebook leaves out"


def test_every_row_says_why() -> None:
    rows = [
        ("a", "2018-01-05", 12.0, "early"),
        ("a", "2018-01-10", 12.0, "id_1"),
        ("a", "2018-01-10", 12.0, "id_2"),
        ("a", "2018-01-12", 35.0, "cloudy"),
        ("a", "2018-01-13", 12.04, "hardly_cloudier"),
        ("a", "2018-01-14", 80.0, "over"),
        ("a", "2018-01-15", None, "unknown"),
        ("a", "2019-01-01", 0.0, "outside"),
        ("a", "2018-12-31", 1.0, "alone"),
    ]
    answer = SeasonMinCC(max_cloud=50).select(make_candidates(rows)).set_index("item_id")["reason"].to_dict()
    assert answer == {
        "early": "as clear as the chosen item, not the median date",
        "id_1": "least cloudy of 5 in period 1 (12.0 %), the median date of 3 equals",
        "id_2": "as clear and of the same date as the chosen item, not the first id",
        "cloudy": "cloudier than the chosen item of period 1 (35.0 %, chosen 12.0 %)",
        "hardly_cloudier": "cloudier than the chosen item of period 1 (12.04 %, chosen 12 %)",
        "over": "cloud cover 80.0 % is over max_cloud 50 %",
        "unknown": "cloud cover is unknown and max_cloud is 50 %",
        "outside": "outside the interval",
        "alone": "the only candidate in period 5 (1.0 %)",
    }


@pytest.mark.parametrize("max_cloud", [120, -1, float("nan")])
def test_a_limit_that_is_no_percentage_is_named(max_cloud: float) -> None:
    with pytest.raises(ConfigError, match=rf"^strategy\.max_cloud is {max_cloud:g}; it must be a percentage"):
        SeasonMinCC(max_cloud=max_cloud)


def test_an_unknown_compat_is_named() -> None:
    with pytest.raises(ConfigError, match="compat is 'tutorial'"):
        SeasonMinCC(compat="tutorial")
