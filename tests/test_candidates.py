"""How items become candidates: coverage, owners, dates and clouds as they are published."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from lcnkit.archive import Archive
from lcnkit.candidates import SEARCH_COLUMNS, _order, match
from lcnkit.catalog.static import Static
from lcnkit.contracts import Query
from lcnkit.geometry import coverage, geometry_of
from lcnkit.index.kept import crawl_once
from lcnkit.labels import read_labels
from lcnkit.model import Chip, Grid, Interval
from lcnkit.settings import Dataset
from lcnkit.testing.archives import TinyArchive, outline

YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))
GRID = Grid("EPSG:32633", (10, 0, 465_000, 0, -10, 5_080_000), (256, 256))
SIDE = 0.033  # degrees, about 256 pixels of 10 m


def chip(name: str, column: float = 0.0) -> Chip:
    return Chip(name, f"labels_{name}", f"{name}.tif", GRID, YEAR, shapely.box(column * SIDE, 0, (column + 1) * SIDE, SIDE))


def items(*rows: tuple[str, str, object]) -> pd.DataFrame:
    """Items from ``(id, owner, geometry)``, a day apart."""
    return pd.DataFrame(
        {
            "item_id": [row[0] for row in rows],
            "collection": "c",
            "datetime": pd.date_range("2018-01-01", periods=len(rows), tz="UTC").astype("datetime64[ns, UTC]"),
            "cloud_cover": [float(number) for number in range(len(rows))],
            "item_href": [f"{row[0]}.json" for row in rows],
            "geometry": [row[2] for row in rows],
            "owner": [row[1] for row in rows],
        }
    )


def pairs(table: pd.DataFrame) -> list[tuple[str, str, float]]:
    return list(table[["chip_id", "item_id", "coverage"]].itertuples(index=False, name=None))


class TestMatch:
    def test_touching_chips_get_nothing_from_neighbours(self):
        chips = [chip("A", 0), chip("B", 1), chip("C", 2)]
        found = match(chips, items(*[(f"item_{c.id}", "", c.footprint) for c in chips]), 0.0)
        assert pairs(found) == [("A", "item_A", 1.0), ("B", "item_B", 1.0), ("C", "item_C", 1.0)]

    def test_rounded_coordinates_of_touching_chips_share_no_area(self):
        """Published with 7 decimals, the outline of a neighbour may reach a centimetre over the edge."""
        over = shapely.box(-SIDE, -1e-7, 1e-7, SIDE + 1e-7)
        assert match([chip("A")], items(("neighbour", "", over)), 0.0).empty

    def test_overlapping_chips_with_items_of_their_own(self):
        """32PQQ_02 and 32PRQ_02 cover the same ground by 54 %."""
        chips = [chip("A", 0), chip("B", 0.46)]
        table = items(("A_1", "A", chips[0].footprint), ("B_1", "B", chips[1].footprint))
        assert pairs(match(chips, table, 0.5)) == [("A", "A_1", 1.0), ("B", "B_1", 1.0)]
        assert pairs(match(chips[:1], table, 0.5)) == [("A", "A_1", 1.0)], "the owner need not be in the run"
        free = match(chips, table.assign(owner=""), 0.5)
        assert pairs(free) == [("A", "A_1", 1.0), ("A", "B_1", 0.54), ("B", "A_1", 0.54), ("B", "B_1", 1.0)]

    def test_full_scenes_cover_many_chips(self):
        chips = [chip(f"{number}", number) for number in range(10)]
        found = match(chips, items(("scene", "", shapely.box(-1, -1, 1, 1)), ("elsewhere", "", shapely.box(5, 5, 6, 6))), 0.5)
        assert pairs(found) == [(c.id, "scene", 1.0) for c in chips]

    @pytest.mark.parametrize(
        ("least", "fractions"),
        [(0.0, [0.25, 0.5, 0.75, 1.0]), (0.25, [0.25, 0.5, 0.75, 1.0]), (0.5, [0.5, 0.75, 1.0]), (0.5001, [0.75, 1.0]), (1.0, [1.0])],
    )
    def test_min_coverage_is_included(self, least, fractions):
        every = [0.0, 0.25, 0.5, 0.75, 1.0]
        table = items(*[(f"item_{part}", "", shapely.box(-1, 0, part * SIDE, SIDE)) for part in every])
        assert match([chip("A")], table, least)["coverage"].tolist() == fractions

    def test_full_coverage_survives_rounded_coordinates(self):
        rounded = shapely.box(6e-8, 6e-8, SIDE - 6e-8, SIDE - 6e-8)
        assert pairs(match([chip("A")], items(("A_1", "", rounded)), 1.0)) == [("A", "A_1", 1.0)]

    def test_chips_in_the_order_given_then_time_then_id(self):
        chips = [chip("B", 1), chip("A", 0)]
        table = items(("z", "", shapely.box(-1, -1, 1, 1)), ("y", "", shapely.box(-1, -1, 1, 1)))
        table["datetime"] = table["datetime"].iloc[0]
        assert [pair[:2] for pair in pairs(match(chips, table, 0.5))] == [("B", "y"), ("B", "z"), ("A", "y"), ("A", "z")]

    @pytest.mark.parametrize("owner", ["", "A"])
    def test_no_match_still_has_the_columns(self, owner):
        found = match([chip("A")], items(("far", owner, shapely.box(50, 50, 51, 51))), 0.5)
        assert found.empty
        assert tuple(found.columns) == SEARCH_COLUMNS

    def test_an_owner_alone_is_not_enough(self):
        """An item that says it is of the chip, and lies elsewhere, shows nothing of it."""
        assert match([chip("A")], items(("A_1", "A", shapely.box(50, 50, 51, 51))), 0.0).empty

    def test_footprints_with_a_hole_or_a_flaw(self):
        bow_tie = geometry_of({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [SIDE, SIDE], [SIDE, 0], [0, SIDE], [0, 0]]]}})
        hole = shapely.box(0, 0, SIDE, SIDE).difference(shapely.box(0, 0, SIDE / 2, SIDE / 2))
        found = match([chip("A")], items(("bow_tie", "", bow_tie), ("hole", "", hole)), 0.0)
        assert pairs(found) == [("A", "bow_tie", 0.5), ("A", "hole", 0.75)]

    def test_many_chips_and_items_at_once(self):
        """A year of 9,000 chips, each with items of its own outline."""
        chips = [chip(f"{number:04d}", number) for number in range(2000)]
        table = pd.concat([items(*[(f"{c.id}_{day}", c.id, c.footprint) for c in chips]) for day in range(10)], ignore_index=True)
        found = match(chips, table, 0.5)
        assert len(found) == 20_000
        assert (found["coverage"] == 1).all()
        assert (found["item_id"].str[:4] == found["chip_id"]).all()


class TestGeometry:
    @pytest.mark.parametrize(
        ("document", "bounds"),
        [
            ({"geometry": None, "bbox": [1, 2, 3, 4]}, (1, 2, 3, 4)),
            ({"bbox": [1, 2, -5, 3, 4, 5]}, (1, 2, 3, 4)),
            ({"bbox": ["1", "2", "3", "4"]}, (1, 2, 3, 4)),
            ({"geometry": {"type": "Polygon", "coordinates": []}, "bbox": [1, 2, 3, 4]}, (1, 2, 3, 4)),
            ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [float("nan"), 1], [1, 1], [0, 0]]]}, "bbox": [1, 2, 3, 4]}, (1, 2, 3, 4)),
            ({"geometry": {"type": "Point", "coordinates": [1, 2]}, "bbox": [1, 2, 3, 4]}, (1, 2, 3, 4)),
            ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}, "bbox": [9, 9, 9, 9]}, (0, 0, 2, 2)),
        ],
    )
    def test_bbox_stands_in_for_a_geometry_without_area(self, document, bounds):
        assert geometry_of(document).bounds == bounds

    @pytest.mark.parametrize(
        "document", [{}, {"geometry": 5}, {"geometry": {"type": "Nonsense"}}, {"bbox": []}, {"bbox": "abcd"}, {"bbox": [1, 2, 1, 4]}, {"bbox": 3}]
    )
    def test_nothing_that_encloses_an_area(self, document):
        assert geometry_of(document) is None

    def test_coverage_of_a_chip_without_area_is_nothing(self):
        assert coverage([shapely.Point(0, 0), shapely.box(0, 0, 1, 1)], [shapely.box(-1, -1, 1, 1), None]).tolist() == [0.0, 0.0]


def rewrite(folder: Path, document=None, **properties) -> None:
    """Change an item on disk; a value of ``...`` removes the property."""
    path = folder / "stac.json"
    item = {**json.loads(path.read_text()), **(document or {})}
    item["properties"] = {key: value for key, value in {**item["properties"], **properties}.items() if value is not ...}
    path.write_text(json.dumps(item))


@pytest.fixture
def archive(tmp_path: Path) -> TinyArchive:
    archive = TinyArchive(tmp_path, size=4)
    archive.chip("A")
    return archive


def crawled(archive: TinyArchive):
    opened = Archive.open(str(archive.write()))
    found = crawl_once(opened.source(), opened.root)
    return found.table, [why for _, why in found.problems]


class TestCrawl:
    @pytest.mark.parametrize(
        ("properties", "when"),
        [
            ({"datetime": "2018-03-01T10:00:00Z"}, "2018-03-01T10:00:00Z"),
            ({"datetime": "2018-03-01T00:30:00+02:00"}, "2018-02-28T22:30:00Z"),
            ({"datetime": "2018-03-01T00:30:00-05:30"}, "2018-03-01T06:00:00Z"),
            ({"datetime": "2018-03-01T10:00:00.123456789Z"}, "2018-03-01T10:00:00.123456789Z"),
            ({"datetime": "2018-03-01"}, "2018-03-01T00:00:00Z"),
            ({"datetime": None, "start_datetime": "2018-03-01T00:00:00Z", "end_datetime": "2018-04-01T00:00:00Z"}, "2018-03-01T00:00:00Z"),
            ({"datetime": ..., "start_datetime": "2018-03-01T00:00:00Z"}, "2018-03-01T00:00:00Z"),
        ],
    )
    def test_datetimes_become_utc(self, archive, properties, when):
        rewrite(archive.item("A", "2018-01-01"), **properties)
        items, problems = crawled(archive)
        assert not problems
        assert items["datetime"].tolist() == [pd.Timestamp(when)]
        assert items["datetime"].dtype == "datetime64[ns, UTC]"

    @pytest.mark.parametrize(
        ("properties", "wrong"),
        [
            ({"datetime": None}, "neither datetime nor start_datetime"),
            ({"datetime": ...}, "neither datetime nor start_datetime"),
            ({"datetime": "yesterday"}, "a datetime that cannot be read"),
            ({"datetime": "9999-01-01T00:00:00Z"}, "a datetime that cannot be read"),
            ({"datetime": ["2018-01-01"]}, "a datetime that cannot be read"),
        ],
    )
    def test_items_without_a_date_are_left_out_and_named(self, archive, properties, wrong):
        archive.item("A", "2018-02-01")
        rewrite(archive.item("A", "2018-01-01"), **properties)
        items, problems = crawled(archive)
        assert len(items) == 1
        (problem,) = problems
        assert wrong in problem
        assert "_A_20180101" in problem

    def test_items_without_a_place_are_left_out_with_a_warning_that_names_them(self, archive, caplog):
        archive.item("A", "2018-02-01")
        rewrite(archive.item("A", "2018-01-01"), {"geometry": None, "bbox": None})
        assert len(searched(archive)) == 1
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "1 item " in record.message
        assert "_A_20180101" in record.message
        assert "no usable geometry and no bbox" in record.message

    def test_items_with_a_bbox_only(self, archive):
        rewrite(archive.item("A", "2018-01-01"), {"geometry": None})
        found = searched(archive)
        assert len(found) == 1
        assert found["coverage"][0] > 0.99

    def test_same_broken_geometry_but_different_boxes(self, archive):
        """What was learnt of one item's outline must not be taken for another's."""
        archive.chip("B")
        for name in ("A", "B"):
            rewrite(archive.item(name, "2018-01-01"), {"geometry": {"type": "Polygon", "coordinates": []}})
        assert searched(archive)["chip_id"].tolist() == ["A", "B"]


def searched(archive: TinyArchive, *wanted: str, least: float = 0.5) -> pd.DataFrame:
    root = str(archive.write())
    labels = read_labels(root, Dataset(), wanted or None, None)
    catalog = Static(root=root)
    return catalog.search(labels.chips, Query(catalog.find_collection(None), labels.interval, least, labels.all_ids, labels.links))


class TestAntimeridian:
    """Chip A lies across it and chip B elsewhere at its latitude; ids do not tell whose the items are."""

    BBOX = (179.9, 45.5, -179.9, 46.5)
    RING = ((179.9, 45.5), (-179.9, 45.5), (-179.9, 46.5), (179.9, 46.5), (179.9, 45.5))

    @pytest.mark.parametrize("label", [{}, {"geometry": None, "bbox": None}], ids=["uncut label", "grid of the label"])
    @pytest.mark.parametrize(
        "scene",
        [{"geometry": {"type": "Polygon", "coordinates": [RING]}}, {"geometry": None, "bbox": BBOX}],
        ids=["uncut scene", "its bbox"],
    )
    def test_a_scene_across_covers_the_chip_there(self, tmp_path: Path, label, scene):
        archive = TinyArchive(tmp_path, size=100, crs="EPSG:32601")
        archive.chip("A", column=-198.3)
        west, *_, east = sorted(lon for lon, _ in outline(archive.grids["A"]))
        assert (round(west), round(east)) == (-180, 180)
        rewrite(archive.item("A", "2018-01-01"), {"id": "first", **scene})
        archive.crs = "EPSG:32633"
        archive.chip("B")
        rewrite(archive.item("B", "2018-01-02"), {"id": "second"})
        for folder in archive.labels.glob("*_*"):
            rewrite(folder, label)
        assert pairs(searched(archive)) == [("A", "first", 1.0), ("B", "second", 1.0)]


class TestOwners:
    def test_landcovernet_items_belong_to_the_chip_in_their_name(self, tmp_path):
        archive = TinyArchive(tmp_path, size=100)
        archive.chip("32PQQ_02")
        archive.chip("32PRQ_02", column=0.46)
        for name in ("32PQQ_02", "32PRQ_02"):
            archive.item(name, "2018-01-01")
        assert [pair[0] == pair[1].rsplit("_2018")[0][-8:] for pair in pairs(searched(archive))] == [True, True]
        assert [pair[0] for pair in pairs(searched(archive, "32PRQ_02"))] == ["32PRQ_02"]

    def test_a_chip_whose_name_begins_another(self, tmp_path):
        archive = TinyArchive(tmp_path, size=100)
        for name in ("28QDE_1", "28QDE_11"):
            archive.chip(name, column=0)
            archive.item(name, "2018-01-01")
        assert [(chip_id, item_id.split("sentinel_2_")[1]) for chip_id, item_id, _ in pairs(searched(archive))] == [
            ("28QDE_1", "28QDE_1_20180101"),
            ("28QDE_11", "28QDE_11_20180101"),
        ]

    def linked(self, tmp_path: Path, size: int) -> TinyArchive:
        """Items named in a way that says nothing, and labels that link to them."""
        archive = TinyArchive(tmp_path, size=size)
        for name, column in (("A", 0), ("B", 0.4)):
            archive.chip(name, column=column)
            folder = archive.item(name, "2018-01-01")
            rewrite(folder, {"id": f"image_{name}"})
            links = [{"rel": "source", "href": f"../../{folder.parent.name}/{folder.name}/stac.json"}]
            rewrite(archive.labels / f"{archive.labels.name}_{name}", {"links": links})
        return archive

    def test_items_belong_to_the_one_label_that_links_to_them(self, tmp_path):
        assert [pair[:2] for pair in pairs(searched(self.linked(tmp_path, 100)))] == [("A", "image_A"), ("B", "image_B")]

    def test_a_scene_that_a_label_links_to_is_still_everybodys(self, tmp_path):
        archive = self.linked(tmp_path, 100)
        (folder,) = (tmp_path / "ref_landcovernet_xx_v1_source_sentinel_2").glob("*_A_*")
        scene = shapely.box(14, 45, 15, 46)
        rewrite(folder, {"geometry": shapely.geometry.mapping(scene), "bbox": list(scene.bounds)})
        assert [pair[:2] for pair in pairs(searched(archive))] == [("A", "image_A"), ("B", "image_A"), ("B", "image_B")]


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["2018-01-01", "2018-01-02", None]), st.sampled_from("abc")), max_size=12))
def test_in_order_of_chip_time_and_item(rows: list[tuple[int, str | None, str]]) -> None:
    table = pd.DataFrame(rows, columns=["chip", "datetime", "item_id"])
    times = pd.to_datetime(table["datetime"], utc=True).astype("datetime64[ns, UTC]")
    order = _order(table["chip"].to_numpy(), times, table["item_id"].to_numpy(dtype=object))
    wanted = table.assign(datetime=times).sort_values(["chip", "datetime", "item_id"], kind="stable")
    pd.testing.assert_frame_equal(table.assign(datetime=times).iloc[order].reset_index(drop=True), wanted.reset_index(drop=True))
