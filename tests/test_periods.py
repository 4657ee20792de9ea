"""Periods: every instant in exactly one, with edges that are exact."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnkit.errors import ConfigError
from lcnkit.model import Interval
from lcnkit.periods import DAY, assign_notebook_periods, assign_periods, edges, middle, middles_of, periods_of
from lcnkit.testing.candidates import make_candidates

YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))
START = YEAR.start.astype(np.int64).item()


def utc(*nanoseconds_or_text: int | str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([pd.Timestamp(instant, tz="UTC") for instant in nanoseconds_or_text], dtype="datetime64[ns, UTC]")


def oracle(instant: int, start: int, end: int, n: int) -> int:
    """The definition, word for word, in fractions."""
    for k in range(1, n + 1):
        if start + Fraction((k - 1) * (end - start), n) <= instant < start + Fraction(k * (end - start), n):
            return k
    return 0


def notebook_oracle(instant: int, start: int, end: int, n: int) -> int:
    """Like ``pandas.cut(..., include_lowest=True)``: the end belongs to the period, its start does not."""
    length = end - DAY - start
    if instant == start:
        return 1
    inside = (k for k in range(1, n + 1) if start + Fraction((k - 1) * length, n) < instant <= start + Fraction(k * length, n))
    return next(inside, 0)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[np.datetime64, np.datetime64, int, list[int]]:
    """An interval of whole days, a number of periods, and instants in, near and on its edges."""
    first, days, n = draw(st.integers(15_000, 19_000)), draw(st.integers(1, 800)), draw(st.integers(1, 40))
    start, end = first * DAY, (first + days) * DAY
    length = draw(st.sampled_from([end - start, end - start - DAY]))
    near_an_edge = st.builds(lambda k, off: start + k * length // n + off, st.integers(0, n), st.integers(-2, 2))
    instants = draw(st.lists(near_an_edge | st.integers(start - DAY, end + DAY), min_size=1, max_size=20))
    return np.datetime64(start, "ns"), np.datetime64(end, "ns"), n, instants


@pytest.mark.parametrize(("assign", "by_hand"), [(assign_periods, oracle), (assign_notebook_periods, notebook_oracle)])
@settings(deadline=None)
@given(cut=cuts())
def test_periods_are_those_of_exact_fractions(assign, by_hand, cut) -> None:
    start, end, n, instants = cut
    expected = [by_hand(instant, start.astype(int).item(), end.astype(int).item(), n) for instant in instants]
    assert assign(utc(*instants), start, end, n).tolist() == expected


@settings(deadline=None)
@given(st.integers(0, 365 * DAY - 1), st.integers(1, 1000))
def test_every_instant_of_the_interval_has_a_period(since_start: int, n: int) -> None:
    period = assign_periods(utc(START + since_start), YEAR.start, YEAR.end, n).item()
    first, after = edges(YEAR.start, YEAR.end, n)[period - 1 : period + 1].astype(np.int64).tolist()
    assert 1 <= period <= n
    assert first <= START + since_start < after


DATES = st.dates() | st.dates(date(1678, 1, 1), date(2261, 12, 31))


@given(DATES, DATES)
def test_an_interval_begins_and_ends_on_its_days_or_is_refused(one: date, other: date) -> None:
    """Nanoseconds do not hold every year that a date may be of."""
    first, last = sorted((one, other))
    if first.year < 1678 or last.year > 2261:
        with pytest.raises(ConfigError, match=r"reaches beyond the years 1678 to 2261.* interval=\[2018-01-01,2018-12-31\]"):
            Interval(first, last)
    else:
        days = Interval(first, last)
        assert str(days.start) == f"{first}T00:00:00.000000000"
        assert str(days.end - np.timedelta64(1, "ns")) == f"{last}T23:59:59.999999999"


def test_the_first_and_the_last_day_that_an_interval_may_have() -> None:
    days = Interval(date(1678, 1, 1), date(2261, 12, 31))
    assert [str(edge)[:10] for edge in edges(days.start, days.end, 1)] == ["1678-01-01", "2262-01-01"]


@pytest.mark.parametrize(
    ("when", "period"),
    [
        ("2017-12-31T23:59:59.999999999", 0),
        ("2018-01-01", 1),
        ("2018-03-14T23:59:59.999999999", 1),
        ("2018-03-15", 2),
        ("2018-12-31T10:00", 5),
        ("2019-01-01", 0),
    ],
)
def test_a_period_contains_its_start_and_not_its_end(when: str, period: int) -> None:
    assert assign_periods(utc(when), YEAR.start, YEAR.end, 5).tolist() == [period]


@pytest.mark.parametrize(
    ("when", "period"),
    [
        ("2018-01-01", 1),
        ("2018-07-02", 1),  # 364 days in two: the inner edge, and it belongs to the earlier period
        ("2018-07-02T00:00:00.000000001", 2),
        ("2018-12-31", 2),
        ("2018-12-31T10:00", 0),
    ],
)
def test_the_notebook_leaves_out_the_last_day_and_gives_an_inner_edge_to_the_earlier_period(when: str, period: int) -> None:
    assert assign_notebook_periods(utc(when), YEAR.start, YEAR.end, 2).tolist() == [period]


def test_the_notebook_keeps_only_the_midnight_of_a_single_day() -> None:
    day = np.datetime64("2018-05-01", "ns")
    assert assign_notebook_periods(utc("2018-05-01", "2018-05-01T10:00"), day, day + np.timedelta64(DAY, "ns"), 3).tolist() == [1, 0]


@pytest.mark.parametrize("assign", [assign_periods, assign_notebook_periods])
def test_a_missing_time_is_in_no_period(assign) -> None:
    times = pd.Series(pd.DatetimeIndex(["NaT", "2018-01-02"], dtype="datetime64[ns, UTC]"))
    assert assign(times, YEAR.start, YEAR.end, 5).tolist() == [0, 1]


@pytest.mark.parametrize("assign", [assign_periods, assign_notebook_periods, edges])
@pytest.mark.parametrize("n", [0, -1, 2.5])
def test_an_impossible_number_of_periods_is_named(assign, n: float) -> None:
    times = () if assign is edges else (utc("2018-01-02"),)
    with pytest.raises(ConfigError, match=rf"n_periods is {n}; it must be a whole number of at least 1"):
        assign(*times, YEAR.start, YEAR.end, n)


def test_coarser_times_are_read_as_the_instants_they_are() -> None:
    times = pd.Series(utc("2018-03-14T23:59:59", "2018-03-15").as_unit("s"))
    assert assign_periods(times, np.datetime64("2018-01-01"), np.datetime64("2019-01-01"), 5).tolist() == [1, 2]


def test_edges_are_the_first_instants_of_the_periods() -> None:
    days = ["2018-01-01", "2018-03-15", "2018-05-27", "2018-08-08", "2018-10-20", "2019-01-01"]
    assert edges(YEAR.start, YEAR.end, 5).astype("datetime64[D]").astype(str).tolist() == days
    assert (edges(YEAR.start, YEAR.start + np.timedelta64(10, "ns"), 3) - YEAR.start).astype(int).tolist() == [0, 4, 7, 10]


def test_the_middle_is_halfway_and_period_0_has_none() -> None:
    halves = middle(YEAR.start, YEAR.end, 5, np.array([1, 5, 0]))
    assert halves.astype(str).tolist() == ["2018-02-06T12:00:00.000000000", "2018-11-25T12:00:00.000000000", "NaT"]


def test_many_periods_do_not_overflow() -> None:
    last = middle(YEAR.start, YEAR.end, 100_000, np.array([100_000]))
    assert (YEAR.end - last).astype(int).tolist() == [365 * DAY // 200_000]


def test_each_row_is_judged_by_the_interval_of_its_chip() -> None:
    rows = [("a", "2018-06-01", 0.0), ("b", "2018-06-01", 0.0), ("a", "2018-12-31T10:00", 0.0)]
    first, second = make_candidates(rows), make_candidates(rows, interval=("2018-06-01", "2018-06-30"), n_periods=2)
    table = pd.concat([first, second]).iloc[[0, 3, 1, 4, 2, 5]].drop(columns="period")
    assert periods_of(table).tolist() == [3, 1, 3, 1, 5, 0]
    assert periods_of(table, assign_notebook_periods).tolist() == [3, 1, 3, 1, 0, 0]
    middles = middles_of(table.assign(period=periods_of(table)))
    assert middles.astype("datetime64[m]").astype(str).tolist()[:2] == ["2018-07-02T12:00", "2018-06-08T12:00"]
