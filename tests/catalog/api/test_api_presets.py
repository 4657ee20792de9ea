"""The presets compose with the primary configuration, and every part of them can be set otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from lcnkit.catalog.api import Api
from lcnkit.catalog.static import Static
from lcnkit.config import compose
from lcnkit.settings import Run, source_name
from lcnkit.transform.reflectance import Reflectance


def composed(*overrides: str) -> Run:
    return compose([*overrides, "dataset.root=labels"])


PRESETS = {"earth_search": "https://earth-search.aws.element84.com/v1", "planetary_computer": "https://planetarycomputer.microsoft.com/api/stac/v1"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_whole(name: str) -> None:
    run = composed(f"dataset={name}")
    assert isinstance(run.source.catalog, Api)
    assert run.source.catalog.url == PRESETS[name]
    assert run.source.catalog.sign == (name if name == "planetary_computer" else None)
    assert run.source.catalog.baseline_offset
    assert run.source.transforms == (Reflectance(stac=True),)
    assert run.cloud == "mask"
    assert run.dataset.root == "labels"
    known = source_name(run.dataset, "sentinel-2-l2a")
    assert run.dataset.cloud_assets[known] == "SCL"
    assert run.dataset.cloud_classes[known] == [8, 9, 10]
    for bands in ("rgb", "rgbn", "all"):
        names = run.dataset.bands_of(known, bands)
        assert not run.source.catalog.assets or set(names) <= set(run.source.catalog.assets)


@pytest.mark.parametrize(
    ("overrides", "check"),
    [
        (["cloud=auto"], lambda run: run.cloud == "auto"),
        (["catalog.page_size=10"], lambda run: run.source.catalog.page_size == 10 and run.source.catalog.baseline_offset),
        (["catalog=static"], lambda run: isinstance(run.source.catalog, Static)),
        (["transform=[raw]"], lambda run: len(run.source.transforms) == 1 and not isinstance(run.source.transforms[0], Reflectance)),
        (["transform.reflectance.stac=false"], lambda run: run.source.transforms == (Reflectance(),)),
        (["n_periods=3", "bands=[B04]"], lambda run: run.n_periods == 3),
        (["dataset.cloud_classes={sentinel-2-l2a:[3,8,9]}"], lambda run: run.dataset.cloud_classes == {"sentinel-2-l2a": [3, 8, 9]}),
        (["+experiment=phenology"], lambda run: run.n_periods == 12),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_preset_can_be_changed(overrides: list[str], check: Any) -> None:
    assert check(composed("dataset=earth_search", *overrides))


def test_a_catalog_preset_works_without_its_data_set() -> None:
    assert composed("dataset=landcovernet", "catalog=earth_search").source.catalog.assets["B04"] == "red"  # type: ignore[attr-defined]


def test_the_other_data_sets_are_as_before() -> None:
    run = composed("dataset=landcovernet")
    assert isinstance(run.source.catalog, Static)
    assert (run.cloud, run.source.transforms, run.dataset.cloud_classes) == ("auto", (Reflectance(),), {})
