"""Runs from end to end on archives of a few pixels, whose values can be checked by eye."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lcnkit import Run, compose, open_dataset, prepare
from lcnkit.backend.serial import Serial
from lcnkit.catalog.static import Static
from lcnkit.errors import DataError, OutputError, PlanError, UnknownName
from lcnkit.exporter.npz import Npz
from lcnkit.exporter.pickle import Pickle
from lcnkit.model import Grid, Interval
from lcnkit.pipeline import Report, plan_only
from lcnkit.reader.auto import Auto
from lcnkit.settings import Dataset, LabelOptions, Source
from lcnkit.strategy.all import All
from lcnkit.strategy.min_cc import MinCC
from lcnkit.strategy.season_min_cc import SeasonMinCC
from lcnkit.testing.archives import TinyArchive, write_raster
from lcnkit.transform.raw import Raw
from lcnkit.transform.reflectance import Reflectance

CHIPS = ("A", "B", "C")
#: Month, cloud cover and B04 of each acquisition; of two periods the first has two, and its second is the clearer one.
ACQUISITIONS = ((2, 30.0, 1000), (4, 5.0, 1400), (9, 60.0, 1800))
COLUMNS = np.arange(16).reshape(4, 4)


@pytest.fixture
def archive(tmp_path) -> TinyArchive:
    """Three touching chips; pixel values are those of `ACQUISITIONS` plus 100 a chip plus the pixel's number."""
    archive = TinyArchive(tmp_path / "archive", size=4)
    for number, name in enumerate(CHIPS):
        archive.chip(name, classes=[[0, 1, 2, 3]] * 4)
        for month, cloud, value in ACQUISITIONS:
            archive.item(name, f"2018-{month:02d}-10", cloud, B04=value + 100 * number + COLUMNS, B08=4000)
    archive.write()
    return archive


def item_folder(archive: TinyArchive, chip: str, month: int) -> Path:
    (folder,) = archive.root.glob(f"*source*/*_{chip}_2018{month:02d}10")
    return folder


def make_run(archive: TinyArchive | Path, output: Path, **keys: Any) -> Run:
    root = archive.root if isinstance(archive, TinyArchive) else archive
    source = {name: keys.pop(name) for name in ("strategy", "transforms", "bands", "catalog", "reader") if name in keys}
    parts = {"catalog": Static(), "strategy": SeasonMinCC(), "reader": Auto(), "transforms": (Raw(),), "bands": ("B04",), **source}
    keys = {"n_periods": 2, "backend": Serial(), "exporter": Pickle(), **keys}
    return Run(dataset=Dataset(root=str(root)), sources=(Source(**parts),), output_dir=str(output), **keys)


@pytest.fixture
def go(archive, tmp_path):
    """Run with some keys changed; the report."""

    def go(output: str = "out", **keys: Any) -> Report:
        return prepare(make_run(keys.pop("root", archive), tmp_path / output, **keys))

    return go


def items_of(report: Report) -> dict[str, Any]:
    """Image by chip, as anybody would load them: with pickle."""
    return {image.attrs["chip_id"]: image for image, _ in pickle.loads((report.output / "items.pkl").read_bytes())}


def failures_of(report: Report) -> list[dict[str, str]]:
    with (report.output / "failures.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in without and not str(path.relative_to(folder)).startswith(".hydra")
    }


