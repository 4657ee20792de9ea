"""Cloud cover from a class mask, as Sentinel-2's scene classification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lcnkit.cloud import MaskRecipe, class_cover
from lcnkit.model import Image
from lcnkit.reader.auto import Auto

SCL = (8, 9, 10)


def mask(values: Any) -> Image:
    array = np.atleast_2d(np.asarray(values, dtype="uint8"))[None, None]
    return Image(array, array != 0, ("SCL",), 0)


@pytest.mark.parametrize(
    ("values", "percent"),
    [([4, 5, 8, 9], 50), ([10, 10], 100), ([4, 3, 7, 11], 0), ([0, 0, 8, 4], 50), ([0, 9], 100), ([2, 2, 2, 2, 8], 20)],
    ids=str,
)
def test_the_share_of_valid_pixels_in_the_classes(values: Any, percent: float) -> None:
    assert class_cover(mask(values), SCL) == percent


def test_without_a_valid_pixel_it_is_unknown() -> None:
    assert np.isnan(class_cover(mask([0, 0]), SCL))


def test_shadow_can_be_counted_too() -> None:
    assert class_cover(mask([3, 4]), (3, *SCL)) == 50


def test_classes_are_never_blended() -> None:
    """Between water (6) and thin cirrus (10) lies cloud (8): a mask is read without resampling."""
    assert MaskRecipe(None, Auto(resampling="bilinear"), "SCL", None, SCL)._reader() == Auto(resampling="nearest")  # type: ignore[arg-type]
    assert MaskRecipe(None, Auto(resampling="bilinear"), "CLD", None)._reader() == Auto(resampling="bilinear")  # type: ignore[arg-type]


def test_from_the_configuration_to_the_plan(tmp_path: Any, make_run: Any) -> None:
    from dataclasses import replace

    from lcnkit.pipeline import plan_only
    from lcnkit.testing.archives import TinyArchive

    archive = TinyArchive(tmp_path / "archive", size=4)
    archive.chip("A")
    archive.item("A", "2018-03-01", cloud=0, B04=1, SCL=[[8, 9, 10, 4]] * 4)
    archive.item("A", "2018-06-01", cloud=99, B04=1, SCL=[[0, 0, 8, 4], [4, 4, 4, 4], [0, 0, 0, 0], [3, 3, 3, 3]])
    run = make_run(archive.write(), cloud="mask", n_periods=1)
    dataset = replace(run.dataset, cloud_assets={"sentinel_2": "SCL"}, cloud_classes={"sentinel_2": [8, 9, 10]})
    table = plan_only(replace(run, dataset=dataset))[0].plan.table
    assert table["cloud_cover"].tolist() == [75, 10]
    assert table["selected"].tolist() == [False, True]
