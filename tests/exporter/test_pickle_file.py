"""items.pkl: what the tutorial left, for anybody who has numpy and xarray."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash

from lcnkit import open_dataset
from lcnkit.errors import OutputError
from lcnkit.exporter.pickle import FILE, Pickle
from lcnkit.model import Frame, Grid, Image, Receipt, Sample
from lcnkit.pipeline import prepare
from lcnkit.testing.archives import TinyArchive

GRID = Grid("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), (2, 3))
FRAMES = (
    Frame(1, np.datetime64("2018-02-01T10:00:00", "ns"), "S2_20180201", "S2/a.json", 12.5),
    Frame(2, np.datetime64("2018-09-30T12:00:00", "ns")),
)


def sample(chip: str = "A", values: Any = None, nodata: float | None = None, valid: Any = None, **more: Any) -> Sample:
    """Two frames, the second of them missing; one band more than there are frames."""
    if values is None:
        values = np.arange(36, dtype="float32").reshape(2, 3, *GRID.shape) + ord(chip[0])
        values[1], nodata = np.nan, float("nan")
        valid = ~np.isnan(values)
    bands = tuple(f"B{number:02d}" for number in range(values.shape[1]))
    classes = np.array([[0, 1, 2], [255, 1, 0]], dtype="int64")
    return Sample(chip, f"labels_{chip}", GRID, {"s2": Image(values, valid, bands, nodata, {"units": "1"})}, {"s2": FRAMES}, classes, **more)


def written(samples: Sequence[Sample], folder: Path) -> list[Receipt]:
    exporter = Pickle()
    return exporter.finish([exporter.write(one, folder) for one in samples], folder)


WITHOUT_LCNKIT = """
import json, pickle, sys
sys.modules["lcnkit"] = None          # importing it, or anything below it, is an ImportError
import numpy as np
with open(sys.argv[1], "rb") as file:
    items = pickle.load(file)