class TestPixels:
    def test_exactly_those_of_the_chosen_dates(self, go):
        report = go()
        assert (report.status, report.made, report.failures) == (0, 3, ())
        for number, (chip_id, image) in enumerate(items_of(report).items()):
            assert chip_id == CHIPS[number]
            assert image.dims == ("time", "band", "y", "x")
            assert image.dtype == "uint16"
            np.testing.assert_array_equal(image[0, 0], 1400 + 100 * number + COLUMNS)
            np.testing.assert_array_equal(image[1, 0], 1800 + 100 * number + COLUMNS)
            assert [str(day)[:10] for day in image.time.values] == ["2018-04-10", "2018-09-10"]
            assert image.cloud_cover.values.tolist() == [5.0, 60.0]
            assert not image.missing.any()

    def test_labels_beside_them(self, go):
        report = go(label=LabelOptions(ignore=(0,), remap={3: 9}))
        for _, label in pickle.loads((report.output / "items.pkl").read_bytes()):
            assert label.dtype == "int64"
            assert label.values.tolist() == [[255, 1, 2, 9]] * 4

    def test_by_compose(self, archive, tmp_path):
        overrides = ["dataset=landcovernet", f"dataset.root={archive.root}", "+strategy=season_min_cc", "n_periods=2", "bands=[B08,B04]"]
        report = prepare(compose([*overrides, "backend=serial", f"output_dir={tmp_path / 'out'}"]))
        image = items_of(report)["B"]
        assert image.band.values.tolist() == ["B08", "B04"]
        np.testing.assert_array_equal(image[0, 1], ((1500 + COLUMNS) / np.float32(4000)).astype("float32"))
        assert (image[:, 0] == 1).all()

    @pytest.mark.parametrize(
        ("strategy", "months"), [(MinCC(k=2), [2, 4]), (MinCC(k=1), [4]), (All(), [2, 4, 9]), (SeasonMinCC(max_cloud=20), [4, None])]
    )
    def test_other_strategies(self, go, strategy, months):
        image = items_of(go(strategy=strategy))["A"]
        shown = [None if missing else int(str(day)[5:7]) for day, missing in zip(image.time.values, image.missing.values, strict=True)]
        assert shown == months

    def test_chips_and_interval(self, go):
        report = go(chips=("C", "A"), interval=Interval(date(2018, 1, 1), date(2018, 3, 31)))
        assert list(items_of(report)) == ["A", "C"]
        assert items_of(report)["C"].values[0].max() == 1200 + 15
        table = pd.read_parquet(report.output / "selection.parquet")
        assert (table["reason"][table["period"] == 0] == "outside the interval").all()

    def test_open_dataset_gives_the_same(self, go):
        for exporter in (Pickle(), Npz()):
            report = go(exporter.__class__.__name__, exporter=exporter)
            samples = open_dataset(report.output)
            assert samples.chip_ids == CHIPS
            np.testing.assert_array_equal(samples["B"].image.values[0, 0], 1500 + COLUMNS)


class TestWhenEmpty:
    """Of six periods, the second is 2 March to 1 May and the fifth 1 September to 31 October: 1, 2 and 5 are there, 3, 4 and 6 are not."""

    keys = {"n_periods": 6}  # noqa: RUF012 - read only

    def test_pad(self, go):
        report = go(**self.keys, transforms=(Reflectance(scale=1, clip=None),))
        image = items_of(report)["A"]
        assert image.shape == (6, 1, 4, 4)
        assert image.missing.values.tolist() == [False, False, True, True, False, True]
        assert np.isnan(image.values[[2, 3, 5]]).all()
        assert image.period.values.tolist() == [1, 2, 3, 4, 5, 6]
        assert image.item_id.values[2] == ""

    def test_pad_without_floats_uses_nodata(self, go):
        assert (items_of(go(**self.keys))["A"].values[[2, 3, 5]] == 0).all()

    def test_drop(self, archive, go):
        archive.item("B", "2018-06-10", 1, B04=7)
        archive.item("B", "2018-08-10", 1, B04=8)
        archive.item("B", "2018-12-10", 1, B04=9)
        archive.write()
        report = go(**self.keys, when_empty="drop")
        assert (report.status, report.made, report.dropped, report.failures) == (0, 1, 2, ())
        assert list(items_of(report)) == ["B"]
        assert json.loads((report.output / "manifest.json").read_text())["counts"] == {"chips": 1, "failed": 0, "dropped": 2, "missing_frames": 0}

    def test_nearest(self, go):
        report = go(**self.keys, when_empty="nearest")
        image = items_of(report)["A"]
        assert image.values[:, 0, 0, 0].tolist() == [1000, 1400, 1400, 1800, 1800, 1800]
        assert image.period.values.tolist() == [1, 2, 3, 4, 5, 6]
        assert not image.missing.any()
        table = pd.read_parquet(report.output / "selection.parquet")
        assert (table["reason"].str.startswith("nearest in time: period 3 has no candidate, this is of period 2")).sum() == 3

    def test_error(self, go, tmp_path):
        with pytest.raises(PlanError, match=r"9 frames have no acquisition: A \(period 3\), A \(period 4\), A \(period 6\), B \(period 3\)"):
            go(**self.keys, when_empty="error")
        assert not (tmp_path / "out" / "items.pkl").exists()

    def test_too_few_for_a_strategy_without_periods(self, go):
        assert items_of(go(strategy=MinCC(k=4)))["A"].missing.values.tolist() == [False, False, False, True]
        assert go("dropped", strategy=MinCC(k=4), when_empty="drop").dropped == 3


