"""odc keeps the contract of readers, and gives what the built-in reader gives."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("odc.stac", reason="odc-stac is not installed: pip install ./plugins/lcnkit-odc")

from lcnkit_odc import Odc

from lcnkit.reader.auto import Auto
from lcnkit.testing.reader import ReaderContract
from lcnkit.testing.sources import chip, item, moved, pattern


class TestOdc(ReaderContract):
    @pytest.fixture
    def reader(self) -> Odc:
        return Odc()


def test_gives_what_the_built_in_reader_gives(tmp_path) -> None:
    bands = {"B04": pattern((12, 14)), "B8A": pattern((12, 14), start=500)}
    items = [item(tmp_path, bands, moved(column, 1 - column, (12, 14)), name=f"at_{column}") for column in (-3, 0, 2)]
    one, other = (reader.read(chip(), items, ["B8A", "B04"]) for reader in (Odc(), Auto()))
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.valid, other.valid)
    assert (one.bands, one.nodata) == (other.bands, other.nodata)


def test_an_item_without_a_datetime_counts_where_its_range_begins(tmp_path) -> None:
    given = item(tmp_path, {"B04": pattern()})
    given.document["properties"].update(datetime=None, start_datetime="2018-06-01T00:00:00Z", end_datetime="2018-07-01T00:00:00Z")
    np.testing.assert_array_equal(Odc().read(chip(), [given], ["B04"]).values[0, 0], pattern())


def test_resamples_as_asked(tmp_path) -> None:
    given = item(tmp_path, {"B04": pattern((6, 7), start=100, dtype="float32")}, moved(-4, -2, (6, 7), pixel=20.0))
    smooth, near = (Odc(resampling=method).read(chip(), [given], ["B04"]).values for method in ("bilinear", "nearest"))
    assert not np.array_equal(smooth, near)
