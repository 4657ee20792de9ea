"""What cannot be made, and what that costs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from tiny import ACQUISITIONS, CHIPS, COLUMNS, failures_of, item_folder, items_of, make_run

from lcnkit import prepare
from lcnkit.errors import UnknownName
from lcnkit.model import Grid
from lcnkit.pipeline import plan_only
from lcnkit.strategy.season_min_cc import SeasonMinCC
from lcnkit.testing.archives import TinyArchive, write_raster


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

    def spoil_label_crs(self, archive):
        path = archive.labels / f"{archive.labels.name}_B" / "stac.json"
        document = json.loads(path.read_text())
        grid = archive.grids["B"]
        document["properties"] |= {"proj:epsg": 99999, "proj:transform": list(grid.transform), "proj:shape": list(grid.shape)}
        path.write_text(json.dumps(document))
        return "label", "is not the one its item declares"

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
            "label_crs",
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
        assert counts == {"chips": 2, "failed": 1, "dropped": 0, "missing_frames": 0, "empty_frames": 0}

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


@pytest.mark.parametrize("kind", ["labels", "source_sentinel_2"])
@pytest.mark.parametrize(
    ("odd", "fails"),
    [
        ({"properties": ["x"]}, False),
        ({"properties": None}, False),
        ({"assets": ["labels"]}, True),
        ({"assets": {"labels": "x", "B04": ["x"]}}, True),
        ({"links": 5}, False),
        ({"links": ["x"]}, False),
        ({"geometry": {"type": "Polygon", "coordinates": 5}}, False),
        ({"bbox": ["a", 1, 2, 3]}, False),
        ({"id": 5}, False),
        ({"stac_extensions": 5}, False),
    ],
    ids=str,
)
def test_an_item_of_odd_json_costs_no_more_than_its_chip(kind, odd, fails, tmp_path):
    made = TinyArchive(tmp_path / "odd", size=4)
    for column, name in enumerate("AB"):
        made.chip(name, column=10 * column)
        made.item(name, "2018-03-01", 1.0, B04=1)
        made.item(name, "2018-03-05", 2.0, B04=1)
    made.write()
    path = min(made.root.glob(f"*_{kind}/*_A*/stac.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), **odd}))
    report = prepare(make_run(made, tmp_path / "out", n_periods=1, retries=0))
    assert [failure.chip_id for failure in report.failures] == (["A"] if fails else [])
    assert report.made == (1 if fails else 2)