class TestFailures:
    """A bad chip costs itself, and is recorded with its step and a reason."""

    def spoil_truncated(self, archive):
        path = item_folder(archive, "B", 4) / "B04.tif"
        path.write_bytes(path.read_bytes()[:150])
        return "read", "B04.tif"

    def spoil_missing_file(self, archive):
        (item_folder(archive, "B", 4) / "B04.tif").unlink()
        return "read", "B04.tif"

    def spoil_missing_band(self, archive):
        path = item_folder(archive, "B", 4) / "stac.json"
        document = json.loads(path.read_text())
        del document["assets"]["B04"]
        path.write_text(json.dumps(document))
        return "read", "has no asset 'B04'; it has B08"

    def spoil_label_without_crs(self, archive):
        folder = archive.labels / f"{archive.labels.name}_B"
        write_raster(folder / "labels.tif", np.ones((2, 4, 4), "uint16"), Grid("", archive.grids["B"].transform, (4, 4)))
        return "label", "has no CRS"

    def spoil_label_file(self, archive):
        (archive.labels / f"{archive.labels.name}_B" / "labels.tif").write_bytes(b"not a raster")
        return "label", "cannot read the label raster"

    def spoil_dangling_label(self, archive):
        shutil.rmtree(archive.labels / f"{archive.labels.name}_B")
        return "label", "dangles"

    def spoil_label_asset(self, archive):
        path = archive.labels / f"{archive.labels.name}_B" / "stac.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "assets": {}}))
        return "label", "has no asset 'labels'"

    def spoil_no_imagery(self, archive):
        for month, *_ in ACQUISITIONS:
            shutil.rmtree(item_folder(archive, "B", month))
        return "candidates", "no item of ref_landcovernet_xx_v1_source_sentinel_2 covers 50% of it"

    def spoil_band_without_crs(self, archive):
        write_raster(item_folder(archive, "B", 4) / "B04.tif", np.ones((4, 4), "uint16"), Grid("", archive.grids["B"].transform, (4, 4)))
        return "read", "has no CRS"

    @pytest.mark.parametrize(
        "spoil",
        [
            "truncated",
            "missing_file",
            "missing_band",
            "label_without_crs",
            "label_file",
            "dangling_label",
            "label_asset",
            "no_imagery",
            "band_without_crs",
        ],
    )
    def test_one_chip_of_three(self, archive, go, spoil):
        step, said = getattr(self, f"spoil_{spoil}")(archive)
        report = go()
        assert (report.status, report.made) == (3, 2)
        (failure,) = failures_of(report)
        assert (failure["chip_id"], failure["step"], failure["attempts"]) == ("B", step, "1")
        assert said in failure["message"]
        assert "\n" not in failure["message"]
        assert list(items_of(report)) == ["A", "C"]
        np.testing.assert_array_equal(items_of(report)["C"][0, 0], 1600 + COLUMNS)
        counts = json.loads((report.output / "manifest.json").read_text())["counts"]
        assert counts == {"chips": 2, "failed": 1, "dropped": 0, "missing_frames": 0}

    def test_a_dangling_source_item_costs_its_acquisition_only(self, archive, go, caplog):
        (item_folder(archive, "B", 4) / "stac.json").unlink()
        report = go()
        assert (report.status, report.made) == (0, 3)
        assert items_of(report)["B"].values[0, 0, 0, 0] == 1100, "February's, the other one of the period"
        assert "_B_20180410" in caplog.text

    def test_an_item_that_vanishes_after_the_plan(self, archive, go, tmp_path):
        plan_only(make_run(archive, tmp_path / "out"))
        (item_folder(archive, "B", 4) / "stac.json").unlink()
        (failure,) = failures_of(go())
        assert failure["step"] == "read"
        assert "is missing" in failure["message"]

    def test_ruled_out_by_the_strategy(self, archive, go):
        report = go(strategy=SeasonMinCC(max_cloud=1))
        assert (report.status, report.made) == (1, 0)
        assert [failure["step"] for failure in failures_of(report)] == ["selection"] * 3
        assert "none of its 3 candidates was chosen" in failures_of(report)[0]["message"]

    def test_all_chips_fail(self, archive, go):
        for name in CHIPS:
            for path in archive.root.glob(f"*source*/*_{name}_*/B04.tif"):
                path.write_bytes(b"")
        report = go()
        assert (report.status, report.made, len(report.failures)) == (1, 0, 3)
        assert not (report.output / "items.pkl").exists()
        assert not (report.output / "manifest.json").exists()

    def test_another_crs_is_warped(self, archive, go):
        """The same place in the neighbouring UTM zone, twice the resolution: every pixel of the chip is there."""
        from rasterio.warp import transform_bounds

        own = archive.grids["B"]
        left, bottom, right, top = transform_bounds(own.crs, "EPSG:32634", *own.bounds)
        grid = Grid("EPSG:32634", (5.0, 0.0, left - 50, 0.0, -5.0, top + 50), (round((top - bottom) / 5) + 20, round((right - left) / 5) + 20))
        write_raster(item_folder(archive, "B", 4) / "B04.tif", np.full(grid.shape, 77, "uint16"), grid)
        report = go()
        assert (report.status, report.made) == (0, 3)
        assert (items_of(report)["B"].values[0] == 77).all()

    def test_a_band_that_no_item_has(self, go):
        with pytest.raises(UnknownName, match=r"bands=B4.*has such an asset; they have B04, B08.*Did you mean 'B04'"):
            go(bands=("B04", "B4"))


