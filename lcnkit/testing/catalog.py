"""What every catalog must keep to, as tests to inherit.

The contract makes a tiny archive and gives its folder as the fixture ``archive_root``; say in a fixture how your
catalog looks at it. A catalog that asks a server loads the archive into one there::

    class TestFolder(CatalogContract):
        @pytest.fixture
        def catalog(self, archive_root):
            return Folder(root=str(archive_root))
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import pytest

from lcnkit.candidates import SEARCH_COLUMNS
from lcnkit.contracts import Catalog, Query, search_in_parts
from lcnkit.errors import DataError, UnreadableAsset
from lcnkit.labels import read_labels
from lcnkit.model import Chip, Interval
from lcnkit.model.chip import LabelLinks
from lcnkit.settings import Dataset
from lcnkit.testing.archives import TinyArchive
from lcnkit.testing.plugin import PluginContract

if TYPE_CHECKING:
    from shapely import Geometry

#: Id of the source collection of the archive.
COLLECTION = "ref_landcovernet_xx_v1_source_sentinel_2"
YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))

#: Chip, time, cloud cover of every item. ``west`` and ``middle`` touch; ``east`` and ``middle`` share a quarter.
ITEMS: tuple[tuple[str, str, float | None], ...] = (
    ("middle", "2018-05-05T10:00:31Z", 50.0),
    ("west", "2018-09-01T10:00:31Z", None),
    ("west", "2018-03-01T10:00:31Z", 12.5),
    ("east", "2018-05-05T10:00:31Z", 0.0),
    ("middle", "2018-03-01T10:00:31Z", 100.0),
)


def item_id(chip: str, when: str) -> str:
    """The id that `TinyArchive` gives an item."""
    return f"{COLLECTION}_{chip}_{when[:10].replace('-', '')}{when[11:19].replace(':', '')}"


def write_archive(root: Path) -> Path:
    """The archive of `ITEMS`; returns its folder."""
    archive = TinyArchive(root)
    for chip, column in (("west", 0.0), ("middle", 1.0), ("east", 1.75)):
        archive.chip(chip, column=column)
    for chip, when, cloud in ITEMS:
        archive.item(chip, when, cloud)
    return archive.write()


class CatalogContract(PluginContract):
    """Inherit in a class named ``Test...`` and write one fixture, ``catalog``, made from the fixture ``archive_root``."""

    kind: ClassVar[str] = "catalog"

    collection: ClassVar[str] = COLLECTION
    """The source collection, as the catalog calls it."""

    @pytest.fixture(scope="class")
    @classmethod
    def archive_root(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Folder of a tiny STAC archive (catalog.json, a label collection, a source collection); not to be changed."""
        return write_archive(tmp_path_factory.mktemp("archive"))

    @pytest.fixture
    def catalog(self, archive_root: Path) -> Catalog:
        """The catalog to try."""
        raise NotImplementedError(f"A test class that inherits CatalogContract needs a fixture named 'catalog', made of {archive_root}.")

    @pytest.fixture
    def plugin(self, catalog: Catalog) -> Catalog:
        """For the tests that all kinds share."""
        return catalog

    @pytest.fixture(scope="class")
    @classmethod
    def chips(cls, archive_root: Path) -> tuple[Chip, ...]:
        """The archive's chips: west, middle, east."""
        return tuple(read_labels(str(archive_root), Dataset(), None, YEAR).chips)

    def query(self, min_coverage: float = 0.5, *, chip_ids: tuple[str, ...] = ()) -> Query:
        """What the tests ask for; without ``chip_ids`` only footprints count."""
        return Query(self.collection, YEAR, min_coverage, frozenset(chip_ids))

    def test_knows_its_collection(self, catalog: Catalog) -> None:
        """By its id."""
        assert catalog.find_collection(self.collection) == self.collection

    def test_says_that_a_collection_does_not_exist(self, catalog: Catalog, chips: tuple[Chip, ...]) -> None:
        """A `DataError`, at the latest when it is searched, which names what was asked for."""
        with pytest.raises(DataError, match="no_such_collection"):
            catalog.search(chips, Query(catalog.find_collection("no_such_collection"), YEAR))

    def test_answers_with_a_table(self, catalog: Catalog, chips: tuple[Chip, ...]) -> None:
        """Columns and dtypes as in `lcnkit.contracts.Catalog.search`."""
        table = catalog.search(chips, self.query())
        assert set(SEARCH_COLUMNS) <= set(table.columns), f"missing: {set(SEARCH_COLUMNS) - set(table.columns)}"
        assert str(table["datetime"].dtype) == "datetime64[ns, UTC]"
        assert table["cloud_cover"].dtype == np.dtype("float64")
        assert table["coverage"].dtype == np.dtype("float64")
        for name in ("chip_id", "item_id", "collection", "item_href"):
            assert all(isinstance(value, str) for value in table[name]), f"column {name} must hold texts"
        assert set(table["collection"]) == {self.collection}

    def test_finds_the_items_of_all_chips_at_once(self, catalog: Catalog, chips: tuple[Chip, ...]) -> None:
        """One row per chip and item, with time and cloud cover as published; NaN where unknown."""
        table = catalog.search(chips, self.query())
        found = {(row.chip_id, row.item_id): row for row in table.itertuples()}
        assert len(found) == len(table), "an item stands twice for the same chip"
        assert set(found) == {(chip, item_id(chip, when)) for chip, when, _ in ITEMS}
        for chip, when, cloud in ITEMS:
            row = found[chip, item_id(chip, when)]
            assert row.datetime == pd.Timestamp(when)
            np.testing.assert_equal(row.cloud_cover, np.nan if cloud is None else cloud)
            assert row.coverage == pytest.approx(1.0, abs=0.01)

    def test_a_neighbour_that_touches_is_no_candidate(self, catalog: Catalog, chips: tuple[Chip, ...]) -> None:
        """Sharing an edge is not covering, whatever ``min_coverage``: west and middle have no item in common."""
        table = catalog.search(chips, self.query(0.0))
        assert (table["coverage"] > 0).all()
        by_chip = table.groupby("chip_id")["item_id"].agg(set)
        assert not by_chip["west"] & by_chip["middle"]

    @pytest.mark.parametrize(("min_coverage", "shared"), [(0.2, True), (0.3, False)])
    def test_an_item_that_covers_too_little_is_no_candidate(
        self, catalog: Catalog, chips: tuple[Chip, ...], min_coverage: float, shared: bool
    ) -> None:
        """East and middle share a quarter of their area."""
        table = catalog.search(chips, self.query(min_coverage))
        assert (table["coverage"] >= min_coverage).all()
        assert (table["coverage"] <= 1).all()
        east = table[(table["chip_id"] == "east") & table["item_id"].str.contains("_middle_")]
        assert len(east) == (2 if shared else 0)
        assert east["coverage"].to_numpy() == pytest.approx(0.25, abs=0.01)

    def test_an_item_cut_for_a_chip_is_no_candidate_of_its_neighbours(self, catalog: Catalog, chips: tuple[Chip, ...]) -> None:
        """However much they overlap, and also where the item's own chip is left out of the run."""
        everyone = tuple(chip.id for chip in chips)
        table = catalog.search(chips, self.query(0.1, chip_ids=everyone))
        assert set(zip(table["chip_id"], table["item_id"], strict=True)) == {(chip, item_id(chip, when)) for chip, when, _ in ITEMS}
        east = [chip for chip in chips if chip.id == "east"]
        assert set(catalog.search(east, self.query(0.1, chip_ids=everyone))["item_id"]) == {item_id("east", ITEMS[3][1])}

    def test_an_item_that_a_label_left_out_links_to_is_no_candidate_either(
        self, catalog: Catalog, chips: tuple[Chip, ...], archive_root: Path
    ) -> None:
        """Whatever its id: a label of the collection links to it and has its outline (`lcnkit.catalog.owners.owners_of`)."""
        by_id = {chip.id: chip for chip in chips}
        named = [str(archive_root / COLLECTION / item_id(chip, when) / "stac.json") for chip, when, _ in ITEMS if chip == "middle"]
        links = LabelLinks("middle", by_id["middle"].footprint, tuple(named))
        free = Query(self.collection, YEAR, 0.2)
        assert len(catalog.search([by_id["east"]], free)) == 3
        asked: list[Sequence[Geometry]] = []

        def label_links(footprints: Sequence[Geometry]) -> Sequence[LabelLinks]:
            asked.append(footprints)
            return [links]

        table = catalog.search([by_id["east"]], replace(free, label_links=label_links))
        assert set(table["item_id"]) == {item_id("east", ITEMS[3][1])}
        assert asked, "the query was not asked what labels link to"

    def test_chips_do_not_depend_on_each_other(self, catalog: Catalog, chips: tuple[Chip, ...]) -> None:
        """Fewer chips, or the same in another order: the same rows for each."""
        table = _sorted(catalog.search(chips, self.query(0.2)))
        pd.testing.assert_frame_equal(_sorted(catalog.search(chips[::-1], self.query(0.2))), table)
        alone = pd.concat([catalog.search([chip], self.query(0.2)) for chip in chips])
        pd.testing.assert_frame_equal(_sorted(alone), table)

    def test_parts_of_the_chips_get_what_all_of_them_get(self, catalog: Catalog, chips: tuple[Chip, ...]) -> None:
        """A run with many chips asks for some of them after the others; a part without a chip has a table without rows."""
        parts = [chips[:1], (), chips[1:]]
        tables = list(search_in_parts(catalog, parts, self.query(0.2)))
        assert [set(table["chip_id"]) for table in tables] == [{chip.id for chip in part} for part in parts]
        pd.testing.assert_frame_equal(_sorted(pd.concat(tables)), _sorted(catalog.search(chips, self.query(0.2))), check_dtype=False)

    def test_no_chips_no_candidates(self, catalog: Catalog) -> None:
        """An empty table still has its columns."""
        table = catalog.search([], self.query())
        assert len(table) == 0
        assert set(SEARCH_COLUMNS) <= set(table.columns)

    def test_finds_the_items_again(self, catalog: Catalog, chips: tuple[Chip, ...]) -> None:
        """In the order of the hrefs, one that is asked for twice too; on a worker as well."""
        table = catalog.search(chips, self.query())
        wanted = [*table["item_href"][::-1], table["item_href"].iloc[0]]
        ids = [*table["item_id"][::-1], table["item_id"].iloc[0]]
        worker: Catalog = pickle.loads(pickle.dumps(catalog))
        for asked in (catalog, worker):
            items = asked.items(wanted)
            assert [item.id for item in items] == ids
            assert all(item.asset("B04").href for item in items)

    def test_finds_no_items_where_none_is_wanted(self, catalog: Catalog) -> None:
        """No request either."""
        assert catalog.items([]) == []

    def test_says_that_an_item_is_gone(self, catalog: Catalog, chips: tuple[Chip, ...]) -> None:
        """A plan is run again after the archive has changed."""
        href = catalog.search(chips, self.query())["item_href"].iloc[0]
        with pytest.raises(UnreadableAsset):
            catalog.items([f"{href}.gone"])


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["chip_id", "item_id"])[list(SEARCH_COLUMNS)].reset_index(drop=True)
