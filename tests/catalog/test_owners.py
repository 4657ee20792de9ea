"""Items that are chips themselves: known by the links of labels too, also of labels that a run leaves out, whatever the catalog."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from servers.files import serving_files
from servers.items import items_of
from servers.rustac import serving_items
from shapely.affinity import scale
from shapely.geometry import mapping, shape

from lcnkit.candidates import match
from lcnkit.catalog.api import Api
from lcnkit.catalog.geoparquet import Geoparquet
from lcnkit.catalog.links import Links
from lcnkit.catalog.owners import owners_of
from lcnkit.catalog.static import Static
from lcnkit.cli import main
from lcnkit.contracts import Catalog, Query
from lcnkit.labels import LabelSet, read_labels
from lcnkit.model import Chip, Grid, Interval
from lcnkit.pipeline import plan_only
from lcnkit.settings import Dataset, Run
from lcnkit.testing.archives import TinyArchive

COLLECTION = "ref_landcovernet_xx_v1_source_sentinel_2"
CATALOGS = ("static", "geoparquet", "links", "api")


def anonymous(archive: TinyArchive, named: dict[str, Sequence[str]]) -> Path:
    """The archive written with items whose ids and paths tell no chip, and labels that link to the items of some chips."""
    root = archive.write()
    home = root / COLLECTION
    paths: dict[str, list[Path]] = {}
    for number, folder in enumerate(sorted(home.glob("*_*"))):
        chip = folder.name.removeprefix(f"{COLLECTION}_").rpartition("_")[0]
        item = json.loads((folder / "stac.json").read_text())
        (folder / "stac.json").write_text(json.dumps({**item, "id": f"acquisition-{number:02d}"}))
        paths.setdefault(chip, []).append(folder.rename(home / f"acquisition-{number:02d}") / "stac.json")
    every = [path for some in paths.values() for path in some]
    collection = json.loads((home / "collection.json").read_text())
    collection["links"] = [{"rel": "item", "href": f"./{path.parent.name}/stac.json"} for path in every]
    (home / "collection.json").write_text(json.dumps(collection))
    for label, chips in named.items():
        path = archive.labels / f"{archive.labels.name}_{label}" / "stac.json"
        item = json.loads(path.read_text())
        item["links"] += [{"rel": "source", "href": f"../../{COLLECTION}/{there.parent.name}/stac.json"} for chip in chips for there in paths[chip]]
        path.write_text(json.dumps(item))
    return root


@pytest.fixture
def overlapping(tmp_path: Path) -> TinyArchive:
    """Two chips that share six tenths, each with an acquisition in either half of the year; the left one's are clear."""
    archive = TinyArchive(tmp_path / "archive", size=10)
    for name, column, cloud in (("left", 0.0, 1), ("right", 0.4, 50)):
        archive.chip(name, column=column)
        for month in (2, 9):
            archive.item(name, f"2018-{month:02d}-11", cloud)
    return archive


@pytest.fixture
def plan_of(make_run: Callable[..., Run], tmp_path: Path) -> Callable[..., pd.DataFrame]:
    def make(root: Path, name: str, **keys: Any) -> pd.DataFrame:
        def planned(catalog: Catalog) -> pd.DataFrame:
            run = make_run(root, n_periods=2, catalog=catalog, overwrite=True, **keys)
            run = replace(run, dataset=replace(run.dataset, source=COLLECTION))
            table = plan_only(run)[0].plan.table
            return table[["chip_id", "item_id", "coverage", "period", "selected"]].reset_index(drop=True)

        if name == "geoparquet":
            file = tmp_path / "items.parquet"
            assert main(["index", str(root), "--output", str(file)]) == 0
            return planned(Geoparquet(path=str(file)))
        if name == "api":
            (tmp_path / "api").mkdir(exist_ok=True)
            with serving_items(items_of(root), tmp_path / "api") as url:
                return planned(Api(url=url, refresh=True))
        return planned({"static": Static, "links": Links}[name]())

    return make


@pytest.mark.parametrize("name", CATALOGS)
def test_the_chip_of_an_item_need_not_be_in_the_run(name: str, overlapping: TinyArchive, plan_of: Any) -> None:
    """A chip's plan is the same alone and beside its neighbours, though no id tells whose an item is."""
    root = anonymous(overlapping, {"left": ["left"], "right": ["right", "left"] if name == "links" else ["right"]})
    both = plan_of(root, name)
    assert len(both) == 4
    alone = plan_of(root, name, chips=("right",))
    pd.testing.assert_frame_equal(alone, both[both["chip_id"] == "right"].reset_index(drop=True))
    assert set(alone["item_id"]) == {"acquisition-02", "acquisition-03"}


@pytest.mark.parametrize("name", ["static", "api"])
def test_what_no_label_links_to_is_a_scene(name: str, overlapping: TinyArchive, plan_of: Any) -> None:
    root = anonymous(overlapping, {"right": ["right"]})
    assert len(plan_of(root, name, chips=("right",))) == 4