class TestAgain:
    def test_a_second_run_changes_nothing(self, archive, go):
        report = go()
        before = files_of(report.output)
        again = go()
        assert (again.status, again.made, again.kept) == (0, 0, 3)
        assert files_of(report.output) == before

    def test_after_failures_only_what_is_missing_is_done(self, archive, go, tmp_path):
        path = item_folder(archive, "B", 4) / "B04.tif"
        whole = path.read_bytes()
        path.write_bytes(whole[:150])
        assert go().status == 3
        path.write_bytes(whole)
        for name in "AC":  # those are there already: nobody looks at them again
            shutil.move(item_folder(archive, name, 4) / "B04.tif", tmp_path / name)
        again = go()
        assert (again.status, again.made, again.kept) == (0, 1, 2)
        for name in "AC":
            shutil.move(tmp_path / name, item_folder(archive, name, 4) / "B04.tif")
        assert files_of(again.output) == files_of(go("undisturbed").output)
        assert "failures.csv" not in files_of(again.output)

    def test_an_interrupted_run_goes_on(self, archive, go, monkeypatch, tmp_path):
        from lcnkit.exporter.pickle import Pickle as Writer

        write, done = Writer.write, []

        def stop_at_the_second(self, sample, folder):
            if done:
                raise KeyboardInterrupt
            done.append(sample.chip_id)
            return write(self, sample, folder)

        with monkeypatch.context() as patch:
            patch.setattr(Writer, "write", stop_at_the_second)
            with pytest.raises(KeyboardInterrupt):
                go()
        assert not (tmp_path / "out" / "items.pkl").exists()
        again = go()
        assert (again.made, again.kept) == (2, 1)
        assert files_of(again.output) == files_of(go("undisturbed").output)

    def test_overwrite_makes_everything_anew(self, archive, go):
        first = go()
        assert go(n_periods=2).kept == 3
        with pytest.raises(OutputError, match="n_periods is 2 there and 1 now"):
            go(n_periods=1)
        again = go(n_periods=1, overwrite=True)
        assert (again.made, again.kept) == (3, 0)
        assert items_of(again)["A"].shape == (1, 1, 4, 4)
        assert files_of(first.output) == files_of(go("fresh", n_periods=1).output)

    def test_a_label_that_comes_back(self, archive, go, tmp_path):
        folder = archive.labels / f"{archive.labels.name}_B"
        shutil.move(folder, tmp_path / "label")
        assert go().status == 3
        shutil.move(tmp_path / "label", folder)
        again = go()
        assert (again.status, again.made, again.kept) == (0, 1, 2)
        assert files_of(again.output) == files_of(go("undisturbed").output)

    def test_all_labels_come_back(self, archive, go, tmp_path):
        """The plan of a run without a label that can be read is empty, and no mistake."""
        shutil.copytree(archive.labels, tmp_path / "aside")
        for path in archive.labels.glob("*/labels.tif"):
            path.unlink()
        report = go()
        assert (report.made, len(report.failures), report.status) == (0, 3, 1)
        shutil.rmtree(archive.labels)
        shutil.move(tmp_path / "aside", archive.labels)
        report = go()
        assert (report.made, report.failures, report.status) == (3, (), 0)


