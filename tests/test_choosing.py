"""Planning part by part: the plan is the same in however many, and other people's classes are asked as they were made for."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lcnkit import choosing
from lcnkit.catalog.geoparquet import Geoparquet
from lcnkit.catalog.static import Static
from lcnkit.cli import main
from lcnkit.errors import PluginError
from lcnkit.pipeline import plan_only
from lcnkit.sharing import Sharing
from lcnkit.testing.archives import TinyArchive

CHIPS = 7


@pytest.fixture
def archive(tmp_path: Path) -> TinyArchive:
    """Seven chips in a row that overlap; one has no imagery, of one the clouds are in the mask only."""
    made = TinyArchive(tmp_path / "archive", size=4)
    for number in range(CHIPS):
        made.chip(f"C{number}", column=0.7 * number)
        for month in range(1, 6) if number != 3 else ():
            made.item(
                f"C{number}", f"2018-{month + number:02d}-11T10:00:00Z", None if number == 5 else float(month * number % 4), cld=month, B04=1200
            )
    made.write()
    return made


def planned(run: Any, parts: int, monkeypatch: pytest.MonkeyPatch, folder: Path, sharing: Sharing | None = None) -> tuple[bytes, Any]:
    monkeypatch.setattr(choosing, "_PART", parts)
    prepared, output = plan_only(replace(run, output_dir=str(folder)), sharing=sharing)
    return (output / "selection.parquet").read_bytes(), prepared


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("catalog", ["crawled", "static", "geoparquet"])
def test_the_plan_is_the_same(catalog: str, parts: int, archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    assert main(["index", str(archive.root), "--output", str(tmp_path / "items.parquet")]) == 0
    chosen = {"crawled": Static(refresh=True), "static": Static(), "geoparquet": Geoparquet(path=str(tmp_path / "items.parquet"))}
    run = make_run(archive.root, catalog=chosen[catalog], n_periods=3)
    whole, expected = planned(run, CHIPS, monkeypatch, tmp_path / "whole")
    caplog.clear()
    caplog.set_level(logging.INFO)
    found, prepared = planned(run, parts, monkeypatch, tmp_path / "parts")
    assert found == whole
    assert [repr(task) for task in prepared.tasks] == [repr(task) for task in expected.tasks], "as texts: NaN is not equal to itself"
    assert (prepared.chip_ids, prepared.failures) == (expected.chip_ids, expected.failures)
    assert prepared.chip_ids == tuple(task.chip.id for task in prepared.tasks)
    assert [failure.chip_id for failure in prepared.failures] == ["C3"]
    assert [record.getMessage() for record in caplog.records if record.getMessage().startswith("clouds")] == [
        "clouds     read from the mask CLD for 5 candidates, 5 of them by an earlier run"
    ], "what is said of clouds is said once"


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_what_is_filled_in_lies_with_its_chip(parts: int, archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """However many chips are planned at once, and in a run that goes on, which looks again for the imagery of C3."""
    run = make_run(archive.root, n_periods=12, when_empty="nearest")
    whole, prepared = planned(run, CHIPS, monkeypatch, tmp_path / "whole")
    table = prepared.plan.table
    assert list(dict.fromkeys(table["chip_id"])) == [f"C{number}" for number in range(CHIPS) if number != 3]
    assert (np.diff(table["chip_id"].str[1:].astype(int)) >= 0).all()
    assert table["reason"].str.startswith("nearest in time").sum() == 7 * (CHIPS - 1)
    assert planned(run, parts, monkeypatch, tmp_path / "parts")[0] == whole
    again, resumed = planned(run, parts, monkeypatch, tmp_path / "whole")
    assert again == whole
    assert [repr(task) for task in resumed.tasks] == [repr(task) for task in prepared.tasks]


def test_what_a_sweep_shares_is_shared_in_parts(archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    run = make_run(archive.root, n_periods=3)
    alone, _ = planned(run, 2, monkeypatch, tmp_path / "alone")
    asked: list[int] = []
    searched = Static.search_in_parts
    monkeypatch.setattr(Static, "search_in_parts", lambda self, parts, query: [asked.append(1), searched(self, parts, query)][1])
    with Sharing(several=True) as sharing:
        for number, n_periods in enumerate((3, 2, 3)):
            found, _ = planned(replace(run, n_periods=n_periods), 2, monkeypatch, tmp_path / f"{number}", sharing)
            assert (found == alone) is (n_periods == 3)
    assert len(asked) == 1


@dataclass(frozen=True, kw_only=True)
class Late(Static):
    """Somebody's catalog that leaves out what `Static` finds before May."""

    def search(self, chips: Any, query: Any) -> pd.DataFrame:
        """As `Static`, but for the first months."""
        assert len(chips) == CHIPS, "one search for all chips"
        found = super().search(chips, query)
        return found[found["datetime"] >= pd.Timestamp("2018-05-01", tz="UTC")].sample(frac=1, random_state=1)


