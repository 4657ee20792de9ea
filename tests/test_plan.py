"""The plan as a file: written, read back, edited."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from lcnkit.candidates import COLUMNS
from lcnkit.errors import PlanError
from lcnkit.plan import Plan, PlanWriter, SavedPlan
from lcnkit.selection import Shape, choose
from lcnkit.strategy.season_min_cc import SeasonMinCC
from lcnkit.testing.candidates import make_candidates

BY_PERIOD = Shape(by_period=True, n_frames=5)
SAVED = Shape(by_period=False, n_frames=3)


def save_plan(plan: Plan, table: pd.DataFrame, path: Path, parts: int = 1) -> None:
    with PlanWriter(replace(plan, path=path)) as file:
        for start in range(parts):
            file.add(table.iloc[start * len(table) // parts : (start + 1) * len(table) // parts])


def load_plan(path: Path, shape: Shape) -> Plan:
    saved = SavedPlan(path, shape)
    pd.testing.assert_frame_equal(saved.plan.table, saved.table)
    return saved.plan


@pytest.fixture
def table() -> pd.DataFrame:
    table = make_candidates([("a", "2018-01-10T10:30:00.123456789", 5.5), ("a", "2018-02-10", None), ("b", "2018-08-01", 10), ("b", "2019-01-01", 0)])
    return choose(SeasonMinCC(), table, "season_min_cc")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path / "selection.parquet", ("a", "b", "without_candidates"), 5, SAVED)


@pytest.fixture
def path(plan: Plan, table: pd.DataFrame) -> Path:
    save_plan(plan, table, plan.path)
    return plan.path


def test_roundtrip(plan, table, path):
    again = load_plan(path, BY_PERIOD)
    pd.testing.assert_frame_equal(again.table, table)
    assert (again.chip_ids, again.n_periods, again.shape) == (plan.chip_ids, plan.n_periods, plan.shape)


def test_same_plan_same_bytes(plan, table, path, tmp_path):
    save_plan(plan, table, tmp_path / "other.parquet")
    again = load_plan(path, BY_PERIOD)
    save_plan(again, again.table, tmp_path / "third.parquet")
    assert path.read_bytes() == (tmp_path / "other.parquet").read_bytes() == (tmp_path / "third.parquet").read_bytes()


@pytest.mark.parametrize("parts", [2, 3, 7, 70_000])
def test_same_bytes_in_however_many_parts(plan, tmp_path, parts):
    """Also where a part ends within a row group, holds several, or nothing."""
    table = make_candidates([("chip", "2018-01-10", float(number % 100)) for number in range(70_000)])
    save_plan(plan, table, tmp_path / "whole.parquet")
    save_plan(plan, table, tmp_path / "parts.parquet", min(parts, 700))
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    pd.testing.assert_frame_equal(load_plan(tmp_path / "parts.parquet", BY_PERIOD).table, table)


def test_what_fails_on_the_way_leaves_no_file(plan, table, tmp_path):
    tables = (table.iloc[: 8 // rows] for rows in (2, 1, 0))
    with pytest.raises(ZeroDivisionError), PlanWriter(plan) as file:
        any(map(file.add, tables))
    assert list(tmp_path.iterdir()) == []


def test_any_parquet_reader_sees_the_documented_columns(path):
    table = pd.read_parquet(path)
    assert list(table.columns) == list(COLUMNS)
    assert table["selected"].dtype == bool


def test_without_candidates(tmp_path):
    """No chip has imagery: still a plan that is written and that says so."""
    save_plan(Plan(tmp_path, ("a",), 5, BY_PERIOD), make_candidates([]), tmp_path / "empty.parquet")
    assert list(pd.read_parquet(tmp_path / "empty.parquet").columns) == list(COLUMNS)
    assert load_plan(tmp_path / "empty.parquet", SAVED).chip_ids == ("a",)


class TestEdited:
    """What a person does with pandas, and what is left to mean it."""

    def test_another_choice(self, path):
        table = pd.read_parquet(path)
        table["selected"] = table["item_id"] == "item_0001"
        table.to_parquet(path)
        again = load_plan(path, BY_PERIOD)
        assert again.table["item_id"][again.table["selected"]].tolist() == ["item_0001"]
        assert again.shape == SAVED, "how its frames are meant is not lost"
        assert again.n_periods == 5

    def test_a_subset_of_the_chips(self, path):
        table = pd.read_parquet(path)
        table[table["chip_id"] == "b"].to_parquet(path)
        again = load_plan(path, BY_PERIOD)
        assert again.chip_ids == ("b",), "chips that were taken out are not missing"
        assert again.table.index.tolist() == [0, 1]

    def test_made_from_nothing_but_values(self, path):
        """A table put together anew has lost all that Parquet can hold beside the columns."""
        table = pd.read_parquet(path)
        pd.DataFrame(table.to_dict("list")).drop(columns=["rank", "reason", "cloud_source"]).to_parquet(path)
        again = load_plan(path, BY_PERIOD)
        assert again.shape == BY_PERIOD
        assert {name: str(kind) for name, kind in again.table.dtypes.items()} == {
            name: "object" if kind == "str" else kind for name, (kind, _) in COLUMNS.items()
        }

    @pytest.mark.parametrize("marks", [[1, 0, 0, 0], [1.0, 0.0, 0.0, 0.0], [True, None, None, None]])
    def test_nothing_is_chosen_that_is_not_marked(self, path, marks):
        table = pd.read_parquet(path)
        table["selected"] = pd.Series(marks, dtype=object if None in marks else None)
        table.to_parquet(path)
        assert load_plan(path, BY_PERIOD).table["selected"].tolist() == [True, False, False, False]

    def test_dates_without_a_zone_are_utc(self, path):
        table = pd.read_parquet(path)
        table.assign(datetime=table["datetime"].dt.tz_localize(None).astype(str)).to_parquet(path)
        assert load_plan(path, BY_PERIOD).table["datetime"][2] == table["datetime"][2]

    @pytest.mark.parametrize(
        ("column", "value"), [("selected", "yes"), ("period", "first"), ("period", None), ("datetime", "yesterday"), ("cloud_cover", "clear")]
    )
    def test_a_column_that_holds_something_else(self, path, column, value):
        table = pd.read_parquet(path)
        table[column] = pd.Series([value] * len(table), dtype=object)
        table.to_parquet(path)
        with pytest.raises(PlanError, match=rf"the column `{column}` must hold {COLUMNS[column][0].split('[')[0]}"):
            load_plan(path, BY_PERIOD)


class TestWhatIsNoPlan:
    def test_missing(self, tmp_path):
        with pytest.raises(PlanError, match=r"absent\.parquet does not exist.*plan=PATH"):
            load_plan(tmp_path / "absent.parquet", BY_PERIOD)

    @pytest.mark.parametrize("content", [b"", b"chip_id,item_id\n", b"PAR1PAR1", b"PAR1" + bytes(200) + b"PAR1"])
    def test_no_parquet(self, tmp_path, content):
        (tmp_path / "plan.parquet").write_bytes(content)
        with pytest.raises(PlanError, match=r"plan\.parquet cannot be read"):
            load_plan(tmp_path / "plan.parquet", BY_PERIOD)

    def test_missing_columns(self, path):
        pd.read_parquet(path).drop(columns=["item_href", "selected"]).to_parquet(path)
        with pytest.raises(PlanError, match=r"lacks the columns selected, item_href"):
            load_plan(path, BY_PERIOD)

    def test_no_row(self, path):
        pd.read_parquet(path).iloc[:0].to_parquet(path)
        with pytest.raises(PlanError, match="has no row"):
            load_plan(path, BY_PERIOD)

    def test_folder_of_a_run_means_the_plan_in_it(self, path, table, tmp_path):
        pd.testing.assert_frame_equal(load_plan(path.parent, BY_PERIOD).table, table)
        (tmp_path / "empty").mkdir()
        with pytest.raises(PlanError, match="does not exist"):
            load_plan(tmp_path / "empty", BY_PERIOD)


def test_a_plan_that_is_damaged_further_on_is_named(plan, tmp_path):
    """What it says of itself is sound, and so are its first rows: they are read, and no half of a plan is used."""
    table = make_candidates([(f"chip{number % 7}", "2018-01-10", float(number % 100)) for number in range(70_000)])
    save_plan(plan, table, tmp_path / "plan.parquet")
    data = bytearray((tmp_path / "plan.parquet").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(byte ^ 0x5A for byte in data[middle : middle + 400])
    (tmp_path / "plan.parquet").write_bytes(data)
    saved = SavedPlan(tmp_path / "plan.parquet", BY_PERIOD)
    with pytest.raises(PlanError, match=r"plan\.parquet cannot be read: .*[^.]\.$"):
        list(saved.parts())


def test_a_plan_in_which_a_byte_has_changed_is_refused(plan, table, path):
    """Each page has a checksum: another choice than the one that was made must not pass for it."""
    data = path.read_bytes()
    rows = len(data) - 8 - int.from_bytes(data[-8:-4], "little")  # behind them, what the file says of itself
    refused = 0
    for place in range(4, rows, 29):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            pd.testing.assert_frame_equal(SavedPlan(path, BY_PERIOD).table, table)  # a byte that says nothing of the rows
        except PlanError:
            refused += 1
    assert refused > rows / 29 / 2
