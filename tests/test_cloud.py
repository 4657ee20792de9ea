"""Cloud cover from the mask."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio

from lcnkit import open_dataset
from lcnkit.backend.serial import SerialPool
from lcnkit.catalog.static import Static
from lcnkit.cloud import CloudCovers, MaskRecipe, cloud_cover
from lcnkit.errors import ChipError
from lcnkit.model import Image
from lcnkit.pipeline import plan_only, prepare
from lcnkit.reader.auto import Auto
from lcnkit.testing.archives import TinyArchive


def mask(values: Any, dtype: str = "uint8") -> Image:
    array = np.atleast_2d(np.asarray(values, dtype=dtype))[None, None]
    valid = ~np.isnan(array) if array.dtype.kind == "f" else array != 255
    return Image(array, valid, ("CLD",), 255)


@pytest.mark.parametrize(
    ("values", "percent"),
    [([0, 100], 50), ([0, 0, 0, 1], 0.25), ([10, 255, 255, 20], 15), ([0, 255], 0), ([100], 100), ([[1, 2, 3], [255, 255, 6]], 3)],
    ids=str,
)
def test_the_mean_over_valid_pixels(values: Any, percent: float) -> None:
    assert cloud_cover(mask(values), None) == percent


def test_without_a_valid_pixel_it_is_unknown() -> None:
    assert np.isnan(cloud_cover(mask([255, 255]), None))
    assert np.isnan(cloud_cover(mask([255, 255]), 50))


@pytest.mark.parametrize(("threshold", "percent"), [(50, 50), (49.5, 50), (51, 25), (0, 100), (100, 0)])
def test_with_a_threshold_the_share_of_pixels_at_or_above_it(threshold: float, percent: float) -> None:
    assert cloud_cover(mask([0, 49, 50, 99, 255]), threshold) == percent


def test_large_and_float_masks_do_not_lose_digits() -> None:
    assert cloud_cover(mask(np.full((2000, 2000), 99)), None) == 99
    assert cloud_cover(mask([0.5, 1.5, np.nan], "float32"), None) == 1


@pytest.mark.parametrize(("values", "dtype", "said"), [([0, 200], "uint8", "from 0 to 200"), ([-1, 5], "int16", "from -1 to 5")])
def test_values_that_are_no_percentage_are_refused(values: Any, dtype: str, said: str) -> None:
    with pytest.raises(ChipError, match=rf"CLD holds values {said}; .*0 to 100 percent"):
        cloud_cover(mask(values, dtype), None)


def planned(run: Any) -> pd.DataFrame:
    """The plan's cloud cover by item: the end of its id is chip and date."""
    prepared, _ = plan_only(run)
    table = prepared.plan.table
    return table.assign(short=table["item_id"].str.extract(r"source_sentinel_2_(.*)$")[0]).set_index("short")


@pytest.mark.parametrize("size", [1, 3, 8])
def test_what_the_metadata_do_not_say_comes_from_the_mask(size: int, tmp_path: Path, make_run: Any) -> None:
    """Whatever the size of the chip; what they do say is kept."""
    archive = TinyArchive(tmp_path / "archive", size=size)
    archive.chip("A")
    values = np.arange(size * size).reshape(size, size)
    archive.item("A", "2018-01-01", cloud=None, cld=values)
    archive.item("A", "2018-02-01", cloud=77, cld=1)
    archive.item("A", "2018-03-01", cloud=None)
    archive.item("A", "2018-04-01", cloud=None, cld=255)
    table = planned(make_run(archive.write()))
    np.testing.assert_array_equal(table["cloud_cover"], [values.mean(), 77, np.nan, np.nan])
    assert table["cloud_source"].tolist() == ["mask", "metadata", "", ""]


def test_metadata_alone(tiny: TinyArchive, make_run: Any) -> None:
    tiny.item("A", "2018-12-01", cloud=None, cld=3)
    tiny.write()
    assert np.isnan(planned(make_run(tiny.root, cloud="metadata")).loc["A_20181201", "cloud_cover"])


def test_the_mask_can_be_forced(tmp_path: Path, make_run: Any) -> None:
    """The metadata call the first the clearer, the masks the second: from the option to the pixels of the data set."""
    archive = TinyArchive(tmp_path / "archive", size=4)
    archive.chip("A")
    archive.item("A", "2018-03-01", cloud=1, cld=60, B04=1000)
    archive.item("A", "2018-04-01", cloud=50, cld=[[0, 0, 255, 40]] * 4, B04=2000)
    archive.item("A", "2018-05-01", cloud=0, cld=255, B04=3000)
    root = archive.write()
    run = make_run(root, cloud="mask", n_periods=1)
    report = prepare(run)
    table = pd.read_parquet(report.output / "selection.parquet")
    np.testing.assert_allclose(table["cloud_cover"], [60, 40 / 3, np.nan])
    assert table["cloud_source"].tolist() == ["mask", "mask", ""]  # what the metadata said does not come back
    (sample,) = open_dataset(report.output)
    assert (sample.image.values == 0.5).all()
    assert sample.image.cloud_cover.item() == pytest.approx(40 / 3)


def test_a_threshold_end_to_end(tmp_path: Path, make_run: Any) -> None:
    archive = TinyArchive(tmp_path / "archive", size=4)
    archive.chip("A")
    archive.item("A", "2018-03-01", cloud=None, cld=[[49, 49, 49, 50]] * 4)
    assert planned(make_run(archive.write(), cloud_threshold=50))["cloud_cover"].tolist() == [25]


