"""What a data set says of itself."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from tiny import CHIPS, make_run

from lcnkit import open_dataset, prepare
from lcnkit.settings import LabelOptions


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
        assert manifest["counts"] == {"chips": 3, "failed": 0, "dropped": 0, "missing_frames": 3, "empty_frames": 0}
        assert [sample["facts"]["valid"] for sample in manifest["samples"]] == [{"ref_landcovernet_xx_v1_source_sentinel_2": [1.0, 0.0, 1.0]}] * 3
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

    def test_classes_are_named_as_the_samples_have_them(self, go):
        """Not as they are stored: Water and Crops change places, and Woody is one with No Data."""
        report = go(label=LabelOptions(remap={1: 3, 3: 1, 2: 0}))
        assert json.loads((report.output / "manifest.json").read_text())["classes"] == [
            {"value": 0, "name": "No Data, Woody", "pixels": 24},
            {"value": 1, "name": "Crops", "pixels": 12},
            {"value": 3, "name": "Water", "pixels": 12},
        ]
        label = open_dataset(report.output)["A"].label
        assert label.attrs["class_names"] == {"0": "No Data, Woody", "1": "Crops", "3": "Water"}

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


class TestHints:
    """What is said once, at the end, of classes that may be meant otherwise."""

    def test_no_data_that_is_trained(self, go):
        (hint,) = go().hints
        assert hint.startswith("class 0, 'No Data', is 25.0% of the label pixels; label.ignore=[0] makes it 255")
        assert go("ignored", label=LabelOptions(ignore=(0,))).hints == ()
        (hint,) = go("renumbered", label=LabelOptions(remap={0: 9})).hints
        assert hint.startswith("class 9, 'No Data', is 25.0% of the label pixels; label.ignore=[0] makes it 255")

    def test_a_class_that_ignored_pixels_share_their_number_with(self, go):
        (hint,) = go(label=LabelOptions(ignore=(0,), ignore_index=3)).hints
        assert hint.startswith("class 3, 'Crops', has the number of ignored pixels")
        assert hint.endswith("label.ignore_index=-1")

    @pytest.mark.parametrize(
        "label",
        [
            LabelOptions(ignore=(0,), ignore_index=7),
            LabelOptions(ignore=(0, 3), ignore_index=3),
            LabelOptions(ignore=(0,), remap={3: 4}, ignore_index=3),
            LabelOptions(ignore=(0,), remap={3: 255}),
            LabelOptions(ignore_index=0),
        ],
        ids=["a number of its own", "ignored", "renumbered", "as it was told to", "no data"],
    )
    def test_no_class_shares_it(self, go, label):
        assert go(label=label).hints == ()

    def test_an_acquisition_that_shows_nothing(self, archive, go):
        """Its footprint covers the chip, its metadata say it is clear, and it has not one pixel there."""
        archive.item("A", "2018-03-10", 1.0, B04=0, cld=255)
        archive.item("B", "2018-03-10", 1.0, B04=[[1000, 0, 0, 0], *[[0] * 4] * 3], cld=0)
        archive.write()
        report = go(label=LabelOptions(ignore=(0,)))
        (hint,) = report.hints
        assert hint == "1 chosen acquisition without a single valid pixel in the chip (manifest.json has 0 for it under 'valid')"
        manifest = json.loads((report.output / "manifest.json").read_text())
        assert manifest["counts"]["empty_frames"] == 1
        assert "1 frame whose acquisition has no valid pixel in the chip" in repr(open_dataset(report.output))
        assert [list(sample["facts"]["valid"].values()) for sample in manifest["samples"]] == [[[0.0, 1.0]], [[0.0625, 1.0]], [[1.0, 1.0]]]

    def test_the_mask_tells_it_from_a_clear_one(self, archive, tmp_path):
        for month, cloud, pixels in ((3, 1.0, 0), (4, 5.0, 1400), (10, 5.0, 1400)):
            archive.item("A", f"2018-{month:02d}-11", cloud, B04=pixels, cld=7 if pixels else 255)
        archive.write()
        run = make_run(archive, tmp_path / "out", chips=("A",), label=LabelOptions(ignore=(0,)))
        run = replace(run, dataset=replace(run.dataset, cloud_assets={"ref_landcovernet_xx_v1_source_sentinel_2": "CLD"}))
        (hint,) = prepare(run).hints
        assert hint.endswith("; with cloud=mask, those without a pixel in the cloud mask are chosen last")
        masked = prepare(replace(run, cloud="mask", output_dir=str(tmp_path / "masked")))
        assert masked.hints == ()
        assert list(pd.read_parquet(masked.output / "selection.parquet").query("selected")["item_id"].str[-8:]) == ["20180411", "20181011"]
