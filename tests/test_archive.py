"""Archives as they are found on disks: damaged, nested, renamed."""

from __future__ import annotations

import json
import os
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from lcnkit.archive import Archive, folder_of, load_item
from lcnkit.catalog.static import Static
from lcnkit.contracts import Query
from lcnkit.errors import ConfigError, DataError, UnreadableAsset
from lcnkit.labels import read_labels
from lcnkit.model import Grid, Interval, Item
from lcnkit.settings import Dataset
from lcnkit.testing.archives import TinyArchive, write_raster

LABELS, SOURCE = "ref_landcovernet_xx_v1_labels", "ref_landcovernet_xx_v1_source_sentinel_2"


def make(root: Path, *sources: str, catalog: bool = True, **keys) -> Path:
    """Two chips with two acquisitions each, of every source."""
    archive = TinyArchive(root, size=4, **keys)
    for name in ("28QDE_00", "28QDE_01"):
        archive.chip(name)
        for source in sources or (archive.source,):
            archive.item(name, "2018-03-01", collection=source)
            archive.item(name, "2018-09-01", collection=source)
    return archive.write(catalog=catalog)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "archive")


def edit(path: Path, **changes) -> dict:
    document = json.loads(path.read_text())
    document.update(changes)
    path.write_text(json.dumps(document))
    return document


def search(root, source: str | None = None):
    """What a run does first: labels, source collection, candidates."""
    labels = read_labels(str(root), Dataset(), None, None)
    catalog = Static(root=str(root))
    found = catalog.search(labels.chips, Query(catalog.find_collection(source), labels.interval, 0.5, labels.all_ids))
    return catalog, found


def assert_complete(root) -> None:
    catalog, found = search(root)
    assert found["chip_id"].tolist() == ["28QDE_00"] * 2 + ["28QDE_01"] * 2
    assert [item.id for item in catalog.items(found["item_href"])] == found["item_id"].tolist()


class TestLayouts:
    def test_catalog_json(self, root):
        archive = Archive.open(str(root))
        assert [collection.id for collection in archive.collections] == [LABELS, SOURCE]
        assert (archive.root, archive.labels().id, archive.source().id) == (str(root), LABELS, SOURCE)
        assert_complete(root)

    def test_folder_without_a_catalog(self, tmp_path):
        assert_complete(make(tmp_path / "archive", catalog=False))

    def test_catalog_of_catalogs(self, root):
        catalog = root / "catalog.json"
        inner = {"type": "Catalog", "id": "inner", "links": [{"rel": "child", "href": f"../{name}/collection.json"} for name in (LABELS, SOURCE)]}
        (root / "inner").mkdir()
        (root / "inner" / "catalog.json").write_text(json.dumps(inner))
        edit(catalog, links=[{"rel": "child", "href": "./inner/catalog.json"}, {"rel": "self", "href": "./catalog.json"}])
        assert_complete(root)

    def test_catalog_that_links_to_itself(self, root):
        edit(root / "catalog.json", links=[{"rel": "child", "href": "./catalog.json"}, {"rel": "child", "href": "catalog.json"}])
        assert_complete(root)

    @pytest.mark.parametrize("links", [None, 3, [None, "x", {"rel": "child"}, {"href": "./a.json"}]])
    def test_links_that_are_damaged_themselves(self, root, links):
        edit(root / "catalog.json", links=links)
        assert_complete(root)

    @pytest.mark.parametrize("catalog", [True, False])
    def test_collection_folder_nested_twice(self, tmp_path, catalog):
        """With a catalog, its link to the collection dangles."""
        root = make(tmp_path / "archive", catalog=catalog)
        for name in (LABELS, SOURCE):
            (root / name).rename(root / "moved")
            (root / name).mkdir()
            (root / "moved").rename(root / name / name)
        assert_complete(root)

    def test_nested_copy_of_a_collection_whose_items_are_only_there(self, root):
        """An archive that was unpacked into its own folder: collection.json twice, the items in one place."""
        nested = root / SOURCE / SOURCE
        shutil.copytree(root / SOURCE, root / "copy")
        shutil.move(root / "copy", nested)
        for folder in (root / SOURCE).iterdir():
            if folder.is_dir() and folder != nested:
                shutil.rmtree(folder)
        assert Archive.open(str(root)).source().path == str(nested / "collection.json")
        assert_complete(root)

    def test_damaged_catalog_json_is_no_reason_to_stop(self, root):
        (root / "catalog.json").write_text("{")
        assert_complete(root)

    def test_root_is_one_folder_up(self, root):
        assert_complete(root.parent)

    def test_collection_without_item_links_is_scanned(self, root):
        for name in (LABELS, SOURCE):
            edit(root / name / "collection.json", links=[])
        assert_complete(root)

    @pytest.mark.parametrize("rename", ["{}.json", "item.json"])
    def test_scan_finds_items_by_other_names(self, root, rename):
        edit(root / SOURCE / "collection.json", links=[])
        for folder in (root / SOURCE).iterdir():
            if folder.is_dir():
                (folder / "stac.json").rename(folder / rename.format(folder.name))
        assert_complete(root)

    def test_item_linked_twice_counts_once(self, root):
        document = json.loads((root / SOURCE / "collection.json").read_text())
        edit(root / SOURCE / "collection.json", links=document["links"] * 2)
        labels = json.loads((root / LABELS / "collection.json").read_text())
        edit(root / LABELS / "collection.json", links=labels["links"] * 2)
        assert_complete(root)

    @pytest.mark.parametrize("scheme", ["", "file://"])
    def test_absolute_hrefs(self, root, scheme):
        for home in (root / LABELS, root / SOURCE):
            document = json.loads((home / "collection.json").read_text())
            links = [{**link, "href": f"{scheme}{home / link['href']}"} for link in document["links"]]
            edit(home / "collection.json", links=links)
            for item in home.glob("*/stac.json"):
                assets = json.loads(item.read_text())["assets"]
                edit(item, assets={key: {**asset, "href": f"{scheme}{item.parent / asset['href']}"} for key, asset in assets.items()})
        edit(root / "catalog.json", links=[{"rel": "child", "href": f"{scheme}{root / name / 'collection.json'}"} for name in (LABELS, SOURCE)])
        assert_complete(root)
        catalog, found = search(root)
        assert not any(os.path.isabs(href) for href in found["item_href"]), "a plan must fit a copy of the archive"
        (item,) = catalog.items(found["item_href"][:1])
        assert Path(item.asset("B04").href).exists()


