"""Searching part by part: the same candidates however items lie, in memory or in a file, and whatever is read again."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnkit.candidates import match
from lcnkit.catalog import parts
from lcnkit.catalog.parts import search_near
from lcnkit.catalog.static import Static
from lcnkit.index.file_items import FileItems
from lcnkit.index.items import TableItems
from lcnkit.index.reader import DamagedFile, ItemFile
from lcnkit.model import Chip, Grid, Interval

YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))
GRID = Grid("EPSG:4326", (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), (1, 1))


def chip(number: int) -> Chip:
    return Chip(f"c{number}", f"c{number}", "", GRID, YEAR, shapely.box(number, 0, number + 1.2, 1))


def table_of(places: list[int]) -> pd.DataFrame:
    """Items at these places from west to east, two degrees wide; those of a place share an outline."""
    outlines = {place: shapely.box(place, -0.1, place + 2, 1.1) for place in set(places)}
    geometry = np.empty(len(places), dtype=object)
    geometry[:] = [outlines[place] for place in places]
    return pd.DataFrame(
        {
            "item_id": [f"i{number:03d}" for number in range(len(places))],
            "collection": "c",
            "datetime": pd.to_datetime([f"2018-01-{1 + number % 28:02d}" for number in range(len(places))], utc=True).astype("datetime64[ns, UTC]"),
            "cloud_cover": np.arange(len(places), dtype="float64"),
            "item_href": [f"h{number}" for number in range(len(places))],
            "geometry": geometry,
        }
    )


def file_of(table: pd.DataFrame, path: Path, group: int) -> ItemFile:
    columns = {
        "id": pa.array(table["item_id"], pa.string()),
        "collection": pa.array(table["collection"], pa.string()),
        "datetime": pa.array(table["datetime"], pa.timestamp("ns", tz="UTC")),
        "eo:cloud_cover": pa.array(table["cloud_cover"], pa.float64()),
        "lcnkit:href": pa.array(table["item_href"], pa.string()),
        "geometry": pa.array(shapely.to_wkb(table["geometry"].to_numpy(object)) if len(table) else [], pa.binary()),
    }
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return ItemFile(str(path))


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.integers(0, 12), max_size=40),
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    group=st.integers(1, 12),
    often=st.sampled_from([0, 1, 1000]),
    in_file=st.booleans(),
)
def test_as_all_at_once(places: list[int], sizes: list[int], group: int, often: int, in_file: bool, tmp_path_factory: Any) -> None:
    table = table_of(places)
    items: Any = TableItems(table)
    if in_file:
        items = FileItems(file_of(table, tmp_path_factory.mktemp("items") / "items.parquet", group))
        known = table.columns.drop(["geometry", "item_href"])
        pd.testing.assert_frame_equal(items.at()[known], table[known], check_dtype=bool(places))
    chips = [chip(number) for number in range(sum(sizes))]
    ends = np.cumsum(sizes)
    some = [chips[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    asked: list[int] = []

    def find(rows: Any, part: Any) -> pd.DataFrame:
        asked.append(len(part))
        return match(part, items.at(rows[0]).assign(owner=""), 0.3)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_OFTEN", often)
        found = list(search_near([items], some, find))
    assert len(found) == len(some)
    for part, answer in zip(some, found, strict=True):
        expected = match(part, items.at().assign(owner=""), 0.3)
        pd.testing.assert_frame_equal(answer.reset_index(drop=True), expected, check_dtype=bool(len(expected)))
    if often == 1000:
        assert asked == [len(part) for part in some]


def test_items_all_over_a_file_are_read_once(tmp_path: Path) -> None:
    """Each of ten chips has items in all row groups: what ten parts would read ten times is read for all of them."""
    table = table_of([3 * number for number in range(10)] * 5)
    items, chips, asked = FileItems(file_of(table, tmp_path / "items.parquet", 10)), [chip(3 * number) for number in range(10)], []

    def find(rows: Any, part: Any) -> pd.DataFrame:
        asked.append((len(part), len(rows[0])))
        return match(part, items.at(rows[0]).assign(owner=""), 0.3)

    found = list(search_near([items], [[one] for one in chips], find))
    assert asked == [(10, 50)]
    assert [set(answer["chip_id"]) for answer in found] == [{one.id} for one in chips]
    assert [len(answer) for answer in found] == [5] * 10


def test_an_index_that_is_damaged_further_in_is_made_anew_on_the_way(tiny: Any, monkeypatch: Any, caplog: Any) -> None:
    """What was answered before the damage was met is not asked for again."""
    from lcnkit.contracts import Query
    from lcnkit.labels import read_labels
    from lcnkit.settings import Dataset

    labels = read_labels(str(tiny.root), Dataset(), None, YEAR)
    query = Query("ref_landcovernet_xx_v1_source_sentinel_2", YEAR, 0.5, labels.all_ids)
    catalog = Static(root=str(tiny.root))
    expected = catalog.search(labels.chips, query)
    whole, calls = FileItems.at, []

    def failing(self: FileItems, rows: Any = None) -> pd.DataFrame:
        calls.append(rows)
        if len(calls) > 1:
            raise DamagedFile("items.parquet is damaged")
        return whole(self, rows)

    monkeypatch.setattr(FileItems, "at", failing)
    found = list(catalog.search_in_parts([[one] for one in labels.chips], query))
    assert [len(table) for table in found] == [4, 3, 2]
    pd.testing.assert_frame_equal(pd.concat(found, ignore_index=True), expected)
    assert len(calls) == 2