assert isinstance(items, list)
assert not [name for name in sys.modules if name.startswith("lcnkit.")]
import rioxarray, xarray
image, label = items[0]
assert type(items[0]) is tuple and type(image) is type(label) is xarray.DataArray
print(json.dumps({
    "chips": [image.attrs["chip_id"] for image, _ in items],
    "dims": [image.dims, label.dims],
    "dtypes": [str(image.dtype), str(label.dtype)],
    "names": [image.name, label.name],
    "coords": sorted(map(str, image.coords)),
    "time": [str(value)[:19] for value in image.time.values],
    "band": image.band.values.tolist(),
    "period": image.period.values.tolist(),
    "item_id": image.item_id.values.tolist(),
    "missing": image.missing.values.tolist(),
    "cloud": image.cloud_cover.values[0],
    "x": image.x.values.tolist(),
    "y": label.y.values.tolist(),
    "crs": [image.rio.crs.to_epsg(), label.rio.crs.to_epsg()],
    "transform": list(image.rio.transform())[:6],
    "bounds": list(label.rio.bounds()),
    "attrs": [dict(image.attrs), dict(label.attrs)],
    "values": image.values[0, 0].tolist(),
    "nan": bool(np.isnan(image.values[1]).all()),
    "label": label.values.tolist(),
    "writeable": image.values.flags.writeable and label.values.flags.writeable,
}))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a process that cannot import lcnkit sees in items.pkl."""
    folder = tmp_path_factory.mktemp("pickle")
    attrs = {"ignore_index": 255, "class_names": {"1": "Water"}}
    written([sample("B", attrs=attrs), sample("A"), sample("C")], folder)
    done = subprocess.run([sys.executable, "-c", WITHOUT_LCNKIT, str(folder / FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_loads_where_lcnkit_is_not_installed(elsewhere: Any) -> None:
    assert elsewhere["chips"] == ["B", "A", "C"]  # the order given, which is that of the labels
    assert elsewhere["dims"] == [["time", "band", "y", "x"], ["y", "x"]]
    assert elsewhere["dtypes"] == ["float32", "int64"]
    assert elsewhere["names"] == ["image", "label"]
    assert elsewhere["values"] == [[66, 67, 68], [69, 70, 71]]
    assert elsewhere["label"] == [[0, 1, 2], [255, 1, 0]]
    assert elsewhere["nan"]
    assert elsewhere["writeable"]  # torch.from_numpy warns of arrays that are not


def test_its_coordinates_say_when_and_where(elsewhere: Any) -> None:
    assert elsewhere["coords"] == sorted(["time", "band", "y", "x", "period", "item_id", "cloud_cover", "missing", "spatial_ref"])
    assert elsewhere["time"] == ["2018-02-01T10:00:00", "2018-09-30T12:00:00"]
    assert elsewhere["band"] == ["B00", "B01", "B02"]
    assert elsewhere["period"] == [1, 2]
    assert elsewhere["item_id"] == ["S2_20180201", ""]
    assert elsewhere["missing"] == [False, True]
    assert elsewhere["cloud"] == 12.5
    assert elsewhere["x"] == [500_005, 500_015, 500_025]
    assert elsewhere["y"] == [4_999_995, 4_999_985]


def test_rioxarray_finds_its_place(elsewhere: Any) -> None:
    assert elsewhere["crs"] == [32633, 32633]
    assert elsewhere["transform"] == [10, 0, 500_000, 0, -10, 5_000_000]
    assert elsewhere["bounds"] == [500_000, 4_999_980, 500_030, 5_000_000]


def test_its_attributes_say_what_it_is(elsewhere: Any) -> None:
    assert elsewhere["attrs"] == [
        {"chip_id": "B", "source": "s2", "units": "1"},
        {"chip_id": "B", "item_id": "labels_B", "ignore_index": 255, "class_names": {"1": "Water"}},
    ]


def test_python_unpickles_it_too(tmp_path: Path) -> None:
    """The unpickler in plain Python minds the length of frames, which the one in C does not."""
    written([sample("A"), sample("B")], tmp_path)
    with (tmp_path / FILE).open("rb") as file:
        items = pickle._Unpickler(file).load()  # type: ignore[attr-defined]
    assert [image.attrs["chip_id"] for image, _ in items] == ["A", "B"]


def test_an_empty_data_set_is_an_empty_list(tmp_path: Path) -> None:
    assert written([], tmp_path) == []
    assert pickle.loads((tmp_path / FILE).read_bytes()) == []


@pytest.mark.parametrize("side", [1, 8, 128, 129, 400])
def test_images_of_any_size(side: int, tmp_path: Path) -> None:
    """65536 bytes is where pickle begins to write arrays on their own."""
    grid = Grid(GRID.crs, GRID.transform, (side, side))
    values = np.arange(2 * side * side, dtype="uint16").reshape(2, 1, side, side)
    made = replace(sample(values=values, valid=np.ones(values.shape, bool)), grid=grid, classes=np.full((side, side), 3))
    written([made, made], tmp_path)
    for image, label in pickle.loads((tmp_path / FILE).read_bytes()):
        np.testing.assert_array_equal(image.values, values)
        assert (label.values == 3).all()


def test_arrays_that_are_views_are_written_whole(tmp_path: Path) -> None:
    base = np.arange(144, dtype="float32").reshape(3, 2, 4, 6)
    view = base.transpose(1, 0, 2, 3)[:, :, ::2, ::-2]
    assert view.shape == (2, 3, 2, 3)
    assert not view.flags.c_contiguous
    written([replace(sample(values=view, valid=np.ones(view.shape, bool)), classes=np.arange(6).reshape(3, 2).T)], tmp_path)
    ((image, label),) = pickle.loads((tmp_path / FILE).read_bytes())
    np.testing.assert_array_equal(image.values, view)
    assert label.values.tolist() == [[0, 2, 4], [1, 3, 5]]


def test_a_sample_read_by_its_offset_is_the_list_entry(tmp_path: Path) -> None:
    receipts = written([sample(chip) for chip in "CAB"], tmp_path)
    content = (tmp_path / FILE).read_bytes()
    items = pickle.loads(content)
    assert {receipt.file for receipt in receipts} == {FILE}
    for receipt, (image, label) in zip(receipts, items, strict=True):
        read = Pickle().read(receipt, tmp_path)
        assert read.chip_id == receipt.chip_id
        assert read.image.identical(image)
        assert read.label.identical(label)
        entry = content[receipt.offset : receipt.offset + receipt.size]
        assert receipt.checksum == f"xxh3_128:{xxhash.xxh3_128_hexdigest(entry)}"


def test_a_sample_comes_back_as_it_was(tmp_path: Path) -> None:
    made = sample(attrs={"ignore_index": 255})
    (receipt,) = written([made], tmp_path)
    read = Pickle().read(receipt, tmp_path)
    assert (read.chip_id, read.label_item_id, read.grid, read.attrs) == ("A", "labels_A", GRID, {"ignore_index": 255})
    np.testing.assert_array_equal(read.images["s2"].values, made.images["s2"].values)
    np.testing.assert_array_equal(read.images["s2"].valid, made.images["s2"].valid)
    assert read.images["s2"].bands == ("B00", "B01", "B02")
    assert read.images["s2"].attrs == {"units": "1"}
    assert [(frame.period, frame.time, frame.item_id, frame.missing) for frame in read.frames["s2"]] == [
        (frame.period, frame.time, frame.item_id, frame.missing) for frame in FRAMES
    ]
    np.testing.assert_array_equal(read.classes, made.classes)


def test_stored_integers_keep_nodata_and_mask(tmp_path: Path) -> None:
    values = np.arange(12, dtype="uint16").reshape(2, 1, 2, 3)
    values[1] = 0
    (receipt,) = written([sample(values=values, valid=values != 0, nodata=0.0)], tmp_path)
    ((image, _),) = pickle.loads((tmp_path / FILE).read_bytes())
    assert image.dtype == "uint16"
    assert image.attrs["nodata"] == 0
    assert "valid" not in image.coords  # nodata says it all
    read = Pickle().read(receipt, tmp_path).images["s2"]
    assert read.values.dtype == "uint16"
    assert read.nodata == 0
    np.testing.assert_array_equal(read.valid, values != 0)


def test_a_mask_that_values_cannot_tell_is_written(tmp_path: Path) -> None:
    """Two bands with nodata values of their own (0 and 255): no one value speaks for the image."""
    values = np.zeros((2, 2, 2, 3), dtype="uint16")
    values[:, 1] = 255
    valid = np.zeros(values.shape, dtype=bool)
    values[0, :, 0], valid[0, :, 0] = 0, True
    (receipt,) = written([sample(values=values, valid=valid, nodata=None)], tmp_path)
    ((image, _),) = pickle.loads((tmp_path / FILE).read_bytes())
    assert image.valid.dims == image.dims
    np.testing.assert_array_equal(image.valid, valid)
    read = Pickle().read(receipt, tmp_path).images["s2"]
    np.testing.assert_array_equal(read.valid, valid)
    assert read.nodata is None


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    one = [replace(receipt, seconds={}) for receipt in written([sample("A"), sample("B")], tmp_path / "one")]
    other = [replace(receipt, seconds={}) for receipt in written([sample("A"), sample("B")], tmp_path / "other")]
    assert one == other
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "other" / FILE).read_bytes()


def test_finishing_again_takes_what_is_there_and_adds(tmp_path: Path) -> None:
    """A run that goes on: earlier samples lie in items.pkl, new ones in parts; the order is that of the labels."""
    b, d = written([sample("B"), sample("D")], tmp_path)
    receipts = Pickle().finish([Pickle().write(sample("A"), tmp_path), b, Pickle().write(sample("C"), tmp_path), d], tmp_path)
    items = pickle.loads((tmp_path / FILE).read_bytes())
    assert [image.attrs["chip_id"] for image, _ in items] == ["A", "B", "C", "D"]
    assert [Pickle().read(receipt, tmp_path).chip_id for receipt in receipts] == ["A", "B", "C", "D"]
    written([sample("A"), sample("B"), sample("C"), sample("D")], tmp_path / "at once")
    assert (tmp_path / FILE).read_bytes() == (tmp_path / "at once" / FILE).read_bytes()


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_systems_without_a_copy_in_the_kernel_give_the_same_bytes(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    side = 600  # over a megabyte: more than one step of the copy
    grid = Grid(GRID.crs, GRID.transform, (side, side))
    values = np.random.default_rng(0).integers(0, 9, (2, 1, side, side)).astype("uint16")
    made = [replace(sample(chip, values, valid=np.ones(values.shape, bool)), grid=grid, classes=values[0, 0].astype("int64")) for chip in "AB"]
    written(made, tmp_path / "kernel")

    def refuse(*_: Any) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    written(made, tmp_path / "refused")
    monkeypatch.delattr(os, "copy_file_range")
    written(made, tmp_path / "absent")
    assert len({xxhash.xxh3_128_hexdigest((tmp_path / way / FILE).read_bytes()) for way in ("kernel", "refused", "absent")}) == 1


def test_a_kernel_that_copies_piecemeal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may copy less than asked for, and a file system may give up in between."""
    written([sample("A"), sample("B")], tmp_path / "whole")
    copy, calls = os.copy_file_range, []

    def some(source: int, target: int, size: int, *offsets: int) -> int:
        calls.append(size)
        if len(calls) % 3 == 0:
            raise OSError(errno.EXDEV, "no")
        return copy(source, target, min(size, 100), *offsets)

    monkeypatch.setattr(os, "copy_file_range", some)
    written([sample("A"), sample("B")], tmp_path / "pieces")
    assert len(calls) > 4
    assert (tmp_path / "pieces" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


def test_other_errors_of_the_system_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    with pytest.raises(OSError, match="no space"):
        written([sample()], tmp_path)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "python"])