class TestRoot:
    def test_path_of_the_catalog_itself(self, root):
        assert folder_of(str(root / "catalog.json")) == str(root)
        assert_complete(root / "catalog.json")

    def test_relative(self, root, monkeypatch):
        monkeypatch.chdir(root.parent)
        assert_complete("archive")
        assert_complete("archive/catalog.json")

    def test_home(self, root, monkeypatch):
        monkeypatch.setenv("HOME", str(root.parent))
        assert_complete("~/archive")

    def test_trailing_slash_and_dots(self, root):
        assert_complete(f"{root}/")
        assert_complete(f"{root}/../archive/.")

    @pytest.mark.parametrize(
        ("make_root", "wrong"),
        [
            (lambda path: path / "absent", "does not exist"),
            (lambda path: path / "file.tif", "is a file, and no STAC catalog"),
            (lambda path: path / "empty", "holds no STAC collection"),
            (lambda path: "~nobody-of-this-name/archive", "does not exist"),
        ],
    )
    def test_what_cannot_be_a_root(self, tmp_path, make_root, wrong):
        (tmp_path / "file.tif").write_bytes(b"II*\0")
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=wrong) as error:
            Archive.open(str(make_root(tmp_path)))
        assert "dataset.root=PATH" in str(error.value)

    def test_unreadable(self, root, monkeypatch):
        def refuse(folder):
            raise PermissionError(13, "Permission denied", str(folder))

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(DataError, match=r"cannot be read: Permission denied.*dataset\.root"):
            Archive.open(str(root))