class TestPlan:
    def test_plan_of_an_earlier_run(self, archive, go):
        first = go()
        for month in (1, 7):  # clearer ones that the plan does not know
            for name in CHIPS:
                archive.item(name, f"2018-{month:02d}-10", 0, B04=1)
        archive.write()
        again = go("again", plan=str(first.output / "selection.parquet"))
        assert (again.output / "items.pkl").read_bytes() == (first.output / "items.pkl").read_bytes()
        assert (again.output / "selection.parquet").read_bytes() == (first.output / "selection.parquet").read_bytes()
        assert items_of(go("anew"))["A"].values.max() == 1

    def test_an_edited_plan(self, archive, go, tmp_path):
        table = pd.read_parquet(go().output / "selection.parquet")
        table["selected"] = (table["cloud_cover"] == 30) & (table["chip_id"] != "B")
        table[table["chip_id"] != "B"].to_parquet(tmp_path / "mine.parquet")
        again = go("again", plan=str(tmp_path / "mine.parquet"))
        assert (again.status, again.made) == (0, 2)
        image = items_of(again)["C"]
        assert image.values[0, 0, 0, 0] == 1200
        assert image.missing.values.tolist() == [False, True]

    def test_a_plan_of_another_archive(self, go, tmp_path):
        other = TinyArchive(tmp_path / "other", size=4)
        other.chip("Z")
        other.item("Z", "2018-01-01")
        other.write()
        first = prepare(make_run(other, tmp_path / "first"))
        with pytest.raises((PlanError, DataError)):
            go("again", plan=str(first.output / "selection.parquet"))

    def test_a_copy_of_the_archive_gives_the_same_bytes(self, archive, go, tmp_path):
        shutil.copytree(archive.root, tmp_path / "somewhere" / "else")
        first, copy = go(), go("copy", root=tmp_path / "somewhere" / "else")
        for name in ("items.pkl", "selection.parquet"):
            assert (first.output / name).read_bytes() == (copy.output / name).read_bytes()
        on_the_copy = go("planned", root=tmp_path / "somewhere" / "else", plan=str(first.output))
        assert (on_the_copy.output / "items.pkl").read_bytes() == (first.output / "items.pkl").read_bytes()

    @pytest.mark.parametrize("form", ["catalog.json", "relative", "home"])
    def test_root_in_other_forms_is_read_on_workers_too(self, archive, go, monkeypatch, form):
        monkeypatch.chdir(archive.root.parent)
        monkeypatch.setenv("HOME", str(archive.root.parent))
        root = {"catalog.json": archive.root / "catalog.json", "relative": Path("archive"), "home": Path("~/archive")}[form]
        assert go(root=root).status == 0