def test_a_part_that_is_too_short_is_found_out(kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kernel:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    written([sample("old")], tmp_path)
    before = (tmp_path / FILE).read_bytes()
    receipt = Pickle().write(sample("A"), tmp_path)
    part = tmp_path / receipt.file
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(OutputError, match=r"ends before the sample of chip A does.*overwrite=true"):
        Pickle().finish([receipt], tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    assert not list(tmp_path.glob("*.partial")) + list(tmp_path.glob(".*.partial"))


MEMORY = """
import resource, sys
from pathlib import Path
from lcnkit.exporter.pickle import Pickle
from lcnkit.model import Receipt
folder, way = Path(sys.argv[1]), sys.argv[2]
if way == "python":
    import os
    del os.copy_file_range
part = folder / "part"
part.write_bytes(bytes(1 << 20))
receipts = [Receipt(str(number), "part", 1 << 20, "") for number in range(200)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
placed = Pickle().finish(receipts, folder)
assert (folder / "items.pkl").stat().st_size > 200 << 20
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("way", ["kernel", "python"])
def test_memory_does_not_grow_with_the_data_set(way: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path), way], capture_output=True, text=True, check=False)
    (tmp_path / FILE).unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20  # MB, of 200


def test_a_run_leaves_one_list_in_the_order_of_the_labels(tiny: TinyArchive, make_run: Any) -> None:
    report = prepare(make_run(tiny.root, n_periods=2))
    items = pickle.loads((report.output / FILE).read_bytes())
    assert [image.attrs["chip_id"] for image, _ in items] == ["A", "B", "C"]
    assert [image.shape for image, _ in items] == [(2, 1, 8, 8)] * 3
    np.testing.assert_array_equal(items[1][0].values[0, 0], (2000 + np.arange(64, dtype="float32").reshape(8, 8)) / np.float32(4000))
    assert items[1][1].values[0].tolist() == [0, 1, 2, 3] * 2
    for sample, (image, label) in zip(open_dataset(report.output), items, strict=True):
        assert sample.image.identical(image)
        assert sample.label.identical(label)
    assert sorted(path.name for path in report.output.iterdir()) == [FILE, "manifest.json", "selection.parquet"]
