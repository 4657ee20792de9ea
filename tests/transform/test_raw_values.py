"""raw: the values as stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lcnkit import open_dataset
from lcnkit.model import Image
from lcnkit.pipeline import prepare
from lcnkit.testing.archives import TinyArchive
from lcnkit.transform.raw import Raw


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_nothing_changes(dtype: str) -> None:
    values = np.arange(4).reshape(1, 1, 2, 2).astype(dtype)
    stored = Image(values, values != 0, ("B04",), 0, {"units": "1"}, scale=np.ones((1, 1)), offset=np.zeros((1, 1)))
    answer = Raw().apply(stored)
    assert answer.values.dtype == dtype
    np.testing.assert_array_equal(answer.values, values)
    np.testing.assert_array_equal(answer.valid, values != 0)
    assert answer.nodata == 0


def test_a_raw_run_keeps_stored_values(tmp_path: Path, make_run: Any) -> None:
    """From file to finished data set: uint16, nodata 0, the frame of an empty period all nodata."""
    archive = TinyArchive(tmp_path / "archive", size=2)
    archive.chip("A")
    archive.item("A", "2018-02-01", B04=[[0, 1], [60_000, 65_535]], B08=7)
    report = prepare(make_run(archive.write(), transforms=(Raw(),), bands=("B04", "B08"), n_periods=2))
    (sample,) = open_dataset(report.output)
    image = sample.images["sentinel_2"]
    assert image.values.dtype == "uint16"
    assert image.values[0, 0].tolist() == [[0, 1], [60_000, 65_535]]
    assert image.values[0, 1].tolist() == [[7, 7], [7, 7]]
    assert not image.values[1].any()
    np.testing.assert_array_equal(image.valid[0], [[[False, True], [True, True]], [[True, True], [True, True]]])
    assert not image.valid[1].any()
    assert sample.image.attrs["nodata"] == 0