class TestManifest:
    def test_says_what_the_data_set_is(self, archive, go):
        report = go(n_periods=3, label=LabelOptions(ignore=(0,)))
        manifest = json.loads((report.output / "manifest.json").read_text())
        assert manifest["classes"] == [
            {"value": 0, "name": "No Data", "pixels": 0},
            {"value": 1, "name": "Water", "pixels": 12},
            {"value": 2, "name": "Woody", "pixels": 12},
            {"value": 3, "name": "Crops", "pixels": 12},
            {"value": 255, "name": None, "pixels": 12},
        ]
        assert manifest["interval"] == ["2018-01-01", "2018-12-31"]
        assert manifest["periods"] == [
            {"period": 1, "start": "2018-01-01T00:00:00Z", "end": "2018-05-02T16:00:00Z"},
            {"period": 2, "start": "2018-05-02T16:00:00Z", "end": "2018-09-01T08:00:00Z"},
            {"period": 3, "start": "2018-09-01T08:00:00Z", "end": "2019-01-01T00:00:00Z"},
        ]
        assert manifest["counts"] == {"chips": 3, "failed": 0, "dropped": 0, "missing_frames": 3}
        assert manifest["grids"] == [{"crs": "EPSG:32633", "resolution": 10.0, "shape": [4, 4], "chips": 3}]
        assert manifest["shapes"] == ["[3, 1, 4, 4]"]
        assert [sample["chip_id"] for sample in manifest["samples"]] == list(CHIPS)
        assert manifest["samples"][1]["facts"]["frames"] == {
            next(iter(manifest["sources"])): [
                {"period": 1, "time": "2018-04-10T10:00:00Z", "item_id": "ref_landcovernet_xx_v1_source_sentinel_2_B_20180410", "cloud_cover": 5.0},
                {"period": 2, "time": "2018-07-02T12:00:00Z", "item_id": None, "cloud_cover": None},
                {"period": 3, "time": "2018-09-10T10:00:00Z", "item_id": "ref_landcovernet_xx_v1_source_sentinel_2_B_20180910", "cloud_cover": 60.0},
            ]
        }
        assert manifest["config"]["strategy"] == {"name": "season_min_cc", "max_cloud": 100.0, "compat": "none"}
        assert "output_dir" not in json.dumps(manifest["config"])

    def test_checksums_are_those_of_the_bytes(self, go):
        import xxhash

        report = go()
        manifest = json.loads((report.output / "manifest.json").read_text())
        data = (report.output / "items.pkl").read_bytes()
        lines = ""
        for sample in manifest["samples"]:
            part = data[sample["offset"] : sample["offset"] + sample["size"]]
            assert sample["checksum"] == f"xxh3_128:{xxhash.xxh3_128_hexdigest(part)}"
            lines += f"{sample['chip_id']} {sample['checksum']}\n"
        assert manifest["checksum"] == f"xxh3_128:{xxhash.xxh3_128_hexdigest(lines.encode())}"

    def test_the_plan_covers_every_candidate_with_a_reason(self, go):
        table = pd.read_parquet(go().output / "selection.parquet")
        assert len(table) == 9
        assert (table["reason"] != "").all()
        assert (table["coverage"] == 1).all()
        assert table["item_href"].str.startswith("ref_landcovernet_xx_v1_source_sentinel_2/").all()


def test_the_catalog_may_lie_elsewhere(archive, tmp_path):
    """Labels in one folder, imagery in another: `catalog.root`."""
    labels = tmp_path / "labels"
    shutil.copytree(archive.labels, labels / archive.labels.name)
    run = make_run(labels, tmp_path / "out", catalog=Static(root=str(archive.root)))
    assert prepare(run).status == 0
    with pytest.raises(DataError, match="holds no source collection"):
        prepare(replace(make_run(labels, tmp_path / "out2")))
