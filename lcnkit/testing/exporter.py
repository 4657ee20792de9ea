"""What every exporter must keep to, as tests to inherit.

Inherit them, and say in a fixture which exporter to try::

    class TestZarr(ExporterContract):
        @pytest.fixture
        def exporter(self):
            return Zarr()
"""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from lcnkit.contracts import Exporter
from lcnkit.model import Frame, Grid, Image, Receipt, Sample
from lcnkit.output import STATE
from lcnkit.testing.plugin import PluginContract


def sample(chip_id: str = "33TVL_00", dtype: str = "float32", start: int = 1) -> Sample:
    """A sample of three frames, the second of them missing, two bands, 4 x 5 pixels; no two pixels are alike.

    Integers have nodata 0. Some pixels are not valid, in all bands alike: a format may keep one mask for all bands.
    """
    shape = (3, 2, 4, 5)
    values = np.arange(start, start + np.prod(shape)).reshape(shape).astype(dtype)
    valid = np.ones(shape, dtype=bool)
    valid[1] = False
    valid[2, :, 1, 3] = False
    nodata = float("nan") if np.issubdtype(values.dtype, np.floating) else 0.0
    values[~valid] = nodata
    frames = (
        Frame(1, np.datetime64("2018-03-01T10:00:31", "ns"), "item_a", "a/stac.json", 12.5),
        Frame(2, np.datetime64("2018-07-02T12:00:00", "ns")),
        Frame(3, np.datetime64("2018-12-30T10:00:29", "ns"), "item_c", "c/stac.json"),
    )
    return Sample(
        chip_id=chip_id,
        label_item_id=f"labels_{chip_id}",
        grid=Grid("EPSG:32633", (10.0, 0.0, 465_000.0 + start, 0.0, -10.0, 5_080_000.0), (4, 5)),
        images={"sentinel_2": Image(values, valid, ("B04", "B08"), nodata, {"units": "1"})},
        frames={"sentinel_2": frames},
        classes=(np.arange(20, dtype="int64").reshape(4, 5) + start) % 7,
        attrs={"ignore_index": 255, "class_names": {"1": "Water", "2": "Wald, naß"}},
    )


def assert_same_sample(read: Sample, written: Sample) -> None:
    """Fail unless both are the same; where the items lie (``item_href``) need not be kept."""
    for name in ("chip_id", "label_item_id", "grid"):
        assert getattr(read, name) == getattr(written, name), f"{name} differs"
    assert dict(read.attrs) == dict(written.attrs)
    np.testing.assert_array_equal(read.classes, written.classes)
    assert read.classes.dtype == np.dtype("int64")
    assert list(read.images) == list(written.images)
    for source, image in written.images.items():
        assert_same_pixels(read.images[source], image)
        assert [_told(frame) for frame in read.frames[source]] == [_told(frame) for frame in written.frames[source]]


def assert_same_pixels(read: Image, written: Image) -> None:
    """Fail unless values, dtype, mask, bands, nodata and attrs are the same."""
    assert read.bands == written.bands
    assert read.values.dtype == written.values.dtype
    np.testing.assert_array_equal(read.values, written.values)
    np.testing.assert_array_equal(read.valid, written.valid)
    np.testing.assert_equal(read.nodata, written.nodata)
    assert dict(read.attrs) == dict(written.attrs)


def _told(frame: Frame) -> tuple[Any, ...]:
    return frame.period, frame.time, frame.item_id, frame.missing, repr(float(frame.cloud_cover))


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of the finished data set by its path; work in progress is not part of it."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if STATE not in path.relative_to(folder).parts}