def test_a_search_that_is_overridden_is_asked(archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """In one go, and not passed by for what its base class can do."""
    run = make_run(archive.root, catalog=Late(), n_periods=3)
    whole, _ = planned(run, CHIPS, monkeypatch, tmp_path / "whole")
    parts, prepared = planned(run, 2, monkeypatch, tmp_path / "parts")
    assert prepared.plan.table["datetime"].min() >= pd.Timestamp("2018-05-01", tz="UTC")
    assert parts == whole, "its rows are in no order, those of the plan are"


def test_a_chip_that_nobody_asked_for_is_not_lost(archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Rows of other chips stay in the plan, never chosen, as they were before."""

    @dataclass(frozen=True, kw_only=True)
    class More(Static):
        def search(self, chips: Any, query: Any) -> pd.DataFrame:
            found = super().search(chips, query)
            return pd.concat([found.head(1).assign(chip_id="another"), found], ignore_index=True)

    _, prepared = planned(make_run(archive.root, catalog=More(), n_periods=3), 2, monkeypatch, tmp_path / "run")
    other = prepared.plan.table[prepared.plan.table["chip_id"] == "another"]
    assert other["selected"].tolist() == [False]


def test_strategies_see_one_part_at_a_time(archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    seen: list[list[str]] = []

    @dataclass(frozen=True, kw_only=True)
    class First:
        def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
            seen.append(list(candidates["chip_id"].unique()))
            return candidates.assign(selected=~candidates.duplicated(["chip_id", "period"]))

    run = make_run(archive.root, n_periods=3)
    run = replace(run, sources=(replace(run.source, strategy=First()),))
    monkeypatch.setattr("lcnkit.plugins.Registry.name_of", lambda self, plugin: "first")
    planned(run, 3, monkeypatch, tmp_path / "run")
    assert seen == [["C0", "C1", "C2"], ["C4", "C5"], ["C6"]]


@pytest.mark.parametrize("column", ["item_id", "item_href", "chip_id"])
def test_texts_that_are_none_are_refused(column: str, archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from lcnkit.errors import PluginError

    @dataclass(frozen=True, kw_only=True)
    class Numbered(Static):
        def search(self, chips: Any, query: Any) -> pd.DataFrame:
            found = super().search(chips, query)
            return found.assign(**{column: np.arange(len(found))})

    with pytest.raises(PluginError, match=f"`{column}` must hold texts"):
        planned(make_run(archive.root, catalog=Numbered(), n_periods=3), 2, monkeypatch, tmp_path / "run")


@pytest.mark.parametrize("kind", ["category", "string"])
def test_texts_may_be_of_any_kind_that_pandas_has(kind: str, archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Typed(Static):
        def search(self, chips: Any, query: Any) -> pd.DataFrame:
            return super().search(chips, query).astype({"chip_id": kind, "item_id": kind, "collection": kind})

    expected, _ = planned(make_run(archive.root, n_periods=3), 2, monkeypatch, tmp_path / "plain")
    found, _ = planned(make_run(archive.root, catalog=Typed(), n_periods=3), 2, monkeypatch, tmp_path / "typed")
    assert found == expected


def test_candidates_of_a_part_are_gone_before_the_next_are_searched(archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Nobody may hold them meanwhile: two parts at once are what the memory of a run comes to."""
    tables: list[Any] = []
    alive: list[int] = []

    class Watched(Static):
        def search_in_parts(self, parts: Any, query: Any) -> Iterator[pd.DataFrame]:
            for table in super().search_in_parts(parts, query):
                gc.collect()
                alive.append(sum(known() is not None for known in tables))
                tables.append(weakref.ref(table))
                yield table
                del table

    @dataclass(frozen=True, kw_only=True)
    class First:
        def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
            chosen = candidates.assign(selected=~candidates.duplicated(["chip_id", "period"]))
            tables.extend([weakref.ref(candidates), weakref.ref(chosen)])
            return chosen

    run = make_run(archive.root, n_periods=3, catalog=Watched())
    run = replace(run, sources=(replace(run.source, strategy=First()),))
    monkeypatch.setattr("lcnkit.plugins.Registry.name_of", lambda self, plugin: "first")
    _, prepared = planned(run, 2, monkeypatch, tmp_path / "run")
    assert len(prepared.tasks) == CHIPS - 1
    assert alive == [0, 0, 0, 0]


@pytest.mark.parametrize(("given", "said"), [(3, "gave 3 tables for 4 parts"), (5, "gave more than 4 tables for 4 parts")])
def test_a_catalog_that_gives_other_parts(given: int, said: str, archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Chips would be lost, or have the candidates of others."""

    class Other(Static):
        def search_in_parts(self, parts: Any, query: Any) -> Iterator[pd.DataFrame]:
            yield from list(super().search_in_parts([*parts, []], query))[:given]

    with pytest.raises(PluginError, match=said):
        planned(make_run(archive.root, n_periods=3, catalog=Other()), 2, monkeypatch, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.parquet"))


@pytest.mark.parametrize(("when_empty", "chosen"), [("pad", 30), ("nearest", 72)])
def test_what_is_filled_in_is_no_further_candidate(
    when_empty: str, chosen: int, archive: TinyArchive, make_run: Any, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    caplog.set_level(logging.INFO)
    planned(make_run(archive.root, n_periods=12, when_empty=when_empty), 2, monkeypatch, tmp_path / "run")
    assert [record.getMessage().split(" for ")[0] for record in caplog.records if record.getMessage().startswith("plan ")] == [
        f"plan       30 candidates, {chosen} chosen"
    ]
