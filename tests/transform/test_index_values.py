"""index: numbers that can be checked by eye."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lcnkit.errors import ChipError, ConfigError
from lcnkit.model import Image
from lcnkit.transform.index import Index
from lcnkit.transform.reflectance import Reflectance


def image(red: Any, nir: Any, dtype: str = "uint16", nodata: float | None = 0) -> Image:
    """One frame, one row of two bands."""
    values = np.array([red, nir], dtype=dtype)[None, :, None, :]
    return Image(values, np.ones(values.shape, bool) if nodata is None else values != nodata, ("B04", "B08"), nodata)


def test_ndvi_is_near_infrared_minus_red_over_their_sum() -> None:
    answer = Index().apply(image([1000, 3000, 2000], [3000, 1000, 2000]))
    assert answer.bands == ("B04", "B08", "NDVI")
    assert answer.derived == ("NDVI",)
    assert answer.values.dtype == "float32"
    assert answer.values[0, 2, 0].tolist() == [0.5, -0.5, 0]
    assert answer.values[0, 0, 0].tolist() == [1000, 3000, 2000]  # the bands there are keep their values


def test_uint16_does_not_wrap_around() -> None:
    """60000 + 50000 is more than uint16 holds, and 1 - 2 is less."""
    answer = Index().apply(image([50_000, 2], [60_000, 1]))
    np.testing.assert_allclose(answer.values[0, 2, 0], [1 / 11, -1 / 3], rtol=1e-6)


def test_two_zeros_have_no_ratio() -> None:
    answer = Index().apply(image([0, 0], [0, 5], nodata=None))
    np.testing.assert_array_equal(answer.values[0, 2, 0], [np.nan, 1])
    assert answer.valid[0, 2, 0].tolist() == [False, True]
    assert answer.valid[0, :2].all()


def test_bands_of_different_signs_have_no_ratio() -> None:
    """Sentinel-2's offset of -0.1 makes dark pixels negative; decibels are negative in both bands."""
    dark = image([950, 1040, 1000], [1040, 1040, 1500])
    answer = Index().apply(replace(dark, scale=np.full((1, 2), 1e-4), offset=np.full((1, 2), -0.1)))
    np.testing.assert_allclose(answer.values[0, 2, 0], [np.nan, 0, 1], atol=1e-6)
    assert answer.valid[0, 2, 0].tolist() == [False, True, True]
    np.testing.assert_allclose(Index().apply(image([-10], [-15], "float32", None)).values[0, 2, 0], [0.2])


def test_a_band_without_data_has_no_ratio() -> None:
    answer = Index().apply(image([0, 1000], [3000, 0]))
    assert np.isnan(answer.values[0, 2, 0]).all()
    assert not answer.valid[0, 2].any()
    np.testing.assert_array_equal(answer.values[0, 0, 0], [np.nan, 1000])
    np.testing.assert_array_equal(answer.values[0, 1, 0], [3000, np.nan])


def test_ndvi_of_reflectance() -> None:
    answer = Index().apply(Reflectance(clip=None).apply(image([1000, 0], [3000, 1])))
    assert answer.values[0, 2, 0, 0] == 0.5
    assert np.isnan(answer.values[0, 2, 0, 1])


def test_several_indices_in_the_order_given() -> None:
    answer = Index(bands={"up": ["B08", "B04"], "down": ["B04", "B08"]}).apply(image([1000], [3000]))
    assert answer.bands == ("B04", "B08", "up", "down")
    assert answer.values[0, 2:, 0, 0].tolist() == [0.5, -0.5]


def test_one_index_can_be_made_of_another() -> None:
    first = Index().apply(image([1000], [3000]))
    answer = Index(bands={"again": ["NDVI", "B04"]}).apply(first)
    assert answer.derived == ("NDVI", "again")
    assert answer.values[0, 3, 0, 0] == pytest.approx((0.5 - 1000) / (0.5 + 1000))


def test_scale_and_offset_of_an_index_change_nothing() -> None:
    stored = image([1000], [3000])
    stored = Image(stored.values, stored.valid, stored.bands, 0, scale=np.full((1, 2), 0.1), offset=np.full((1, 2), 7.0))
    answer = Index().apply(stored)
    assert answer.scale is not None
    assert answer.offset is not None
    assert answer.scale.tolist() == [[0.1, 0.1, 1]]
    assert answer.offset.tolist() == [[7, 7, 0]]


def test_a_band_that_is_needed_is_named() -> None:
    with pytest.raises(ChipError) as caught:
        Index(bands={"NDWI": ["B03", "B08"]}).apply(image([1], [2]))
    assert str(caught.value) == "The index NDWI needs the band 'B03'; the image has B04, B08. Add it to `bands=[...]`."


def test_an_index_cannot_have_the_name_of_a_band() -> None:
    with pytest.raises(ChipError, match=r"B08.*something else"):
        Index(bands={"B08": ["B08", "B04"]}).apply(image([1], [2]))


@pytest.mark.parametrize("pair", [["B08"], ["B08", "B04", "B03"], ["B08", "B08"], []])
def test_an_index_has_two_different_bands(pair: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"transform\.index\.bands\.NDVI"):
        Index(bands={"NDVI": pair})


def test_the_offset_that_items_publish_counts() -> None:
    """Sentinel-2 stores 1000 more since baseline 04.00: NDVI of stored values would be too small."""
    near_infrared, red = 5000, 2000
    values = np.array([near_infrared, red], dtype="uint16").reshape(1, 2, 1, 1)
    stored = Image(values, np.ones(values.shape, dtype=bool), ("B08", "B04"), 0, scale=np.full((1, 2), 1e-4), offset=np.full((1, 2), -0.1))
    ndvi = Index().apply(stored).values[0, 2, 0, 0]
    assert ndvi == pytest.approx((4000 - 1000) / (4000 + 1000), abs=1e-6)
