"""reflectance: numbers that can be checked by eye."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lcnkit.errors import ChipError, ConfigError
from lcnkit.model import Image
from lcnkit.transform.index import Index
from lcnkit.transform.reflectance import Reflectance


def image(values: Any, dtype: str = "uint16", nodata: float | None = 0, **more: Any) -> Image:
    """One band, one row: ``values`` by time and column."""
    array = np.asarray(values, dtype=dtype)[:, None, None, :]
    valid = np.ones(array.shape, dtype=bool) if nodata is None else array != nodata
    return Image(array, valid, ("B04",), nodata, **more)


def test_stored_values_are_divided_by_4000() -> None:
    answer = Reflectance().apply(image([[1, 1000, 2000, 4000]]))
    assert answer.values.dtype == "float32"
    assert answer.values.ravel().tolist() == [np.float32(0.00025), 0.25, 0.5, 1.0]
    assert answer.nodata is not None
    assert np.isnan(answer.nodata)


def test_values_are_clipped_to_0_and_1() -> None:
    answer = Reflectance().apply(image([[-400, 4001, 65535]], "int32", nodata=None))
    assert answer.values.ravel().tolist() == [0, 1, 1]


def test_clip_null_keeps_what_is_outside() -> None:
    answer = Reflectance(clip=None, scale=10_000).apply(image([[-1000, 15_000, 65_535]], "int32", nodata=None))
    assert answer.values.ravel().tolist() == [np.float32(-0.1), 1.5, np.float32(6.5535)]


def test_other_limits() -> None:
    assert Reflectance(clip=(0.25, 0.5)).apply(image([[4, 1500, 4000]])).values.ravel().tolist() == [0.25, 0.375, 0.5]


def test_what_is_not_valid_becomes_nan_and_nothing_else() -> None:
    answer = Reflectance().apply(image([[0, 4000], [400, 0]]))
    np.testing.assert_array_equal(answer.values[:, 0, 0], np.array([[np.nan, 1], [0.1, np.nan]], "float32"))
    np.testing.assert_array_equal(answer.valid[:, 0, 0], [[False, True], [True, False]])


def test_a_valid_zero_is_reflectance_zero() -> None:
    """uint8 with nodata 255: 0 is data."""
    assert Reflectance(scale=100).apply(image([[0, 50, 255]], "uint8", nodata=255)).values.ravel().tolist()[:2] == [0, 0.5]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_every_stored_dtype_gives_float32(dtype: str) -> None:
    answer = Reflectance(scale=200).apply(image([[1, 50, 100]], dtype))
    assert answer.values.dtype == "float32"
    assert answer.values.ravel().tolist() == [np.float32(0.005), 0.25, 0.5]


def test_stac_scale_and_offset_are_each_items_own() -> None:
    """Sentinel-2 baseline 04.00 stores reflectance with an offset of 1000; older items have none."""
    scale, offset = np.full((2, 1), 0.0001), np.array([[0.0], [-0.1]])
    answer = Reflectance(stac=True).apply(image([[2000, 0], [3000, 500]], scale=scale, offset=offset))
    np.testing.assert_allclose(answer.values[:, 0, 0], np.array([[0.2, np.nan], [0.2, 0]]), rtol=1e-6)
    assert answer.values.dtype == "float32"
    # Scaled once: there is nothing left to apply.
    assert answer.scale is None
    assert answer.offset is None


def test_stac_without_clip_keeps_negative_reflectance() -> None:
    one = np.ones((1, 1))
    answer = Reflectance(stac=True, clip=None).apply(image([[500]], scale=0.0001 * one, offset=-0.1 * one))
    assert answer.values.ravel()[0] == pytest.approx(-0.05, rel=1e-6)


def test_stac_scale_belongs_to_its_band() -> None:
    values = np.full((1, 2, 1, 1), 100, "uint16")
    bands = Image(values, values > 0, ("B04", "B08"), 0, scale=np.array([[0.001, 0.002]]), offset=np.array([[0.0, 0.3]]))
    np.testing.assert_allclose(Reflectance(stac=True).apply(bands).values.ravel(), [0.1, 0.5], rtol=1e-6)


def test_stac_needs_what_the_items_publish() -> None:
    with pytest.raises(ChipError, match=r"raster:bands.*transform\.reflectance\.stac=false"):
        Reflectance(stac=True).apply(image([[1]]))


def test_without_stac_the_published_scale_is_not_used() -> None:
    answer = Reflectance().apply(image([[2000]], scale=np.full((1, 1), 0.5), offset=np.full((1, 1), 9.0)))
    assert answer.values.ravel().tolist() == [0.5]


def test_derived_bands_are_left_alone() -> None:
    """An index that was computed before is -1 to 1, and stays negative."""
    values = np.array([3000, 1000], "uint16").reshape(1, 2, 1, 1)
    stored = Image(values, values > 0, ("B04", "B08"), 0, scale=np.full((1, 2), 0.0001), offset=np.zeros((1, 2)))
    for reflectance, red in ((Reflectance(), 0.75), (Reflectance(stac=True), 0.3)):
        answer = reflectance.apply(Index().apply(stored))
        assert answer.bands == ("B04", "B08", "NDVI")
        assert answer.values[0, 0, 0, 0] == pytest.approx(red)
        assert answer.values[0, 2, 0, 0] == -0.5


def test_the_input_is_not_touched() -> None:
    stored = image([[0.5, 2, np.nan]], "float32", nodata=None)
    Reflectance(scale=2).apply(stored)
    np.testing.assert_array_equal(stored.values.ravel(), [0.5, 2, np.nan])


@pytest.mark.parametrize(("options", "message"), [({"scale": 0}, "scale is 0"), ({"clip": (1, 0)}, r"clip is \[1, 0\]"), ({"clip": (1, 1)}, "clip")])
def test_options_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Reflectance(**options)