class ExporterContract(PluginContract):
    """Inherit in a class named ``Test...`` and write one fixture, ``exporter``, which gives the exporter to try."""

    kind: ClassVar[str] = "exporter"

    @pytest.fixture
    def exporter(self) -> Exporter:
        """The exporter to try."""
        raise NotImplementedError("A test class that inherits ExporterContract needs a fixture named 'exporter'.")

    @pytest.fixture
    def plugin(self, exporter: Exporter) -> Exporter:
        """For the tests that all kinds share."""
        return exporter

    @pytest.mark.parametrize("dtype", ["float32", "uint16"])
    def test_reads_back_what_it_wrote(self, exporter: Exporter, tmp_path: Path, dtype: str) -> None:
        """Values, mask, frames (missing ones too), classes, grid and names."""
        given = sample(dtype=dtype)
        (receipt,) = exporter.finish([exporter.write(given, tmp_path)], tmp_path)
        assert_same_sample(exporter.read(receipt, tmp_path), given)

    def test_the_receipt_tells_of_the_sample(self, exporter: Exporter, tmp_path: Path) -> None:
        """What resuming, the manifest and the report rely on; plain JSON values."""
        given = sample()
        receipt = exporter.write(given, tmp_path)
        assert receipt.chip_id == given.chip_id
        assert (tmp_path / receipt.file).exists(), f"there is no {receipt.file}"
        assert re.fullmatch(r"xxh3_128:[0-9a-f]{32}", receipt.checksum), f"checksum {receipt.checksum!r}"
        assert receipt.shapes == {"sentinel_2": (3, 2, 4, 5)}
        assert {"label_item_id", "grid", "bands", "dtypes", "frames", "pixels"} <= set(receipt.facts), "see lcnkit.exporter.receipts.facts_of"
        assert Receipt.from_dict(json.loads(json.dumps(receipt.as_dict(), allow_nan=False))) == receipt

    def test_the_receipt_says_where_the_bytes_are(self, exporter: Exporter, tmp_path: Path) -> None:
        """A run that goes on takes a file shorter than ``offset + size`` for a broken one."""
        written = exporter.write(sample(), tmp_path)
        for receipt in (written, *exporter.finish([written], tmp_path)):
            path = tmp_path / receipt.file
            assert receipt.size > 0
            assert path.is_dir() or path.stat().st_size >= receipt.offset + receipt.size

    def test_the_same_sample_gives_the_same_bytes(self, exporter: Exporter, tmp_path: Path) -> None:
        """Whenever and wherever: another folder, a copy on a worker, a second attempt."""
        worker: Exporter = pickle.loads(pickle.dumps(exporter))
        here, there = tmp_path / "here", tmp_path / "there"
        one = exporter.write(sample(), here)
        other = [worker.write(sample(), there) for _ in range(2)][-1]
        assert other == one, "the receipts differ"
        exporter.finish([one], here)
        worker.finish([other], there)
        assert files_of(there) == files_of(here), "the files differ"

    def test_other_samples_have_other_checksums(self, exporter: Exporter, tmp_path: Path) -> None:
        """One pixel, or one class, is enough."""
        given, other, relabelled = sample(), sample(), sample()
        other.images["sentinel_2"].values[0, 0, 0, 0] += 1
        relabelled.classes[0, 0] += 1
        checksums = {exporter.write(one, tmp_path / str(number)).checksum for number, one in enumerate((given, other, relabelled))}
        assert len(checksums) == 3

    def test_finishes_in_the_order_of_the_receipts(self, exporter: Exporter, tmp_path: Path) -> None:
        """Workers end in any order; the data set is in that of the label collection."""
        samples = {name: sample(name, start=start) for name, start in (("c", 300), ("a", 1), ("b", 600))}
        receipts = {name: exporter.write(one, tmp_path) for name, one in samples.items()}
        finished = exporter.finish([receipts[name] for name in ("b", "a", "c")], tmp_path)
        assert [receipt.chip_id for receipt in finished] == ["b", "a", "c"]
        assert [receipt.checksum for receipt in finished] == [receipts[name].checksum for name in ("b", "a", "c")]
        for receipt in finished:
            assert_same_sample(exporter.read(receipt, tmp_path), samples[receipt.chip_id])

    def test_a_run_that_adds_samples_ends_as_if_made_at_once(self, exporter: Exporter, tmp_path: Path) -> None:
        """The second run's receipts: those of the finished data set for what was there, new ones for the rest."""
        samples = {name: sample(name, start=start) for name, start in (("a", 1), ("b", 300), ("c", 600))}
        grown, whole = tmp_path / "grown", tmp_path / "whole"
        kept = exporter.finish([exporter.write(samples[name], grown) for name in ("a", "c")], grown)
        shutil.rmtree(grown / STATE, ignore_errors=True)  # as a run does when it has ended
        finished = exporter.finish([kept[0], exporter.write(samples["b"], grown), kept[1]], grown)
        for receipt in finished:
            assert_same_sample(exporter.read(receipt, grown), samples[receipt.chip_id])
        exporter.finish([exporter.write(one, whole) for one in samples.values()], whole)
        assert files_of(grown) == files_of(whole), "the bytes depend on how often the run was started"

    def test_finishes_a_data_set_without_samples(self, exporter: Exporter, tmp_path: Path) -> None:
        """Every chip was dropped: nothing to read, and no error."""
        assert not exporter.finish([], tmp_path)

    def test_leaves_the_sample_alone(self, exporter: Exporter, tmp_path: Path) -> None:
        """Writing changes no array."""
        given = sample()
        exporter.write(given, tmp_path)
        assert_same_sample(given, sample())

    def test_says_that_the_folder_cannot_be_written(self, exporter: Exporter, tmp_path: Path) -> None:
        """An OSError, which a run explains to its user."""
        (tmp_path / "a_file").write_text("in the way")
        with pytest.raises(OSError):  # noqa: PT011  the errors of systems differ
            exporter.write(sample(), tmp_path / "a_file")

    def test_leaves_no_part_of_a_file(self, exporter: Exporter, tmp_path: Path) -> None:
        """The disk is full in the middle of a sample: no file keeps a piece of it, and the next attempt succeeds."""
        with pytest.raises(OSError), full_disk():  # noqa: PT011
            exporter.write(sample(), tmp_path)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        (receipt,) = exporter.finish([exporter.write(sample(), tmp_path)], tmp_path)
        assert_same_sample(exporter.read(receipt, tmp_path), sample())


@contextlib.contextmanager
def full_disk(limit: int = 64) -> Iterator[None]:
    """No file can grow beyond ``limit`` bytes inside the block; the test is skipped where the system cannot do that."""
    resource = pytest.importorskip("resource", reason="limits on the size of files need a Unix system")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
