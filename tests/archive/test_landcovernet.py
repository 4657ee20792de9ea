"""The host layout of LandCoverNet: folders instead of STAC."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from lcnkit.archive import Archive, load_item
from lcnkit.catalog.static import Static
from lcnkit.contracts import Query
from lcnkit.errors import DataError
from lcnkit.labels import read_labels
from lcnkit.model import Item
from lcnkit.pipeline import plan_only, prepare
from lcnkit.settings import Dataset

S2 = "ref_landcovernet_v1_source_sentinel_2"


def folder_of_chip(host: Path, name: str = "28QDE_00") -> Path:
    return host / "data" / "v1.0" / "2018" / name.replace("_", "/")


def assert_same_pixels(ours, theirs) -> None:
    for one, other in zip(ours, theirs, strict=True):
        for mine, yours in zip(one, other, strict=True):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(yours))


def plan_of(run) -> pd.DataFrame:
    return plan_only(run)[0].plan.table


class TestCollections:
    @pytest.mark.parametrize("below", ["", "data", "data/v1.0", "data/v1.0/2018"])
    def test_root_at_any_level(self, host, below):
        root = host / below
        archive = Archive.open(str(root))
        assert archive.root == str(root)
        assert [collection.id for collection in archive.collections] == [
            "ref_landcovernet_v1_labels",
            S2,
            "ref_landcovernet_v1_source_sentinel_1",
        ]
        assert [item.id for _, item in archive.labels().items()] == [
            f"ref_landcovernet_v1_labels_{name}" for name in ("28QDE_00", "28QDE_11", "33TVL_02")
        ]
        assert len(archive.source().item_paths) == 12

    def test_regions_side_by_side(self, host, tmp_path):
        """As the bucket has them: landcovernet_af/data/v1.0/..., landcovernet_eu/data/v1.0/..., and files beside them."""
        root = tmp_path / "landcovernet"
        shutil.move(host / "data", root / "landcovernet_af" / "data")
        shutil.move(root / "landcovernet_af/data/v1.0/2018/33TVL", root / "landcovernet_eu/data/v1.0/2018/33TVL")
        (root / "README.md").write_text("read me")
        (root / "landcovernet_na").mkdir()
        archive = Archive.open(str(root))
        assert [collection.id.removeprefix("ref_landcovernet_v1_") for collection in archive.collections] == [
            "labels",
            "source_sentinel_2",
            "source_sentinel_1",
        ]
        labels = read_labels(str(root), Dataset(), None, None)
        assert [chip.id for chip in labels.chips] == ["28QDE_00", "28QDE_11", "33TVL_02"]
        found = Static(root=str(root)).search(labels.chips, Query(S2, labels.interval, 0.5, labels.all_ids))
        assert len(found) == 12
        assert set(found["item_href"].str.split("/").str[0]) == {"landcovernet_af", "landcovernet_eu"}
        assert len(Archive.open(str(root / "landcovernet_eu")).source().item_paths) == 4

    def test_regions_of_several_years(self, host, tmp_path):
        root = tmp_path / "landcovernet"
        shutil.copytree(host / "data", root / "landcovernet_af" / "data")
        shutil.copytree(host / "data/v1.0/2018", root / "landcovernet_as/data/v1.0/2019")
        with pytest.raises(DataError, match=r"holds regions of several years: 2018, 2019\. Choose a region with dataset.root=.*/landcovernet_af"):
            Archive.open(str(root))

    def test_root_is_a_tile(self, host):
        archive = Archive.open(str(host / "data/v1.0/2018/28QDE"))
        assert len(archive.labels().item_paths) == 2
        assert len(archive.source("sentinel_1").item_paths) == 2

    def test_a_tile_alone_tells_its_year_by_its_files(self, host, tmp_path):
        shutil.copytree(host / "data/v1.0/2018/28QDE", tmp_path / "part" / "28QDE")
        for root in (tmp_path / "part", tmp_path / "part" / "28QDE"):
            assert str(read_labels(str(root), Dataset(), None, None).interval) == "2018-01-01 to 2018-12-31"

    def test_several_years(self, host):
        shutil.copytree(host / "data/v1.0/2018", host / "data/v1.0/2019")
        with pytest.raises(DataError, match=r"several years: 2018, 2019. Choose one with dataset.root=.*/2018"):
            Archive.open(str(host))
        assert len(Archive.open(str(host / "data/v1.0/2018")).labels().item_paths) == 3

    def test_no_label_at_all(self, host):
        for raster in host.rglob("*_LC_10m.tif"):
            raster.unlink()
        with pytest.raises(DataError, match="no TILE_CHIP_YEAR_LC_10m.tif beside the folders S2, S1, L8"):
            read_labels(str(host), Dataset(), None, None)
        assert Archive.open(str(host)).source().id == S2

    def test_sensors_that_are_not_there_are_no_collections(self, host):
        with pytest.raises(DataError, match="No source collection is called 'landsat_8'"):
            Archive.open(str(host)).source("landsat_8")

    def test_empty_folders_are_no_layout(self, tmp_path):
        (tmp_path / "2018" / "28QDE").mkdir(parents=True)
        with pytest.raises(DataError, match="no folders YEAR/TILE/CHIP"):
            Archive.open(str(tmp_path))


class TestItems:
    def test_item_says_what_names_say(self, host):
        path, item = next(Archive.open(str(host)).source().items())
        assert path == str(folder_of_chip(host) / "S2" / "28QDE_00_20180110")
        assert isinstance(item, Item)
        assert (item.id, item.properties) == (f"{S2}_28QDE_00_20180110", {"datetime": "2018-01-10T00:00:00Z"})
        assert sorted(item.assets) == ["B04", "B08", "CLD"]
        assert Path(item.asset("B04").href) == Path(path) / "28QDE_00_20180110_B04_10m.tif"
        assert item.to_pystac().bbox == pytest.approx(list(read_labels(str(host), Dataset(), None, None).chips[0].footprint.bounds))

    def test_one_raster_is_opened_per_chip(self, host, monkeypatch):
        opened = []
        monkeypatch.setattr(rasterio, "open", lambda path, real=rasterio.open: opened.append(path) or real(path))
        assert len(list(Archive.open(str(host)).source().items())) == 12
        assert [Path(path).name for path in opened] == [f"{name}_2018_LC_10m.tif" for name in ("28QDE_00", "28QDE_11", "33TVL_02")]

    def test_without_a_label_the_first_raster_says_where(self, host):
        (label,) = folder_of_chip(host).glob("*_LC_10m.tif")
        _, before = next(Archive.open(str(host)).source().items())
        label.unlink()
        _, after = next(Archive.open(str(host)).source().items())
        assert before.document == after.document

    def test_what_is_no_acquisition_is_named_and_left_out(self, host, caplog):
        sensor = folder_of_chip(host) / "S2"
        (sensor / "28QDE_00_20181399").mkdir()
        (sensor / "28QDE_00_20180601").mkdir()
        (sensor / "thumbnails").mkdir()
        labels = read_labels(str(host), Dataset(), None, None)
        found = Static(root=str(host)).search(labels.chips, Query(S2, labels.interval, 0.5, labels.all_ids))
        assert len(found) == 12
        assert "3 items of ref_landcovernet_v1_source_sentinel_2 cannot be used" in caplog.text
        problems = [item for _, item in Archive.open(str(host)).source().items() if isinstance(item, str)]
        assert [word in problem for word, problem in zip(("holds no raster", "is no date", "thumbnails is no"), problems, strict=True)] == [True] * 3

    def test_vanished(self, host):
        assert "is missing" in load_item(str(folder_of_chip(host) / "S2" / "28QDE_00_20180111"))

    def test_only_wanted_chips_are_looked_at(self, host):
        source = Archive.open(str(host)).source()
        known = {"28QDE_00", "28QDE_11", "33TVL_02"}
        assert {Path(path).parts[-3] for path in source.about({"28QDE_11"}, known).item_paths} == {"11"}
        assert len(source.about({"other"}, {"other"}).item_paths) == 12, "chips of another label collection are matched by their place"


class TestRuns:
    def test_plan_and_pixels_are_those_of_the_stac_archive(self, host, stac, make_run, samples, tmp_path):
        keys = {"bands": ("B04", "B08"), "n_periods": 2}
        runs = [make_run(root, output_dir=str(tmp_path / name), **keys) for root, name in ((stac, "of_stac"), (host, "of_host"))]
        assert [prepare(run).status for run in runs] == [0, 0]
        plans = [pd.read_parquet(Path(run.output_dir) / "selection.parquet").drop(columns="item_href") for run in runs]
        stac_plan = plans[0].assign(item_id=plans[0]["item_id"].str.removesuffix("000000"))
        pd.testing.assert_frame_equal(stac_plan, plans[1])
        ours, theirs = (samples(Path(run.output_dir)) for run in runs)
        assert len(ours) == 3
        assert_same_pixels(ours, theirs)

    def test_hrefs_in_the_plan_fit_a_copy(self, host, make_run):
        assert plan_of(make_run(host))["item_href"].iloc[0] == "data/v1.0/2018/28QDE/00/S2/28QDE_00_20180110"

    def test_real_acquisition(self, shared_data, tmp_path, make_run):
        """As published, with a label on the grid of its B04."""
        root = shutil.copytree(shared_data / "landcovernet_as", tmp_path / "as")
        (chip,) = root.glob("data/v1.0/2018/*/*")
        with rasterio.open(next(chip.glob("S2/*/*_B04_10m.tif"))) as dataset:
            profile, stored = {**dataset.profile, "count": 2}, dataset.read(1)
        with rasterio.open(chip / "52UEA_08_2018_LC_10m.tif", "w", **profile) as dataset:
            dataset.write(np.stack([np.full_like(stored, 5), np.full_like(stored, 100)]))
        run = make_run(root, bands=("B04", "B8A"), n_periods=2)
        report = prepare(run)
        assert (report.status, report.shapes) == (0, ((2, 2, 256, 256),))
        table = pd.read_parquet(Path(run.output_dir) / "selection.parquet")
        assert table["item_id"].tolist() == [f"{S2}_52UEA_08_20180720"]
        with rasterio.open(next(chip.glob("S2/*/*_CLD_10m.tif"))) as dataset:
            assert table["cloud_cover"].tolist() == pytest.approx([dataset.read(1, masked=True).mean()])

    def test_real_acquisition_alone_has_no_label(self, shared_data):
        with pytest.raises(DataError, match="holds imagery of LandCoverNet, but no label"):
            read_labels(str(shared_data / "landcovernet_as"), Dataset(), None, None)