class TestWhichCollection:
    def test_names_of_the_first_release(self, tmp_path):
        root = make(tmp_path / "archive", prefix="ref_landcovernet_v1", source="source")
        archive = Archive.open(str(root))
        assert (archive.labels().id, archive.source().id) == ("ref_landcovernet_v1_labels", "ref_landcovernet_v1_source")
        assert_complete(root)

    def test_of_several_sources_sentinel_2_is_the_default(self, tmp_path):
        root = make(tmp_path / "archive", "source_landsat_8", "source_sentinel_1", "source_sentinel_2")
        archive = Archive.open(str(root))
        assert archive.source().id == SOURCE
        assert archive.source("landsat_8").id == "ref_landcovernet_xx_v1_source_landsat_8"
        assert archive.source("ref_landcovernet_xx_v1_source_sentinel_1").id == "ref_landcovernet_xx_v1_source_sentinel_1"

    def test_an_unknown_source_is_answered_with_what_is_near(self, tmp_path):
        root = make(tmp_path / "archive", "source_landsat_8", "source_sentinel_2")
        with pytest.raises(DataError, match=r"No source collection is called 'sentinel_3'.*Did you mean 'sentinel_2'.*dataset\.source=ID") as error:
            Archive.open(str(root)).source("sentinel_3")
        assert "ref_landcovernet_xx_v1_source_landsat_8" in str(error.value)

    def test_several_sources_without_a_default(self, tmp_path):
        root = make(tmp_path / "archive", "source_landsat_8", "source_sentinel_1")
        with pytest.raises(DataError, match=r"several source collections: .*landsat_8, .*sentinel_1. Choose with dataset\.source=ID"):
            Archive.open(str(root)).source()

    def test_several_label_collections(self, root):
        shutil.copytree(root / LABELS, root / "other_labels")
        edit(root / "other_labels" / "collection.json", id="other_labels")
        archive = Archive.open(str(root))
        with pytest.raises(DataError, match=rf"several label collections: {LABELS}, other_labels. Choose with dataset\.labels=ID"):
            archive.labels()
        assert archive.labels("other_labels").id == "other_labels"

    def test_labels_alone_have_no_source(self, root):
        shutil.rmtree(root / SOURCE)
        with pytest.raises(DataError, match=rf"holds no source collection; .* holds the collections {LABELS}"):
            Archive.open(str(root)).source()

    def test_labels_known_by_their_items(self, root):
        """Neither id says what the collection holds; items of a label collection have `label:` properties."""
        edit(root / LABELS / "collection.json", id="chips")
        edit(root / SOURCE / "collection.json", id="images")
        archive = Archive.open(str(root))
        assert (archive.labels().id, archive.source().id) == ("chips", "images")

    def test_a_collection_that_is_named_is_taken_at_its_word(self, root):
        edit(root / LABELS / "collection.json", id="ground_truth_source")
        assert Archive.open(str(root)).labels("ground_truth_source").id == "ground_truth_source"

    def test_collection_without_an_id_goes_by_its_folder(self, root):
        edit(root / SOURCE / "collection.json", id=None)
        assert Archive.open(str(root)).source().id == SOURCE


class TestItems:
    @pytest.mark.parametrize(
        ("text", "wrong"),
        [("{", "is no JSON"), ("[]", "no STAC item"), ('{"type": "Feature"}', "no STAC item"), ('{"type": "Collection", "id": "a"}', "no STAC item")],
    )
    def test_damaged_item(self, tmp_path, text, wrong):
        path = tmp_path / "item.json"
        path.write_text(text)
        assert wrong in load_item(str(path))

    def test_missing_item_and_folder_in_its_place(self, tmp_path):
        assert "dangles" in load_item(str(tmp_path / "absent.json"))
        assert "cannot be read" in load_item(str(tmp_path))

    def test_item_that_vanished_since_the_plan(self, root):
        catalog, found = search(root)
        (root / found["item_href"][0]).unlink()
        with pytest.raises(UnreadableAsset, match=r"is missing.*plan anew with overwrite=true"):
            catalog.items(found["item_href"])

    def test_dangling_source_items_are_left_out_and_named(self, root, caplog):
        (missing,) = (root / SOURCE).glob("*28QDE_00_20180301/stac.json")
        missing.unlink()
        _, found = search(root)
        assert len(found) == 3
        assert f"1 item of {SOURCE} cannot be used and is left out: {missing} is missing" in caplog.text