def test_a_mask_that_cannot_be_had_stops_nothing(tiny: TinyArchive, make_run: Any, caplog: pytest.LogCaptureFixture) -> None:
    folders = {day: tiny.item("B", f"2018-{day}", cloud=None, cld=7) for day in ("07-01", "07-02", "07-03", "07-04")}
    tiny.write()
    (folders["07-01"] / "CLD.tif").unlink()
    (folders["07-02"] / "CLD.tif").write_bytes(b"garbage")
    document = json.loads((folders["07-03"] / "stac.json").read_text())
    del document["assets"]["CLD"]
    (folders["07-03"] / "stac.json").write_text(json.dumps(document))
    with caplog.at_level(logging.WARNING):
        table = planned(make_run(tiny.root))
    unknown = table.loc[["B_20180701", "B_20180702", "B_20180703"]]
    assert unknown["cloud_cover"].isna().all()
    assert (unknown["cloud_source"] == "").all()
    assert table.loc["B_20180704", "cloud_cover"] == 7
    assert table["cloud_cover"].notna().sum() == 9 + 1
    (warning,) = (record.getMessage() for record in caplog.records if "stays unknown" in record.getMessage())
    assert warning.startswith("The cloud cover of 3 candidates stays unknown: Item ")
    assert "B_20180701" in warning


class Clumsy(Auto):
    """A reader that breaks its contract for some items."""

    def read(self, chip: Any, items: Any, bands: Any) -> Image:
        if any(item.id.endswith("0415") for item in items):
            raise ZeroDivisionError
        return super().read(chip, items, bands)


def test_a_plugins_mistake_costs_one_mask(tiny: TinyArchive, make_run: Any) -> None:
    table = planned(make_run(tiny.root, cloud="mask", reader=Clumsy()))
    assert np.isnan(table.loc["A_20180415", "cloud_cover"])
    assert table.loc["A_20180715", "cloud_cover"] == 0
    assert table["cloud_cover"].isna().sum() == 1


def test_masks_of_a_chip_are_read_together(tiny: TinyArchive, make_run: Any) -> None:
    counts: list[int] = []

    class Counting(Auto):
        def read(self, chip: Any, items: Any, bands: Any) -> Image:
            counts.append(len(items))
            return super().read(chip, items, bands)

    table = planned(make_run(tiny.root, cloud="mask", reader=Counting()))
    assert counts == [int((table["chip_id"] == chip).sum()) for chip in table["chip_id"].unique()]


def test_measure_keeps_index_order_and_input() -> None:
    """A candidate table need not have the index 0, 1, 2; what lies outside the interval is not read."""

    class Reads:
        def read(self, chip: Any, items: Any, bands: Any) -> Image:
            assert bands == ["CLD"]
            masks = [mask([int(item)]) for item in items]
            return Image(np.concatenate([one.values for one in masks]), np.concatenate([one.valid for one in masks]), ("CLD",), 255)

    class Items:
        def items(self, hrefs: Any) -> Any:
            return list(hrefs)

    table = pd.DataFrame(
        {
            "chip_id": ["b", "a", "b", "a"],
            "item_href": ["10", "20", "30", "40"],
            "period": [1, 1, 2, 0],
            "cloud_cover": [np.nan, 5.0, np.nan, np.nan],
            "cloud_source": ["", "metadata", "", ""],
        },
        index=[7, 3, 9, 1],
    )
    before = table.copy()
    chips = {name: bare_chip(name) for name in "ab"}
    recipe = MaskRecipe(Items(), Reads(), "CLD", None)  # type: ignore[arg-type]
    answer = CloudCovers(recipe, SerialPool(), force=False).measured(table, chips)  # type: ignore[arg-type]
    assert answer.index.tolist() == [7, 3, 9, 1]
    np.testing.assert_array_equal(answer["cloud_cover"], [10, 5, 30, np.nan])
    assert answer["cloud_source"].tolist() == ["mask", "metadata", "mask", ""]
    pd.testing.assert_frame_equal(table, before)
    forced = CloudCovers(recipe, SerialPool(), force=True).measured(table, chips)  # type: ignore[arg-type]
    np.testing.assert_array_equal(forced["cloud_cover"], [10, 20, 30, np.nan])


def bare_chip(name: str) -> Any:
    from datetime import date

    import shapely

    from lcnkit.model import Chip, Grid, Interval

    grid = Grid("EPSG:32633", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), (1, 1))
    return Chip(name, name, "", grid, Interval(date(2018, 1, 1), date(2018, 12, 31)), shapely.box(0, 0, 1, 1))


def test_real_chips_without_cloud_cover_in_their_metadata(shared_data: Path, make_run: Any) -> None:
    """Slovenia: 36 acquisitions each of chips 03 and 07, the mean of CLD as numpy reads it."""
    root = shared_data / "slovenia2017"
    table = planned(make_run(root, catalog=Static(), chips=("33TVL_03", "33TVL_07", "33TVL_00"), bands=("NDVI",)))
    assert table.groupby("chip_id")["cloud_source"].agg(set).to_dict() == {"33TVL_00": {"metadata"}, "33TVL_03": {"mask"}, "33TVL_07": {"mask"}}
    computed = table[table["cloud_source"] == "mask"]
    assert len(computed) == 72
    for row in computed.itertuples():
        with rasterio.open(root / Path(row.item_href).parent / "CLD.tif") as dataset:
            values = dataset.read(1)
            assert row.cloud_cover == values[values != dataset.nodata].astype("float64").mean()