@pytest.mark.parametrize("catalog", [Static, Links])
def test_an_archive_far_away(catalog: Any, overlapping: TinyArchive, make_run: Any) -> None:
    """Labels that the run leaves out have not been read there: they are now."""
    root = anonymous(overlapping, {"left": ["left"], "right": ["right", "left"]})
    seen: list[tuple[str, dict[str, str]]] = []
    with serving_files(root, seen) as url:
        plan = plan_only(make_run(url, n_periods=2, catalog=catalog(), chips=("right",)))[0].plan.table
    assert set(plan["item_id"]) == {"acquisition-02", "acquisition-03"}
    assert any("labels_left/stac.json" in path for path, _ in seen)


def test_scenes_of_an_archive_far_away_need_no_other_labels(tmp_path: Path, make_run: Any) -> None:
    """What is much larger than a chip is none: thousands of labels are not read for it."""
    archive = TinyArchive(tmp_path / "archive")
    for column, name in enumerate("ABCDEFGH"):
        archive.chip(name, column=column)
    scene = archive.item("A", "2018-02-11")
    root = anonymous(archive, {name: ["A"] for name in "ABCDEFGH"})
    path = root / COLLECTION / "acquisition-00" / "stac.json"
    labels = read_labels(str(root), Dataset(), None, None)
    outline = shapely.union_all([chip.footprint for chip in labels.chips]).convex_hull
    geometry = {"type": "Polygon", "coordinates": [[list(corner) for corner in outline.exterior.coords]]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "geometry": geometry, "bbox": list(outline.bounds)}))
    seen: list[tuple[str, dict[str, str]]] = []
    with serving_files(root, seen) as url:
        plan = plan_only(make_run(url, n_periods=1, chips=("C",)))[0].plan.table
    assert not scene.exists()
    assert plan["item_id"].tolist() == ["acquisition-00"]
    assert {path for path, _ in seen if "labels_" in path and path.endswith("stac.json")} == {
        f"/{archive.labels.name}/{archive.labels.name}_C/stac.json"
    }


def asked(labels: LabelSet, *chips: str, of: LabelSet) -> dict[str, int]:
    """Chip and number of links of the labels where some chips are."""
    outlines = [chip.footprint for chip in of.chips if chip.id in chips]
    return {links.chip_id: len(links.hrefs) for links in labels.links(outlines)}


def test_only_labels_in_the_place_are_read_again(tmp_path: Path) -> None:
    archive = TinyArchive(tmp_path / "archive")
    for column, name in enumerate("ABCDEFGH"):
        archive.chip(name, column=column)
        archive.item(name, "2018-02-11")
    root = anonymous(archive, {name: [name] for name in "ABCDEFG"})
    every = read_labels(str(root), Dataset(), None, None)
    some = read_labels(str(root), Dataset(), ("A", "H"), None)
    for label in archive.labels.glob("*_[B-G]/stac.json"):
        if not label.parent.name.endswith("_E"):
            label.write_text("no longer an item")
    assert asked(some, of=every) == {}
    assert asked(some, "A", of=every) == {"A": 1}
    assert asked(some, "E", "H", of=every) == {"E": 1}
    assert asked(some, "C", of=every) == {}, "a label that is gone meanwhile links to nothing"
    assert some.chips[0].source_hrefs


@pytest.mark.parametrize("lacks", ["bbox", "geometry"])
def test_a_label_that_does_not_say_where_it_lies(lacks: str, overlapping: TinyArchive, plan_of: Any) -> None:
    root = anonymous(overlapping, {"left": ["left"], "right": ["right"]})
    for path in overlapping.labels.glob("*/stac.json"):
        item = json.loads(path.read_text())
        path.write_text(json.dumps({**item, "bbox": [], "geometry": None if lacks == "geometry" else item["geometry"]}))
    assert set(plan_of(root, "static", chips=("right",))["item_id"]) == {"acquisition-02", "acquisition-03"}


def test_two_labels_of_one_place_share_their_items(tmp_path: Path, plan_of: Any) -> None:
    """Such as those of two people who looked at the same chip; one of them is left out."""
    archive = TinyArchive(tmp_path / "archive")
    for name in ("one", "two"):
        archive.chip(name, column=0)
    archive.item("one", "2018-02-11")
    root = anonymous(archive, {"one": ["one"], "two": ["one"]})
    assert len(plan_of(root, "static")) == 2
    for name in ("one", "two"):
        assert plan_of(root, "static", chips=(name,))["item_id"].tolist() == ["acquisition-00"]


def test_a_label_that_cannot_be_used_has_its_items_all_the_same(overlapping: TinyArchive, plan_of: Any) -> None:
    root = anonymous(overlapping, {"left": ["left"], "right": ["right"]})
    path = next(overlapping.labels.glob("*_left/stac.json"))
    item = json.loads(path.read_text())
    path.write_text(json.dumps({**item, "assets": {}}))
    assert set(plan_of(root, "static")["item_id"]) == {"acquisition-02", "acquisition-03"}


def with_outline(folder: Path, outline: shapely.Geometry, *, bbox_only: bool = False) -> None:
    path = folder / "stac.json"
    geometry = None if bbox_only else mapping(outline)
    path.write_text(json.dumps({**json.loads(path.read_text()), "geometry": geometry, "bbox": list(outline.bounds)}))


