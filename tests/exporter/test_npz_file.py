"""items/CHIP.npz: arrays for anybody who has numpy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash

from lcnkit import open_dataset
from lcnkit.exporter.npz import Npz
from lcnkit.model import Frame, Grid, Image, Sample
from lcnkit.output import file_name
from lcnkit.pipeline import prepare
from lcnkit.testing.archives import TinyArchive

GRID = Grid("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), (2, 3))
FRAMES = (
    Frame(1, np.datetime64("2018-02-01T10:00:00", "ns"), "S2_20180201", "S2/a.json", 12.5),
    Frame(2, np.datetime64("2018-09-30T12:00:00", "ns")),
)


def sample(values: Any = None, valid: Any = None, nodata: float | None = None) -> Sample:
    if values is None:
        values = np.arange(24, dtype="float32").reshape(2, 2, *GRID.shape)
        values[1], nodata = np.nan, float("nan")
        values[0, 1, 0, 0] = np.nan  # one band lacks one pixel
        valid = ~np.isnan(values)
    image = Image(values, valid, ("B04", "B08"), nodata, {"units": "1"})
    classes = np.array([[0, 1, 2], [255, 1, 0]], dtype="int64")
    return Sample("A", "labels_A", GRID, {"s2": image}, {"s2": FRAMES}, classes, {"ignore_index": 255})


@pytest.fixture(params=[False, True], ids=["stored", "deflated"])
def exporter(request: pytest.FixtureRequest) -> Npz:
    return Npz(compress=request.param)


def test_numpy_alone_reads_it(exporter: Npz, tmp_path: Path) -> None:
    receipt = exporter.write(sample(), tmp_path)
    assert receipt.file == "items/A.npz"
    with np.load(tmp_path / receipt.file, allow_pickle=False) as arrays:
        assert {"image", "label", "valid", "time", "band", "x", "y", "crs", "chip_id", "item_id", "label_item_id"} <= set(arrays)
        np.testing.assert_array_equal(arrays["image"], sample().images["s2"].values)
        assert arrays["image"].dtype == "float32"
        assert arrays["label"].tolist() == [[0, 1, 2], [255, 1, 0]]
        assert arrays["label"].dtype == "int64"
        assert arrays["time"].dtype == "datetime64[ns]"
        assert [str(value)[:16] for value in arrays["time"]] == ["2018-02-01T10:00", "2018-09-30T12:00"]
        assert arrays["band"].tolist() == ["B04", "B08"]
        assert arrays["x"].tolist() == [500_005, 500_015, 500_025]
        assert arrays["y"].tolist() == [4_999_995, 4_999_985]
        assert arrays["transform"].tolist() == list(GRID.transform)
        assert arrays["item_id"].tolist() == ["S2_20180201", ""]
        assert arrays["missing"].tolist() == [False, True]
        assert arrays["period"].tolist() == [1, 2]


def test_single_values_are_single_values(exporter: Npz, tmp_path: Path) -> None:
    """Not lists of one: str() and float() of them are what one expects."""
    with np.load(tmp_path / exporter.write(sample(), tmp_path).file, allow_pickle=False) as arrays:
        assert {arrays[name].shape for name in ("crs", "chip_id", "label_item_id", "source", "nodata", "attrs")} == {()}
        assert str(arrays["crs"]) == "EPSG:32633"
        assert str(arrays["chip_id"]) == "A"


def test_valid_is_true_where_all_bands_hold_data(exporter: Npz, tmp_path: Path) -> None:
    with np.load(tmp_path / exporter.write(sample(), tmp_path).file, allow_pickle=False) as arrays:
        assert arrays["valid"].shape == (2, 2, 3)
        assert arrays["valid"].tolist() == [[[False, True, True], [True, True, True]], [[False] * 3] * 2]


def test_a_sample_comes_back_as_it_was(exporter: Npz, tmp_path: Path) -> None:
    made = sample()
    (receipt,) = exporter.finish([exporter.write(made, tmp_path)], tmp_path)
    read = exporter.read(receipt, tmp_path)
    assert (read.chip_id, read.label_item_id, read.grid, read.attrs) == ("A", "labels_A", GRID, {"ignore_index": 255})
    assert read.image.identical(made.image)
    assert read.label.identical(made.label)
    np.testing.assert_array_equal(read.images["s2"].valid, made.images["s2"].valid)
    assert read.frames["s2"][1].missing


@pytest.mark.parametrize("nodata", [0.0, 255.0])
def test_stored_integers_keep_nodata_and_mask(exporter: Npz, nodata: float, tmp_path: Path) -> None:
    values = np.arange(24, dtype="uint16").reshape(2, 2, 2, 3)
    values[0, 0, 0, 1] = values[1] = int(nodata)
    made = sample(values, values != nodata, nodata)
    read = exporter.read(exporter.write(made, tmp_path), tmp_path).images["s2"]
    assert read.values.dtype == "uint16"
    assert read.nodata == nodata
    np.testing.assert_array_equal(read.values, values)
    np.testing.assert_array_equal(read.valid, values != nodata)


@pytest.mark.parametrize("nodata", [None, -9999.0])
def test_a_mask_of_its_own_is_kept(exporter: Npz, nodata: float | None, tmp_path: Path) -> None:
    """Where no value tells what is not valid: files do declare -9999 for uint16."""
    values = np.arange(24, dtype="uint16").reshape(2, 2, 2, 3)
    valid = np.ones(values.shape, dtype=bool)
    valid[0, :, 1], valid[1] = False, False
    read = exporter.read(exporter.write(sample(values, valid, nodata), tmp_path), tmp_path).images["s2"]
    assert read.nodata == nodata
    np.testing.assert_array_equal(read.valid, valid)


def test_views_and_other_byte_orders(exporter: Npz, tmp_path: Path) -> None:
    base = np.arange(96, dtype="float32").reshape(2, 2, 4, 6)
    for values in (base[:, :, ::2, ::-2], np.asfortranarray(base[:, :, ::2, ::2]), base[:, :, :2, :3].astype(">f4")):
        receipt = exporter.write(sample(values, np.ones(values.shape, bool)), tmp_path)
        with np.load(tmp_path / receipt.file, allow_pickle=False) as arrays:
            np.testing.assert_array_equal(arrays["image"], values)


def test_the_same_sample_gives_the_same_bytes_whenever_it_is_written(exporter: Npz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = exporter.write(sample(), tmp_path / "now")
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    other = exporter.write(sample(), tmp_path / "later")
    content = (tmp_path / "now" / one.file).read_bytes()
    assert content == (tmp_path / "later" / other.file).read_bytes()
    assert one.checksum == other.checksum == f"xxh3_128:{xxhash.xxh3_128_hexdigest(content)}"
    assert one.size == len(content)


def test_compress_makes_smaller_files_of_the_same_arrays(tmp_path: Path) -> None:
    values = np.ones((2, 2, 2, 3), "float32")
    stored, deflated = (Npz(compress=compress).write(sample(values, values > 0), tmp_path / str(compress)) for compress in (False, True))
    assert deflated.size < stored.size


def test_a_run_writes_one_file_a_chip(tiny: TinyArchive, make_run: Any) -> None:
    report = prepare(make_run(tiny.root, n_periods=2, exporter=Npz()))
    assert sorted(path.name for path in (report.output / "items").iterdir()) == ["A.npz", "B.npz", "C.npz"]
    with np.load(report.output / "items" / "C.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["image"][1, 0], (3000 + np.arange(64, dtype="float32").reshape(8, 8)) / np.float32(4000))
    assert [sample.chip_id for sample in open_dataset(report.output)] == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("chip_id", "name"),
    [
        ("29PKL_00", "29PKL_00"),
        ("north/29PKL", "north/29PKL"),
        ("..29PKL..", "..29PKL.."),
        ("x/../../../out", "x%2F..%2F..%2F..%2Fout"),
        ("../out", "..%2Fout"),
        ("/out", "%2Fout"),
        ("a//b", "a%2F%2Fb"),
        ("a/./b", "a%2F.%2Fb"),
        ("..", ".."),
        ("a\\b", "a%5Cb"),
    ],
)
def test_no_id_leads_out_of_the_folder(chip_id: str, name: str) -> None:
    """A label collection is somebody else's text; ids that would share a file do not either."""
    assert file_name(chip_id) == name
    assert ".." not in Path(f"items/{file_name(chip_id)}.npz").parts