class TestLabels:
    def test_damaged_labels_are_failures_and_the_rest_goes_on(self, root):
        (root / LABELS / f"{LABELS}_28QDE_00" / "stac.json").unlink()
        labels = read_labels(str(root), Dataset(), None, None)
        assert [chip.id for chip in labels.chips] == ["28QDE_01"]
        (failure,) = labels.failures
        assert (failure.chip_id, failure.step, failure.error) == ("28QDE_00", "label", "BadLabel")
        assert "dangles" in failure.message
        assert labels.all_ids == {"28QDE_00", "28QDE_01"}

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            (None, ["28QDE_00", "28QDE_01"]),
            (1, ["28QDE_00"]),
            (9, ["28QDE_00", "28QDE_01"]),
            (("28QDE_01",), ["28QDE_01"]),
            (("28QDE_01", "28QDE_00"), ["28QDE_00", "28QDE_01"]),
            ((f"{LABELS}_28QDE_01",), ["28QDE_01"]),
            (("*_01",), ["28QDE_01"]),
            (("28QDE_*", "28QDE_01"), ["28QDE_00", "28QDE_01"]),
            (("28QDE_0[1-9]",), ["28QDE_01"]),
        ],
    )
    def test_wanted_chips_in_the_order_of_the_collection(self, root, wanted, found):
        assert [chip.id for chip in read_labels(str(root), Dataset(), wanted, None).chips] == found

    @pytest.mark.parametrize("wanted", ["28QDE_02", "29*", ""])
    def test_a_chip_that_does_not_exist(self, root, wanted):
        with pytest.raises(ConfigError, match=r"fits no chip; there is 28QDE_00, 28QDE_01"):
            read_labels(str(root), Dataset(), (wanted,), None)

    @pytest.mark.parametrize("temporal", [{}, {"interval": []}, {"interval": [["2018-01-01T00:00:00Z", None]]}, None])
    def test_collection_without_a_closed_interval(self, root, temporal):
        edit(root / LABELS / "collection.json", extent={"temporal": temporal})
        with pytest.raises(DataError, match=r"no closed temporal extent.*interval=\[2018-01-01,2018-12-31\]"):
            read_labels(str(root), Dataset(), None, None)

    @pytest.mark.parametrize(("first", "last"), [("2018-01-01", "9999-12-31"), ("1600-01-01", "2018-12-31"), ("2018-12-31", "2018-01-01")])
    def test_collection_with_an_interval_that_cannot_be_meant(self, root, first, last):
        edit(root / LABELS / "collection.json", extent={"temporal": {"interval": [[f"{first}T00:00:00Z", f"{last}T00:00:00Z"]]}})
        with pytest.raises(DataError, match=rf"The temporal extent of the label collection '{LABELS}' \(.*\) cannot be used\. The interval .*{last}"):
            read_labels(str(root), Dataset(), None, None)
        assert len(read_labels(str(root), Dataset(), None, Interval(date(2018, 1, 1), date(2018, 12, 31))).chips) == 2

    def test_two_labels_of_one_id(self, root):
        """A sample is known by its chip's id: the second of the same name is refused, and not mixed up with the first."""
        home = root / LABELS
        shutil.copytree(home / f"{LABELS}_28QDE_00", home / "copy")
        edit(
            home / "collection.json", links=[*json.loads((home / "collection.json").read_text())["links"], {"rel": "item", "href": "copy/stac.json"}]
        )
        labels = read_labels(str(root), Dataset(), None, None)
        assert [chip.id for chip in labels.chips] == ["28QDE_00", "28QDE_01"]
        (failure,) = labels.failures
        assert "copy/stac.json has the id of" in failure.message

    def test_label_without_geometry_lies_where_its_raster_does(self, root):
        path = root / LABELS / f"{LABELS}_28QDE_00" / "stac.json"
        bbox = json.loads(path.read_text())["bbox"]
        edit(path, geometry=None, bbox=None)
        chip, _ = read_labels(str(root), Dataset(), None, None).chips
        assert chip.footprint.bounds == pytest.approx(bbox, abs=1e-6)

    @pytest.mark.parametrize("crs", ["EPSG:999999", 'LOCAL_CS["somewhere",UNIT["metre",1]]'])
    def test_label_whose_crs_is_nowhere_on_earth(self, root, crs):
        path = root / LABELS / f"{LABELS}_28QDE_00" / "stac.json"
        properties = {"proj:code": crs, "proj:transform": [10, 0, 0, 0, -10, 0], "proj:shape": [4, 4]}
        if not crs.startswith("EPSG"):
            write_raster(path.parent / "labels.tif", np.ones((2, 4, 4), "uint16"), Grid(crs, (10, 0, 0, 0, -10, 0), (4, 4)))
        edit(path, geometry=None, bbox=None, properties=properties)
        labels = read_labels(str(root), Dataset(), None, None)
        assert [chip.id for chip in labels.chips] == ["28QDE_01"]
        assert labels.failures[0].step == "label"
        assert "28QDE_00" in labels.failures[0].message

    def test_interval_is_that_of_whole_days(self, root):
        labels = read_labels(str(root), Dataset(), None, None)
        assert str(labels.interval) == "2018-01-01 to 2018-12-31"
        assert (labels.interval.end - labels.interval.start).astype("timedelta64[D]").astype(int) == 365

    def test_items_keep_their_json(self, root):
        (item,) = Static(root=str(root)).items([f"{SOURCE}/{SOURCE}_28QDE_00_20180301/stac.json"])
        assert isinstance(item, Item)
        assert item.properties["datetime"] == "2018-03-01T10:00:00Z"