@pytest.fixture
def places(tmp_path: Path) -> TinyArchive:
    """A large and a small chip side by side, and two scenes that cover both: their ids begin as that of the large one."""
    archive = TinyArchive(tmp_path / "archive", size=64)
    archive.chip("amazon")
    archive.size = 16
    archive.chip("amazon_north", column=4)
    for month in (2, 9):
        with_outline(archive.item("amazon", f"2018-{month:02d}-11"), shapely.box(14.5, 45.8, 14.6, 45.9))
    return archive


@pytest.mark.parametrize("name", ["static", "geoparquet", "api"])
@pytest.mark.parametrize("lacks", ["nothing", "geometry"])
def test_a_scene_that_is_called_after_a_chip(name: str, lacks: str, places: TinyArchive, plan_of: Any) -> None:
    """Also where only the raster of the label says where that chip lies, which is left out."""
    root = places.write()
    for path in places.labels.glob("*/stac.json"):
        item = json.loads(path.read_text())
        path.write_text(json.dumps(item if lacks == "nothing" else {**item, "bbox": [], "geometry": None}))
    both = plan_of(root, name)
    assert both.groupby("chip_id").size().to_dict() == {"amazon": 2, "amazon_north": 2}
    for chip in ("amazon", "amazon_north"):
        pd.testing.assert_frame_equal(plan_of(root, name, chips=(chip,)), both[both["chip_id"] == chip].reset_index(drop=True))


def test_a_scene_of_an_archive_far_away_that_is_called_after_a_chip(places: TinyArchive, make_run: Any) -> None:
    with serving_files(places.write()) as url:
        plan = plan_only(make_run(url, n_periods=2, catalog=Static(), chips=("amazon_north",)))[0].plan.table
    assert len(plan) == 2


@pytest.mark.parametrize("name", ["static", "geoparquet", "api"])
@pytest.mark.parametrize("sides", [0.5, 0.98, 1.2, 1.9])
@pytest.mark.parametrize("bbox_only", [False, True])
def test_what_was_cut_for_a_chip_need_not_have_its_very_outline(
    name: str, sides: float, bbox_only: bool, overlapping: TinyArchive, plan_of: Any
) -> None:
    """Coordinates are rounded, coarse pixels reach over the edge, an acquisition may end within the chip."""
    root = overlapping.write()
    for folder in (root / COLLECTION).glob("*_left_*"):
        outline = shape(json.loads((folder / "stac.json").read_text())["geometry"])
        with_outline(folder, scale(outline, sides, sides), bbox_only=bbox_only)
    alone = plan_of(root, name, chips=("right",))
    assert alone["item_id"].str.contains("_right_").all()
    both = plan_of(root, name)
    pd.testing.assert_frame_equal(alone, both[both["chip_id"] == "right"].reset_index(drop=True))


squares = st.builds(lambda x, y, side: shapely.box(x, y, x + side, y + side), st.integers(0, 6), st.integers(0, 6), st.integers(1, 6))


@given(st.lists(squares, min_size=1, max_size=5), st.lists(st.tuples(st.integers(0, 5), squares), max_size=8))
def test_whose_an_item_is_does_not_depend_on_the_chips_of_a_run(outlines: list[shapely.Polygon], named: list[tuple[int, shapely.Polygon]]) -> None:
    """An item is one of every chip it covers, unless it lies at a chip that its id names and is no larger than four of it."""
    days = Interval(date(2018, 1, 1), date(2018, 12, 31))
    chips = [Chip(f"c{n}", f"c{n}", "", Grid("EPSG:4326", (1, 0, 0, 0, -1, 0), (1, 1)), days, place) for n, place in enumerate(outlines)]
    where = {chip.id: chip.footprint for chip in chips}
    query = Query("s", days, 0.3, frozenset(where), label_outlines=lambda ids: {name: where[name] for name in ids})
    items = pd.DataFrame(
        {
            "item_id": [f"s_c{chip}_{number}" for number, (chip, _) in enumerate(named)],
            "collection": "s",
            "datetime": pd.Timestamp("2018-03-01", tz="UTC"),
            "cloud_cover": 0.0,
            "item_href": "",
            "geometry": pd.Series([place for _, place in named], dtype=object),
        }
    )

    def found(some: Sequence[Chip]) -> set[tuple[str, str]]:
        table = match(some, items.assign(owner=owners_of(items, some, query, list)), query.min_coverage)
        return set(zip(table["chip_id"], table["item_id"], strict=True))

    def covers(chip: Chip, row: int) -> bool:
        number, place = named[row]
        own = where.get(f"c{number}")
        is_own = own is not None and place.intersection(own).area > 0 and place.area <= 4 * own.area
        return (not is_own or chip.id == f"c{number}") and round(place.intersection(chip.footprint).area / chip.footprint.area, 4) >= 0.3

    assert found(chips) == {(chip.id, items["item_id"][row]) for chip in chips for row in range(len(items)) if covers(chip, row)}
    assert found(chips) == set().union(*(found([chip]) for chip in chips))
